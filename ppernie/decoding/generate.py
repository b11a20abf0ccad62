"""The loop from prompts to texts, over any network that reads step by step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import paddle

from ppernie.decoding.beam import beam_search
from ppernie.decoding.options import Decoding
from ppernie.decoding.sampling import allowed_scores, next_token


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


@paddle.no_grad()
def generate(
    network: Reader, prompts: Sequence[Sequence[int]], options: Decoding, *, end_id: int, max_new_tokens: int
) -> list[list[int]]:
    """Continues every prompt until ``end_id`` comes, which is left out, or ``max_new_tokens`` are there.

    A text depends on its prompt and, of ``sample``, on its row and the seed, not on the other prompts. Prompts, none of
    them empty, need no padding: all are read as far as the shortest goes, and the longer ones go on with their own
    tokens while the others take new ones.
    """
    if options.strategy == "beam":
        return [
            beam_search(network, prompt, options, end_id=end_id, max_new_tokens=max_new_tokens) for prompt in prompts
        ]
    rows = [_Row(n, prompt, np.random.default_rng((options.seed, n))) for n, prompt in enumerate(prompts)]
    texts: list[list[int]] = [row.tokens for row in rows]
    position = min(map(len, prompts))
    ids = np.asarray([prompt[:position] for prompt in prompts], dtype=np.int64)
    state = network.start()
    while True:
        logits, state = network.step(paddle.to_tensor(ids), state)
        last = [
            _following(row, position, scores, options, end_id) for row, scores in zip(rows, logits.numpy(), strict=True)
        ]
        going = [n for n, row in enumerate(rows) if last[n] != end_id or position < len(row.prompt)]
        going = [n for n in going if len(rows[n].tokens) < max_new_tokens]
        if not going:
            return texts
        if len(going) < len(rows):
            state = network.select(state, paddle.to_tensor(going, dtype="int64"))
            rows = [rows[n] for n in going]
        ids = np.asarray([[last[n]] for n in going], dtype=np.int64)
        position += 1


def _following(row: _Row, position: int, scores: np.ndarray, options: Decoding, end_id: int) -> int:
    """The token at a position: the prompt's or, behind it, a new one, which is kept unless it is the end."""
    if position < len(row.prompt):
        return row.prompt[position]
    token = next_token(allowed_scores(scores, row.tokens, options, end_id), options, row.rng)
    if token != end_id:
        row.tokens.append(token)
    return token
