"""The stream of GLM's pretraining: windows of one objective each, which hold one sample or several."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import TYPE_CHECKING

import numpy as np

from model_zoo.glm.pretraining.blanks import Blanks, Sample
from model_zoo.glm.pretraining.spans import EXTRA_TOKENS, RandomSpans, random_sentences
from model_zoo.glm.pretraining.texts import LEAST_TEXT, JoinedTexts
from ppernie.data.collate import pad_rows
from ppernie.data.streams import Stream
from ppernie.errors import UserError

if TYPE_CHECKING:
    from model_zoo.glm.pretraining.instructions import Instructions
    from model_zoo.glm.pretraining.options import Options
    from ppernie.data.corpus import Corpus
    from ppernie.data.tokenizers import GlmTokenizer
    from ppernie.tasks.base import Batch, Features

# A sample that is cut short has at least this part of its room.
_SHORTEST = 1 / 16
# Of a sample with hidden sentences, kept free for their masks.
_SPARE = 1 / 16


class Windows(Stream):
    """Windows of ``length`` tokens. Which objective a window has is drawn by the shares, for all equally long.

    A [gMASK] window is one text whose end is hidden. The other objectives have samples of a ``samples``-th of the
    length: so many of a text, one behind the other, each of which sees itself alone and begins at position 0;
    instructions, which are mostly shorter, as many as fit. Samples of texts fill a window to the last token or two.

    Args:
        longest: tokens of a window; a shorter one takes a random part of the text.
        rows: of positions, 1 or 2.
    """

    def __init__(
        self,
        corpus: Corpus,
        tokenizer: GlmTokenizer,
        longest: int,
        rows: int,
        options: Options,
        instructions: Instructions | None,
    ) -> None:
        self._tokenizer, self._options = tokenizer, options
        self._room(longest)
        self._blanks = Blanks(tokenizer, rows)
        self._spans = RandomSpans(options.mask_rate, options.span_mean)
        # [gMASK] and [sop] are added, and the last token is only predicted.
        self._texts = JoinedTexts(corpus, tokenizer.eos_id, longest - 1)
        self._instructions = instructions
        self._names, self._shares = list(options.shares), list(options.shares.values())

    def __len__(self) -> int:
        return len(self._texts)

    def sample(self, index: int, length: int, rng: np.random.Generator) -> Features:
        name = self._names[int(rng.choice(len(self._names), p=self._shares))]
        if name == "instructions":
            assert self._instructions is not None
            samples = self._instructions.samples(length, self._room(length), self._blanks, rng)
        else:
            part = self._texts.part(index, length - 1, rng)
            make = {"gmask": self._ending, "mask": self._with_spans, "smask": self._with_sentences}[name]
            samples = make(part, self._room(length), rng)
        return {"objective": name, **joined(samples)}

    def collate(self, features: Sequence[Features], length: int) -> Batch:
        """Rows are padded on the right to the longest; padding sees itself alone.

        Labels stand under their objective's name, in the order of ``predicted_positions``.
        """
        ids = pad_rows([f["input_ids"] for f in features], self._tokenizer.pad_id)
        width = ids.shape[1]
        positions, visible = (
            np.stack([_filled(f[name], width, fill(f)) for f in features])
            for name, fill in (("position_ids", lambda f: 0), ("visible", lambda f: len(f["input_ids"])))
        )
        batch = {
            "input_ids": ids,
            "position_ids": positions,
            "visible": visible,
        }
        predicted = []
        for name in self._names:
            rows = [(row, f) for row, f in enumerate(features) if f["objective"] == name]
            if rows:
                predicted += [row * width + f["predicted_positions"] for row, f in rows]
                batch[name] = np.concatenate([f["labels"] for _, f in rows])
        return batch | {"predicted_positions": np.concatenate(predicted)}

    def _ending(self, part: range, room: int, rng: np.random.Generator) -> list[Sample]:
        text = self._texts.tokens(part)
        least = ceil(self._options.min_ending * len(text) - 1e-9)  # a product of 409.0000001 asks for 409 tokens
        hidden = int(rng.integers(least, len(text) - 2, endpoint=True))
        return [self._blanks.ending(text, len(text) - hidden)]

    def _with_spans(self, part: range, room: int, rng: np.random.Generator) -> list[Sample]:
        text, length = self._texts.tokens(part), room * self._options.samples
        if rng.random() < self._options.short_samples:
            room = int(rng.integers(max(int(room * _SHORTEST), LEAST_TEXT), room, endpoint=True))
        single = bool(rng.random() < self._options.single_span)
        samples: list[Sample] = []
        while len(text) >= LEAST_TEXT and len(samples) < length // room:
            spans = self._spans(len(text), room, rng, single=single)
            samples.append(self._blanks.spans(text[: spans.length], spans, self._tokenizer.mask_id, rng))
            text = text[spans.length :]
        return samples

    def _with_sentences(self, part: range, room: int, rng: np.random.Generator) -> list[Sample]:
        assert self._tokenizer.smask_id is not None
        most = max(int(room * _SPARE), 1)
        samples: list[Sample] = []
        while len(part) >= LEAST_TEXT and len(samples) < self._options.samples:
            taken, part = part[: room - EXTRA_TOKENS * most], part[room - EXTRA_TOKENS * most :]
            spans = random_sentences(len(taken), *self._texts.sentences(taken), self._options.mask_rate, most, rng)
            samples.append(self._blanks.spans(self._texts.tokens(taken), spans, self._tokenizer.smask_id, rng))
        return samples

    def _room(self, length: int) -> int:
        """Tokens of a sample in a window. Raises UserError where they are too few."""
        room = length // self._options.samples
        if room < LEAST_TEXT:
            raise UserError(
                f"{length} tokens are too few for {self._options.samples} samples; make Data.max_length, and "
                f"Train.progressive.length where it is set, at least {LEAST_TEXT * self._options.samples}"
            )
        return room


def joined(samples: Sequence[Sample]) -> Features:
    """Samples one behind the other, none of which sees another.

    Returns:
        ``input_ids`` int64 [n], ``position_ids`` [rows, n], ``predicted_positions`` and ``labels`` [m], and
        ``visible`` [3, n]: of each token start, context and own, by which it sees the tokens from start to before
        context, and those from own to itself.
    """
    sizes = np.asarray([len(sample.tokens) for sample in samples])
    contexts = np.asarray([sample.context for sample in samples])
    starts = np.cumsum(sizes) - sizes
    seen = np.repeat(np.stack([starts, starts + contexts, starts]), sizes, axis=1)
    return {
        "input_ids": np.concatenate([sample.tokens for sample in samples]),
        "position_ids": np.concatenate([sample.positions for sample in samples], axis=1),
        "visible": seen,
        "predicted_positions": np.flatnonzero(np.arange(sizes.sum()) >= seen[1]),
        "labels": np.concatenate([sample.labels for sample in samples]),
    }


def _filled(rows: np.ndarray, width: int, value: int) -> np.ndarray:
    """int64 [rows, width], filled up with a value."""
    return np.pad(rows, ((0, 0), (0, width - rows.shape[1])), constant_values=value)
