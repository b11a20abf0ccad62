"""Text generation as a task: what a GLM writes for a prompt, and how it learns to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from model_zoo.glm.generation.prompts import Mask, check_text, context_ids, first_mask, lay_out, mask_id, mask_ids
from ppernie.data.collate import pad_rows
from ppernie.data.tokenizers import GlmTokenizer
from ppernie.errors import UserError
from ppernie.tasks.base import Batch, Example, Features, Item, where
from ppernie.tasks.generation import Options as GenerationOptions
from ppernie.tasks.generation import TextGeneration as Generation
from ppernie.tasks.metrics.generation import GenerationScore

if TYPE_CHECKING:
    from ppernie.data.tokenizers import Tokenizer
    from ppernie.decoding.generate import Reader
    from ppernie.decoding.stepwise import Steps
    from ppernie.inference.steps import StepsPredictor

# Behind the tokens of a row of blanks, and between two blanks of it.
_NOTHING, _NEXT = -1, -2


class Options(GenerationOptions):
    mask: Mask = Field(
        default="gmask", description="what is put behind a text without a mask: gmask for long targets, mask for short"
    )


class TextGeneration(Generation):
    """Example: ``text``, in which masks such as "[MASK]" may be written out, and ``target``.

    The network reads the text with a mask behind it, if it has none, and writes the target, as in pretraining. To
    learn from, a text has one mask at most; of one that is too long the end is cut off. At prediction it may have
    several: they are filled from the first to the last, each up to ``max_target_length``. The answer's ``text`` is what
    was written or, of a text with masks, all of it with the ``blanks`` filled in.
    """

    Options = Options
    input_names = ("input_ids", "position_ids", "visible", "predicted_positions")  # type: ignore[assignment]
    # Rows of ``position_ids``, which differ from network to network.
    position_rows = 1

    def __init__(self, options: Any, tokenizer: Tokenizer, max_length: int) -> None:
        super().__init__(options, tokenizer, max_length)
        if not isinstance(tokenizer, GlmTokenizer):
            raise UserError("a GLM reads texts with a GLM's tokenizer; set Data.tokenizer to one of its kinds")
        self._glm_tokenizer = tokenizer
        self._appended = mask_id(tokenizer, options.mask)

    def adapt(self, arch: Any) -> None:
        """Learns from the network's configuration how it counts positions."""
        self.position_rows = arch.position_rows

    @property
    def id_names(self) -> tuple[str, ...]:
        return ("input_ids",)

    def expand(self, example: Example, labelled: bool) -> list[Item]:
        (item,) = super().expand(example, labelled)
        ids = self._text_ids(item)
        check_text(ids, self._glm_tokenizer, where(example))
        masks = np.isin(ids, mask_ids(self._glm_tokenizer)).sum()
        if labelled and masks > 1:
            raise UserError(f"{where(example)}: {masks} masks and one target; leave one of them")
        if not labelled:
            self._check_room(item)
        return [item]

    def encode(self, item: Item, key: tuple[int, ...]) -> Features:
        features: Features = {"source": [*self._context(item), self._glm_tokenizer.sop_id], "number": key[-1]}
        if item.label is not None:
            target = self._glm_tokenizer.encode_plain(item.label)[: self.options.max_target_length - 1]
            features["labels"] = [*target, self._glm_tokenizer.eop_id]
        return features

    def is_cut(self, item: Item) -> bool:
        return self._excess(self._text_ids(item)) > 0

    def collate(self, features: Sequence[Features]) -> Batch:
        batch = super().collate(features)
        ids = batch.pop("document_ids")
        layout = lay_out(ids, self._glm_tokenizer, self.position_rows)
        return {"input_ids": ids, "position_ids": layout.position_ids, "visible": layout.visible, **batch}

    def run(self, network: Any, batch: Batch) -> np.ndarray:
        return self.write(self.reader(network), batch)

    def reader(self, network: Any) -> Reader:
        from model_zoo.glm.generation.reader import GlmReader

        return GlmReader(network, self._glm_tokenizer)

    def write(self, reader: Reader, batch: Batch) -> np.ndarray:
        """Fills the masks, int64 [batch, longest]; -2 stands between blanks, and -1 behind them all."""
        from model_zoo.glm.generation.blanks import fill_blanks

        lengths = batch["source_lengths"].tolist()
        contexts = [ids[: length - 1] for ids, length in zip(batch["input_ids"].tolist(), lengths, strict=True)]
        options, numbers = self.options, batch["numbers"].tolist()
        rows = fill_blanks(reader, contexts, self._glm_tokenizer, options.decoding, options.max_target_length, numbers)
        return pad_rows([[i for blank in blanks for i in [*blank, _NEXT]][:-1] for blanks in rows], _NOTHING)

    def stream(self, reader: Reader, text: str) -> Iterator[str]:
        """What is written for a text, as it comes; between the texts of two blanks comes a line feed."""
        from model_zoo.glm.generation.blanks import stream_blanks
        from ppernie.decoding.text import TextStream

        (item,) = self.expand({"text": text, "where": "the prompt"}, labelled=False)
        options = self.options
        tokens = stream_blanks(
            reader, self._context(item), self._glm_tokenizer, options.decoding, options.max_target_length
        )
        for number, blank in groupby(tokens, key=itemgetter(0)):
            written = TextStream(self.tokenizer.decode)
            if number:
                yield "\n"
            for _, token in blank:
                yield written.add(token)
            yield written.end()

    def steps(self, network: Any) -> Steps:
        from model_zoo.glm.generation.steps import steps_of

        return steps_of(network, self.max_length)

    def exported(self, predictor: StepsPredictor, arch: Any) -> Any:
        from model_zoo.glm.generation.exported import ExportedGlm

        return ExportedGlm(predictor, arch)

    def score(self, items: Sequence[Item], results: Sequence[list[int]]) -> dict[str, float]:
        metric = GenerationScore()
        metric.update(results, [self._glm_tokenizer.encode_plain(item.label) for item in items])
        return metric.compute()

    def answer(self, items: Sequence[Item], results: Sequence[list[int]]) -> dict[str, Any]:
        blanks = [self.tokenizer.decode(blank) for blank in _split(results[0])]
        encoding = self.tokenizer.encode(items[0].example["text"])
        masks = mask_ids(self._glm_tokenizer)
        spans = [span for index, span in zip(encoding.ids, encoding.offsets, strict=True) if index in masks]
        if not spans:
            return {"text": blanks[0]}
        return {"text": _replaced(items[0].example["text"], spans, blanks), "blanks": blanks}

    def _text_ids(self, item: Item) -> list[int]:
        return self._glm_tokenizer.encode_prompt(item.example["text"])

    def _whole_context(self, item: Item) -> list[int]:
        return context_ids(self._text_ids(item), self._glm_tokenizer, self._appended)

    def _excess(self, text: list[int]) -> int:
        return len(context_ids(text, self._glm_tokenizer, self._appended)) + 1 - self.max_source_length

    def _context(self, item: Item) -> list[int]:
        """Cut at the end of the text, or of what stands behind its mask, to ``max_source_length`` with [sop]."""
        text = self._text_ids(item)
        excess = self._excess(text)
        if excess <= 0 or item.label is None:
            return context_ids(text, self._glm_tokenizer, self._appended)
        mask = first_mask(text, self._glm_tokenizer)
        if mask is not None and mask >= len(text) - excess:
            raise UserError(
                f"{where(item.example)}: the text is {excess} tokens too long, and its mask would be cut off; "
                "shorten it or raise Data.max_length"
            )
        return context_ids(text[: len(text) - excess], self._glm_tokenizer, self._appended)

    def _check_room(self, item: Item) -> None:
        context = self._whole_context(item)
        masks = int(np.isin(context, mask_ids(self._glm_tokenizer)).sum())
        longest = self.options.max_target_length
        if len(context) + masks * longest > self.max_length:
            raise UserError(
                f"{where(item.example)}: the prompt has {len(context)} tokens and {masks} blanks of up to {longest} "
                f"(max_target_length); the window holds {self.max_length}; shorten the prompt or lower "
                "max_target_length"
            )


def _split(row: Sequence[int]) -> Iterator[list[int]]:
    blank: list[int] = []
    for index in row:
        if index == _NEXT:
            yield blank
            blank = []
        else:
            blank.append(index)
    yield blank


def _replaced(text: str, spans: Sequence[tuple[int, int]], parts: Sequence[str]) -> str:
    """The text with a part in the place of each span of characters."""
    starts, ends = [0, *(end for _, end in spans)], [*(start for start, _ in spans), len(text)]
    kept = [text[start:end] for start, end in zip(starts, ends, strict=True)]
    return "".join(piece for pair in zip(kept, [*parts, ""], strict=True) for piece in pair)
