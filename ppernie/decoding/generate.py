"""The loop from prompts to texts, over any network that reads step by step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import paddle

from ppernie.decoding.beam import beam_search
from ppernie.decoding.options import Decoding
from ppernie.decoding.sampling import allowed_scores, end_set, next_token


class Reader(Protocol):
    """A network that reads tokens, and keeps of them what it needs to go on: a state of its own kind."""

    def start(self) -> Any:
        """The state before the first token."""

    def step(self, ids: paddle.Tensor, state: Any) -> tuple[paddle.Tensor, Any]:
        """Reads int64 [batch, n]; logits [batch, vocab] for what follows, and the state afterwards."""

    def select(self, state: Any, rows: paddle.Tensor) -> Any:
        """The state with these rows of the batch, int64 [n], which may repeat."""


@dataclass
class _Row:
    number: int
    prompt: Sequence[int]
    rng: np.random.Generator
    tokens: list[int] = field(default_factory=list)


def generate(
    network: Reader,
    prompts: Sequence[Sequence[int]],
    options: Decoding,
    *,
    end_id: int | Sequence[int],
    max_new_tokens: int,
    pad_id: int | None = None,
    numbers: Sequence[int] | None = None,
    part: int = 0,
) -> list[list[int]]:
    """Continues every prompt until an end comes, which is left out, or ``max_new_tokens`` are there.

    A text depends on its prompt and, of ``sample``, on the seed, its number and its part, not on the other prompts.

    Args:
        prompts: ids, none of them empty.
        end_id: the token that ends a text, or several of them.
        pad_id: what fills shorter prompts up, on the left, for a network that reads prompts whole. Without it, nothing
            is filled: all are read as far as the shortest goes, and the longer ones go on with their own tokens while
            the others take new ones.
        numbers: of the prompts; by default they count from 0.
        part: which of the texts that are written for the same numbers; each has random numbers of its own.
    """
    if options.strategy == "beam":
        return [
            beam_search(network, prompt, options, end_id=end_id, max_new_tokens=max_new_tokens) for prompt in prompts
        ]
    texts: list[list[int]] = [[] for _ in prompts]
    for row, token in stream(
        network,
        prompts,
        options,
        end_id=end_id,
        max_new_tokens=max_new_tokens,
        pad_id=pad_id,
        numbers=numbers,
        part=part,
    ):
        texts[row].append(token)
    return texts


@paddle.no_grad()
def stream(
    network: Reader,
    prompts: Sequence[Sequence[int]],
    options: Decoding,
    *,
    end_id: int | Sequence[int],
    max_new_tokens: int,
    pad_id: int | None = None,
    numbers: Sequence[int] | None = None,
    part: int = 0,
) -> Iterator[tuple[int, int]]:
    """The tokens of ``generate`` as they come, each with the row that it belongs to; beams give none before the end."""
    ends = end_set(end_id)
    longest = max(map(len, prompts))
    if pad_id is not None:
        prompts = [[*[pad_id] * (longest - len(prompt)), *prompt] for prompt in prompts]
    numbers = range(len(prompts)) if numbers is None else numbers
    rows = [
        _Row(n, prompt, np.random.default_rng((options.seed, number, part)))
        for n, (prompt, number) in enumerate(zip(prompts, numbers, strict=True))
    ]
    position = min(map(len, prompts))
    ids = np.asarray([prompt[:position] for prompt in prompts], dtype=np.int64)
    state = network.start()
    while True:
        logits, state = network.step(paddle.to_tensor(ids), state)
        last = []
        for row, scores in zip(rows, logits.numpy(), strict=True):
            if position < len(row.prompt):
                last.append(row.prompt[position])
                continue
            last.append(next_token(allowed_scores(scores, row.tokens, options, sorted(ends)), options, row.rng))
            if last[-1] not in ends:
                row.tokens.append(last[-1])
                yield row.number, last[-1]
        going = [n for n, row in enumerate(rows) if last[n] not in ends or position < len(row.prompt)]
        going = [n for n in going if len(rows[n].tokens) < max_new_tokens]
        if not going:
            return
        if len(going) < len(rows):
            state = network.select(state, paddle.to_tensor(going, dtype="int64"))
            rows = [rows[n] for n in going]
        ids = np.asarray([[last[n]] for n in going], dtype=np.int64)
        position += 1
