"""Instructions with their targets, the multi-task part of GLM-130B's pretraining (arXiv:2210.02414, section 2.2)."""

from __future__ import annotations

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field, model_validator

from model_zoo.glm.pretraining.blanks import Blanks, Sample
from ppernie.data.readers.documents import read_json
from ppernie.data.readers.files import Row, resolve
from ppernie.data.templates import Template, numbered, read_templates
from ppernie.errors import UserError
from ppernie.tasks.base import TaskOptions

if TYPE_CHECKING:
    from ppernie.data.tokenizers import GlmTokenizer

logger = logging.getLogger("ppernie")

# Beside its prompt and its target, which has an [eop], a sample has the mask.
_EXTRA_TOKENS = 1


class InstructionSource(TaskOptions):
    """A data set, and how prompts are made of it."""

    files: str | list[str] = Field(description="JSON or JSON lines: file, glob pattern, or list of them")
    template: str | None = Field(default=None, description="Jinja over the columns: prompt ||| target")
    templates: str | None = Field(default=None, description="file of PromptSource, in place of template")
    classes: dict[str, list[str]] = Field(
        default={}, description="columns whose values become numbers, as templates count: the values from 0 on"
    )

    @model_validator(mode="after")
    def _one_kind(self) -> InstructionSource:
        if (self.template is None) == (self.templates is None):
            raise ValueError("give either template or templates")
        return self

    def reads(self) -> list[str]:
        files = [self.files] if isinstance(self.files, str) else self.files
        return [*files, self.templates] if self.templates else files


class InstructionOptions(TaskOptions):
    share: float = Field(default=0.05, gt=0, lt=1, description="share of the windows that hold instructions")
    root: str | None = Field(default=None, description="folder that relative file paths start from")
    limit: int = Field(default=100_000, ge=1, description="most samples of a source: rows times templates")
    held_out: float = Field(
        default=0.05, gt=0, lt=1, description="share of a source's rows, rounded down, for evaluation and not training"
    )
    sources: list[InstructionSource] = Field(min_length=1, description="the data sets")

    def reads(self) -> list[str]:
        return [str(Path(self.root or "", name)) for source in self.sources for name in source.reads()]


class Instructions:
    """Samples of all sources, each as likely as any other: a source is drawn by its size, up to the limit.

    A sample that is too long keeps of its target what half the room holds, or all where the prompt is shorter; its
    prompt loses its beginning.

    Args:
        room: tokens of the longest sample.
        held_out: of each source the rows that are for evaluation, instead of the others.

    Raises:
        UserError: a file is absent or broken, a template does not fit its rows, or leaves all of them out; or all
            sources are too small to hold a row out.
    """

    def __init__(self, options: InstructionOptions, tokenizer: GlmTokenizer, room: int, *, held_out: bool) -> None:
        ids: list[list[int]] = []
        for source in options.sources:
            for prompt, target in _rendered(source, options, held_out):
                ids += [tokenizer.encode_plain(prompt), [*tokenizer.encode_plain(target), tokenizer.eop_id]]
        if not ids:
            raise UserError(
                f"Task.instructions.held_out: {options.held_out} of each source's rows is less than one, which leaves "
                "evaluation without instructions; raise it"
            )
        sizes = np.asarray([len(part) for part in ids])
        self._tokens = np.concatenate(ids).astype(np.int32)
        self._starts = np.cumsum(sizes) - sizes
        self._sizes = sizes.reshape(-1, 2)
        self._totals = self._sizes.sum(1) + _EXTRA_TOKENS
        self._smallest = int(self._totals.min())
        self._tell_cut(room)

    def __len__(self) -> int:
        return len(self._sizes)

    def samples(self, length: int, room: int, blanks: Blanks, rng: np.random.Generator) -> list[Sample]:
        """As many random samples of at most ``room`` tokens as fit into ``length`` before one does not."""
        drawn = rng.integers(len(self), size=length // min(self._smallest, room))
        count = int(np.searchsorted(np.cumsum(np.minimum(self._totals[drawn], room)), length, "right"))
        return [self._sample(number, room, blanks) for number in map(int, drawn[:count])]

    def _sample(self, number: int, room: int, blanks: Blanks) -> Sample:
        prompt, target = (
            self._tokens[start : start + size].astype(np.int64)
            for start, size in zip(self._starts[2 * number : 2 * number + 2], self._sizes[number], strict=True)
        )
        of_prompt, of_target = _kept(len(prompt), len(target), room)
        return blanks.target(prompt[len(prompt) - of_prompt :], target[:of_target])

    def _tell_cut(self, room: int) -> None:
        logger.info("%d instructions of %d tokens", len(self), len(self._tokens))
        kept = _kept(self._sizes[:, 0], self._sizes[:, 1], room)
        prompts, targets = (self._sizes > np.stack(kept, 1)).sum(0)
        if prompts or targets:
            logger.warning(
                "%d instructions lose the beginning of their prompt and %d the end of their target: a sample has %d "
                "tokens, Data.max_length over Task.samples",
                prompts,
                targets,
                room,
            )


def _kept(prompt: Any, target: Any, room: int) -> tuple[Any, Any]:
    """How many tokens of prompts and of targets go into a sample of ``room`` tokens."""
    room -= _EXTRA_TOKENS
    of_target = np.minimum(target, np.maximum(room - room // 2, room - prompt))
    return np.minimum(prompt, room - of_target), of_target


def _rendered(source: InstructionSource, options: InstructionOptions, held_out: bool) -> list[tuple[str, str]]:
    """Prompts and targets of a source, at most ``options.limit``, the same at every call; perhaps none held out."""
    if source.template is not None:
        templates = [Template("the template", source.template)]
    else:
        templates = [t for path in resolve(source.templates or [], options.root) for t in read_templates(path)]
    rows = [numbered(row, source.classes) for path in resolve(source.files, options.root) for row in read_json(path)]
    rows = [row for row, held in zip(rows, _held_out(rows, options.held_out), strict=True) if held == held_out]
    if held_out and not rows:
        return []
    pairs = np.arange(len(rows) * len(templates))
    if len(pairs) > options.limit:
        pairs = np.sort(np.random.default_rng(0).choice(pairs, options.limit, replace=False))
    found, left_out = [], Counter[str]()
    for number in map(int, pairs):
        template, (where, row) = templates[number % len(templates)], rows[number // len(templates)]
        rendered = template(row, where)
        if rendered is None:
            left_out[template.place] += 1
            continue
        if len(rendered.targets) > 1:
            raise UserError(f"{where}: {template.place} makes {len(rendered.targets)} targets, but a sample has one")
        found.append((rendered.prompt, rendered.targets[0]))
    for place, count in left_out.items():
        logger.warning("%s: %s leaves %d rows out: no prompt or no target", source.files, place, count)
    if not found:
        raise UserError(f"{source.files}: no instruction is left of {len(rows)} rows and {len(templates)} templates")
    return found


def _held_out(rows: Sequence[Row], share: float) -> list[bool]:
    """Whether each row is held out: those of the lowest digests, so that equal rows are on one side."""
    digests = [hashlib.sha256(json.dumps(values, sort_keys=True).encode()).digest() for _, values in rows]
    count = int(share * len(rows))
    border = sorted(digests)[count - 1] if count else b""
    return [digest <= border for digest in digests]
