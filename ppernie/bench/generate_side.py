"""One side of ``ppernie.bench.generate``: ``python -m ppernie.bench.generate_side SIDE LAYERS HIDDEN``.

Every line on the input gets the seconds of one generation, whole, from prompts to ids.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ppernie.data.tokenizers import GlmTokenizer
from ppernie.data.tokenizers.glm import Cut

VOCABULARY, HEAD, BATCH, PROMPT, NEW, WINDOW = 10_000, 64, 4, 32, 64, 512
# The last ids are the commands: what starts and ends a text, and stands for it.
SOP, END, MASK = VOCABULARY - 1, VOCABULARY - 2, VOCABULARY - 3

Generate = Callable[[], np.ndarray]


def prompts() -> np.ndarray:
    """Random ids, then the mask and the start; the same for every side."""
    ids = np.random.default_rng(0).integers(1, MASK, (BATCH, PROMPT))
    ids[:, -2:] = MASK, SOP
    return ids


def _ppernie(layers: int, hidden: int, **form: Any) -> Generate:
    """This library's network, and the task that writes texts by it."""
    import paddle

    from ppernie import registry
    from ppernie.device import use_device

    use_device("cpu", int(os.environ["OMP_NUM_THREADS"]))
    name = "glm/GlmForBlankInfilling"
    config = registry.arch_config(name)(
        vocab_size=VOCABULARY,
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=hidden // HEAD,
        max_position_embeddings=WINDOW,
        layer_norm_eps=1e-5,
        attention_dropout_prob=0.0,
        hidden_dropout_prob=0.0,
        **form,
    )
    paddle.seed(0)
    network = registry.arch_class(name)(config)
    network.reset_parameters()
    network.eval()
    task_class = registry.task_class("glm/text_generation")
    options = {"max_target_length": NEW, "decoding": {"min_new_tokens": NEW}}
    task = task_class(task_class.Options(**options), _Commands(), WINDOW)
    batch = {"input_ids": prompts(), "source_lengths": np.full(BATCH, PROMPT), "numbers": np.arange(BATCH)}

    def run() -> np.ndarray:
        with paddle.no_grad():
            return task.run(network, batch)

    return run


class _Commands(GlmTokenizer):
    """A vocabulary of numbers and GLM's commands, for ids alone."""

    def __init__(self) -> None:
        roles = {"pad": "0", "unk": "1", "cls": "2", "sep": "3", "sop": str(SOP), "eop": str(END), "eos": str(END)}
        roles |= {"mask": str(MASK - 1), "gmask": str(MASK)}
        special = {f"{role}_token": token for role, token in roles.items()}
        super().__init__([str(number) for number in range(VOCABULARY)], special, [], [], strips=False)

    def save(self, folder: str | Path) -> None:
        raise NotImplementedError

    def _cut(self, texts: Sequence[str]) -> list[Cut]:
        raise NotImplementedError

    _cut_unspaced = _cut

    def _join_text(self, tokens: list[str]) -> str:
        raise NotImplementedError


def glm(layers: int, hidden: int) -> Generate:
    """The smaller GLMs' form, which PaddleNLP's GLM has too."""
    return _ppernie(
        layers,
        hidden,
        intermediate_size=4 * hidden,
        normalization="pre",
        positions="learned_2d",
        feed_forward="gelu_tanh",
    )


def glm_130b(layers: int, hidden: int) -> Generate:
    """GLM-130B's form: rotary positions and gates, as Llama has."""
    return _ppernie(
        layers,
        hidden,
        intermediate_size=_gated(hidden),
        normalization="deepnorm",
        positions="rotary_1d",
        feed_forward="geglu",
    )


def paddlenlp(layers: int, hidden: int) -> Generate:
    """PaddleNLP's GLM, eager, by its ``generate``."""
    import paddle
    from paddlenlp.transformers import GLMConfig, GLMForConditionalGeneration

    paddle.base.core.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    config = GLMConfig(
        num_layers=layers,
        vocab_size=VOCABULARY,
        hidden_size=hidden,
        num_attention_heads=hidden // HEAD,
        max_sequence_length=WINDOW,
        output_predict=True,
        bos_token_id=SOP,
        eos_token_id=END,
        pad_token_id=0,
    )
    model = GLMForConditionalGeneration(config)
    model.eval()
    ids, whole = prompts(), np.arange(PROMPT + NEW)
    own = np.minimum(whole, PROMPT - 2), np.maximum(whole - PROMPT + 2, 0)
    seen = (whole[None] < PROMPT - 1) | (whole[None] <= whole[:, None])
    inputs = {
        "input_ids": ids,
        "position_ids": np.tile(np.stack(own), (BATCH, 1, 1)),
        "attention_mask": np.tile(seen.astype(np.int64), (BATCH, 1, 1, 1)),
    }
    options = {"decode_strategy": "greedy_search", "max_length": NEW, "min_length": NEW, "eos_token_id": END}
    options |= {"bos_token_id": SOP, "pad_token_id": 0}

    def run() -> np.ndarray:
        with paddle.no_grad():
            return model.generate(**{n: paddle.to_tensor(a) for n, a in inputs.items()}, **options)[0].numpy()

    return run


def transformers(layers: int, hidden: int) -> Generate:
    """Hugging Face's Llama on torch, by its ``generate``; with gates it has as many numbers as a GLM without."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=hidden // HEAD,
        intermediate_size=_gated(hidden),
        max_position_embeddings=WINDOW,
        tie_word_embeddings=True,
    )
    model = LlamaForCausalLM(config).eval()
    ids = torch.from_numpy(prompts())
    options: dict[str, Any] = {"do_sample": False, "max_new_tokens": NEW, "min_new_tokens": NEW}
    options |= {"eos_token_id": END, "pad_token_id": 0}

    def run() -> np.ndarray:
        with torch.no_grad():
            return model.generate(ids, attention_mask=torch.ones_like(ids), **options)[:, PROMPT:].numpy()

    return run


def _gated(hidden: int) -> int:
    """Width with which three matrices hold about as many numbers as two of 4 times the hidden size."""
    return -(-8 * hidden // 3) // 8 * 8


SIDES: dict[str, Callable[[int, int], Generate]] = {
    "ppernie GLM": glm,
    "ppernie GLM-130B": glm_130b,
    "PaddleNLP GLM": paddlenlp,
    "Hugging Face Llama": transformers,
}


def main(side: str, layers: str, hidden: str) -> None:
    """Serves until the input ends."""
    from ppernie.bench.side import serve

    def prepare() -> Callable[[str], dict[str, object]]:
        run = SIDES[side](int(layers), int(hidden))

        def turn(_: str) -> dict[str, object]:
            start = time.perf_counter()
            tokens = run()
            seconds = time.perf_counter() - start
            if tokens.shape != (BATCH, NEW):
                raise RuntimeError(f"{tokens.shape} tokens were written, ({BATCH}, {NEW}) wanted")
            return {"seconds": seconds, "tokens": tokens.size}

        return turn

    serve(prepare)


if __name__ == "__main__":
    main(*sys.argv[1:])
