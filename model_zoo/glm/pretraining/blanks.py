"""Samples with blanks, laid out as the GLMs read them (arXiv:2103.10360, section 2.1; arXiv:2210.02414, section 2.1).

A context, in which a mask stands for every blank, is followed by the blanks' answers, each behind [sop]. What is
predicted at [sop] and at each token of an answer is the token that follows; at the end of a whole blank, [eop].
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from model_zoo.glm.pretraining.spans import Spans
    from ppernie.data.tokenizers import GlmTokenizer


class Sample(NamedTuple):
    """Of n tokens, the last m of which are the answers.

    Attributes:
        tokens: int64 [n].
        positions: int64 [rows, n].
        labels: int64 [m], what follows each token of the answers.
    """

    tokens: np.ndarray
    positions: np.ndarray
    labels: np.ndarray

    @property
    def context(self) -> int:
        """Tokens before the answers."""
        return len(self.tokens) - len(self.labels)


class Blanks:
    """Hides parts of texts.

    Args:
        rows: of positions. With two, an answer's tokens have their mask's position in the first and their place in
            the answer, from 1, in the second. With one they have their mask's position alone, but behind [gMASK]
            positions go on.
    """

    def __init__(self, tokenizer: GlmTokenizer, rows: int) -> None:
        self._tokenizer, self._rows = tokenizer, rows

    def spans(self, text: np.ndarray, spans: Spans, mask_id: int, rng: np.random.Generator) -> Sample:
        """Each span under one mask, answered in random order.

        Args:
            text: int64 [spans.length].
        """
        kept = np.ones(len(text), bool)
        kept[_ranges(spans.starts, spans.sizes)] = False
        context = text.copy()
        context[spans.starts], kept[spans.starts] = mask_id, True
        masks = spans.starts - (np.cumsum(spans.sizes - 1) - (spans.sizes - 1))
        order = rng.permutation(len(spans.starts))
        starts, sizes = spans.starts[order], spans.sizes[order]
        places = _ranges(np.zeros_like(sizes), sizes + 1)
        sources = _ranges(starts, sizes + 1)
        # The last of a span has no next token, and at the text's end it would lie outside.
        ends = places == np.repeat(sizes, sizes + 1)
        labels = np.where(ends, self._tokenizer.eop_id, text[np.where(ends, 0, sources)])
        read = np.where(places == 0, self._tokenizer.sop_id, text[np.where(places == 0, 0, sources - 1)])
        context = context[kept]
        positions = self._positions(len(context), np.repeat(masks[order], sizes + 1), 1 + places)
        return Sample(np.concatenate([context, read]), positions, labels)

    def ending(self, text: np.ndarray, context: int) -> Sample:
        """Everything behind the first ``context`` tokens under [gMASK]; no [eop] says that it ends there."""
        return self._one(text[:context], self._tokenizer.gmask_id, text[context:], goes_on=True)

    def target(self, prompt: np.ndarray, target: np.ndarray) -> Sample:
        """A prompt with [MASK] behind it, and the ``target`` int64 [m] with its [eop], unless that was cut off."""
        return self._one(prompt, self._tokenizer.mask_id, target)

    def _one(self, context: np.ndarray, mask_id: int, labels: np.ndarray, *, goes_on: bool = False) -> Sample:
        tokens = np.concatenate([context, [mask_id, self._tokenizer.sop_id], labels[:-1]]).astype(np.int64)
        masks, places = np.full(len(labels), len(context)), np.arange(1, len(labels) + 1)
        return Sample(tokens, self._positions(len(context) + 1, masks, places, goes_on=goes_on), labels)

    def _positions(self, context: int, masks: np.ndarray, places: np.ndarray, *, goes_on: bool = False) -> np.ndarray:
        """int64 [rows, n], from the position of each answer token's mask and its place in the answer."""
        if self._rows == 1:
            return np.concatenate([np.arange(context), masks + places if goes_on else masks])[None]
        rows = [[np.arange(context), masks], [np.zeros(context, np.int64), places]]
        return np.stack([np.concatenate(row) for row in rows])


def _ranges(starts: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """The numbers starts[0], starts[0] + 1, ... of each range, one range after the other."""
    return np.arange(sizes.sum()) + np.repeat(starts - (np.cumsum(sizes) - sizes), sizes)
