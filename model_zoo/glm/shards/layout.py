"""Names of the published files and tensors, and how the tensors lie over the ranks. Matrices are [out, in]."""

from __future__ import annotations

from typing import NamedTuple

from model_zoo.glm.config import GlmConfig
from ppernie.errors import UserError
from ppernie.parallel.cut import Cut

LATEST = "latest"
KEY = "module"
FILE = "mp_rank_{:02d}_model_states.pt"


class Published(NamedTuple):
    """A published tensor: its name, how it lies over the ranks, and whether ours is its transpose."""

    name: str
    cut: Cut
    turned: bool


def layout(config: GlmConfig) -> dict[str, Published]:
    """The published tensors by our names. Raises UserError for a network that the published code does not have."""
    own = config.gated and (config.normalization, config.positions) == ("deepnorm", "rotary_1d")
    if not own or config.head_dim is not None:
        raise UserError("only GLM-130B's own network has shards; this one has other norms, positions, layers or heads")
    h, f, v = config.hidden_size, config.intermediate_size, config.vocab_size
    head = 3 * config.head_size
    found = {"embeddings.word_embeddings.weight": Published("word_embeddings.weight", Cut((v, h), 0), False)}

    def norm(ours: str, name: str) -> None:
        for kind in ("weight", "bias"):
            found[f"{ours}.{kind}"] = Published(f"{name}.{kind}", Cut((h,)), False)

    def linear(ours: str, name: str, weight: Cut, bias: Cut) -> None:
        found[f"{ours}.weight"] = Published(f"{name}.weight", weight, True)
        found[f"{ours}.bias"] = Published(f"{name}.bias", bias, False)

    for layer in range(config.num_hidden_layers):
        ours, name = f"layers.{layer}", f"layers.{layer}"
        norm(f"{ours}.norm1", f"{name}.input_layernorm")
        linear(
            f"{ours}.attention.qkv_proj",
            f"{name}.attention.query_key_value",
            Cut((3 * h, h), 0, unit=head),
            Cut((3 * h,), 0, unit=head),
        )
        linear(f"{ours}.attention.out_proj", f"{name}.attention.dense", Cut((h, h), 1), Cut((h,)))
        norm(f"{ours}.norm2", f"{name}.post_attention_layernorm")
        linear(
            f"{ours}.feed_forward.linear1",
            f"{name}.mlp.dense_h_to_4h",
            Cut((2 * f, h), 0, blocks=2),
            Cut((2 * f,), 0, blocks=2),
        )
        linear(f"{ours}.feed_forward.linear2", f"{name}.mlp.dense_4h_to_h", Cut((h, f), 1), Cut((h,)))
    norm("final_norm", "final_layernorm")
    return {ours: one._replace(name=f"transformer.{one.name}") for ours, one in found.items()}


def pieces(cut: Cut, ranks: int) -> list[tuple[int, int, int, int]]:
    """In the order of the whole: a rank, the first row of a piece in its part, and [begin, end) in the whole."""
    found = []
    for rank in range(ranks):
        first = 0
        for begin, end in cut.ranges(ranks, rank):
            found.append((rank, first, begin, end))
            first += end - begin
    return sorted(found, key=lambda piece: piece[2])
