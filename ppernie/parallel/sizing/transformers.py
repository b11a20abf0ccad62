"""The architectures as networks to be sized.

Of a Transformer layer with hidden size h, a heads, inner size f, and inputs of s tokens, backward needs for each token
(Korthikanti et al. 2022, arXiv:2205.05198, section 4.1, counted anew for what Paddle's operations keep)

* the inputs of the joint projection and of the feed-forward network: h each,
* queries, keys and values, and the attention's result: 4h,
* the weights of attention before and after dropout, its mask, and the scaled query: 2as + h numbers and as bytes; with
  fused (flash) attention a float32 for each head in their place,
* the input of the activation and of the second map: 2f; for GEGLU both halves, the gate's GELU and the product: 4f,
* the inputs of the two layer norms: 2h; and two masks of dropout: 2h bytes.

With two bytes a number, f = 4h and without the query's copy this is the paper's 34h + 5as. Forward's products take two
operations for each weight, and those inside attention 4sh (2sh each for scores and for weighted values; the operations
that a mask makes needless are done all the same). Where heads were pruned, what belongs to them is narrower than h.
"""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from ppernie.architectures import EncoderConfig
from ppernie.errors import UserError
from ppernie.parallel.sizing.network import Held, Module, Network

_FLOAT32 = 4


@runtime_checkable
class DecoderConfig(Protocol):
    """The fields of a GLM's configuration that sizes follow from."""

    vocab_size: int
    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    attention_size: int
    intermediate_size: int
    max_position_embeddings: int
    positions: str
    feed_forward: str


def describe(arch: Any, length: int, *, fused_attention: bool, predicted: float | None) -> Network:
    """The network of an architecture's configuration.

    Args:
        arch: an ``EncoderConfig``, or a GLM's configuration.
        length: tokens of an input.
        fused_attention: whether attention keeps no scores.
        predicted: share of an encoder's tokens for which it predicts the word; None where it has no such head, and
            the few parameters of its classifier are left out. A GLM scores the vocabulary at every token.

    Raises:
        UserError: the architecture is of another kind, or its inputs are shorter than ``length``.
    """
    longest = longest_input(arch)
    if length > longest:
        raise UserError(f"an input of {length} tokens is longer than the {longest} that the network takes")
    if isinstance(arch, EncoderConfig):
        return _encoder(arch, length, fused_attention, predicted)
    return _decoder(arch, length, fused_attention)


def longest_input(arch: Any) -> int:
    """Tokens of the longest input. Raises UserError for an architecture that cannot be sized."""
    if isinstance(arch, EncoderConfig):
        return arch.max_position_embeddings
    if isinstance(arch, DecoderConfig):
        return arch.max_position_embeddings
    raise UserError(f"there are no sizes for {type(arch).__name__}; known are text encoders and GLMs")


def _encoder(arch: EncoderConfig, length: int, fused_attention: bool, predicted: float | None) -> Network:
    h, vocab = arch.hidden_size, arch.vocab_size
    tables = arch.max_position_embeddings + arch.type_vocab_size + arch.task_type_vocab_size
    # ERNIE-Gram's table of relative positions, of one column a head, which all layers share.
    relative = getattr(arch, "rel_pos_size", 0) * arch.num_attention_heads
    embedding = Module(
        cut=vocab * h + relative,
        whole=tables * h + 2 * h,
        gathered=Held(values=h, bytes=h),
        forward_sums=1,
    )
    pooler = h * h + h
    if predicted is None:
        head, tied = Module(whole=pooler), 0
    else:
        transform = h * h + h
        scores = _scores(h, vocab, predicted)
        head = Module(
            cut=vocab,
            whole=pooler + transform + 2 * h,
            idle=pooler,
            flops=scores.flops + predicted * 2 * h * h,
            inside=scores.inside,
            gathered=Held(values=predicted * 4 * h),
            working=scores.working,
            backward_sums=scores.backward_sums,
        )
        tied = vocab * h
    layer = _layer(arch, length, fused_attention, gated=False)
    return _network(arch, embedding, layer, head, tied, length)


def _decoder(arch: DecoderConfig, length: int, fused_attention: bool) -> Network:
    h, vocab = arch.hidden_size, arch.vocab_size
    positions = 2 * (arch.max_position_embeddings + 1) * h if arch.positions == "learned_2d" else 0
    embedding = Module(cut=vocab * h, whole=positions, gathered=Held(bytes=h), forward_sums=1)
    scores = _scores(h, vocab, predicted=1.0)
    head = Module(
        whole=2 * h,
        flops=scores.flops,
        inside=scores.inside,
        gathered=Held(values=2 * h),
        working=scores.working,
        backward_sums=scores.backward_sums,
    )
    gated = arch.feed_forward == "geglu"
    layer = _layer(arch, length, fused_attention, gated)
    return _network(arch, embedding, layer, head, vocab * h, length)


def _network(
    arch: EncoderConfig | DecoderConfig, embedding: Module, layer: Module, head: Module, tied: int, length: int
) -> Network:
    divided = {
        "attention heads": arch.num_attention_heads,
        "intermediate_size": arch.intermediate_size,
        "vocab_size": arch.vocab_size,
    }
    return Network(embedding, layer, arch.num_hidden_layers, head, tied, arch.hidden_size, length, divided)


def _layer(arch: EncoderConfig | DecoderConfig, length: int, fused_attention: bool, gated: bool) -> Module:
    h, f, heads, a = arch.hidden_size, arch.intermediate_size, arch.num_attention_heads, arch.attention_size
    first = 2 * f if gated else f  # outputs of the feed-forward network's first map
    matrices = 3 * h * a + a * h + first * h + f * h
    scores = heads * length
    return Module(
        cut=matrices + 3 * a + first,
        whole=2 * h + 4 * h,  # the biases of both row-parallel maps; two norms
        flops=2 * matrices,
        core_flops=4 * length * a,
        inside=Held(values=4 * a + (4 if gated else 2) * f),
        core=Held(bytes=heads * _FLOAT32) if fused_attention else Held(values=2 * scores + a, bytes=scores),
        outside=Held(values=2 * h, bytes=2 * h),
        gathered=Held(values=2 * h),
        forward_sums=2,
        backward_sums=2,
    )


def _scores(h: int, vocab: int, predicted: float) -> Module:
    """Scores over the vocabulary by the word table, and their cross entropy.

    Kept is the softmax in float32; the scores, and their gradient in float32, exist for a moment.
    """
    return Module(
        flops=predicted * 2 * h * vocab,
        inside=Held(bytes=predicted * vocab * _FLOAT32),
        working=Held(values=predicted * vocab, bytes=predicted * vocab * _FLOAT32),
        backward_sums=predicted,
    )
