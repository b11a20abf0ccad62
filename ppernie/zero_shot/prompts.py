"""The tasks of a prompt file, each of one of four kinds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

from ppernie.config.validation import load_as
from ppernie.zero_shot.templates import Prompt, Template


class Blank(BaseModel):
    """A gap in a text, whose two sides are the columns ``before`` and ``after``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    column: str = Field(description="the text")
    mark: str = Field(min_length=1, description="what stands in the gap; once in every text")


class _Task(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    files: str | list[str] = Field(description="JSON files or patterns, below the data folder")

    def problems(self) -> dict[str, str]:
        """What is wrong between keys, by key; "" for the task as a whole."""
        return {}


class ChoiceTask(_Task):
    """Rows with choices, of which one is right.

    The columns of a row fill the templates; ``{label}`` is what a choice is called. Of ``cluewsc`` the columns are
    ``before`` and ``after`` the pronoun, ``pronoun`` and ``candidate``; of ``people_daily`` they are ``passage``
    without the sentence that was asked, ``query``, ``words`` and ``answer``.
    """

    kind: Literal["choice"] = "choice"
    layout: Literal["rows", "cluewsc", "people_daily"] = Field(
        default="rows",
        description="cluewsc: rows of a Winograd schema; people_daily: numbered sentences and a query, cut into words",
    )
    answer: str = Field(description="column of the right choice")
    choices: dict[str, Template] | None = Field(
        default=None, min_length=2, description="what each value of that column is called; may name columns"
    )
    candidates: str | None = Field(default=None, description="column of a list, of which the answer is an index")
    words: str | None = Field(
        default=None,
        description="column of a passage, whose words are the choices: a list of them, or a text that jieba cuts",
    )
    blank: Blank | None = None
    negatives: int | None = Field(default=None, ge=1, description="wrong choices that a row has, drawn at random")
    unique: bool = Field(default=False, description="rows with the same candidates share them out, each at most once")
    prompt: Prompt = Field(description="text before the label: gives P(x,y), P(y|x) and P(y)")
    reverse: Prompt = Field(description="label before the text: gives P(x|y)")
    pair: tuple[Template, Prompt] = Field(description="two sentences for the distance head: gives P(True|x,y)")

    def problems(self) -> dict[str, str]:
        found = {}
        if sum(source is not None for source in (self.choices, self.candidates, self.words)) != 1:
            found[""] = "must name one of choices, candidates and words, and no more"
        if self.unique and self.candidates is None:
            found["unique"] = "goes with candidates, which rows can share"
        if self.negatives is not None and self.choices is not None and len(self.choices) <= self.negatives:
            found["negatives"] = f"needs more than {self.negatives} choices to draw from"
        if self.layout == "cluewsc" and self.blank is not None:
            found["blank"] = "goes with rows; in cluewsc the pronoun is the gap"
        return found


class PassageTask(_Task):
    """Passages in CMRC 2019's layout: several blanks, ``[BLANK1]`` and so on, share out a list of choices."""

    kind: Literal["passage"]
    negatives: int | None = Field(
        default=3, ge=1, description="wrong choices that a blank has, drawn at random; null: all"
    )
    beams: int = Field(default=8, ge=1, description="ways to fill the blanks so far that are kept")


class PerplexityTask(_Task):
    """Texts, of which the network's perplexity is measured."""

    kind: Literal["perplexity"]
    blank: Blank | None = None
    text: Template = Field(description="the whole text; names columns")


class SpanTask(_Task):
    """Questions, each with a ``context`` that holds its answer, in SQuAD's layout or in rows of the same columns."""

    kind: Literal["span"]
    prompt: Prompt = Field(description="text before the label, and behind it what ends an answer; nothing: [SEP]")
    beams: int = Field(default=8, ge=1, le=64, description="beginnings of answers that are kept")
    max_answer_length: int | None = Field(
        default=None,
        ge=1,
        description="longest answer in tokens; null: the 95th percentile of the right ones that were read",
    )
    style: Literal["cmrc", "squad"] = Field(
        default="cmrc", description="whose exact match and F1: CMRC 2018's for Chinese, SQuAD's for English"
    )


Task = ChoiceTask | PassageTask | PerplexityTask | SpanTask


def _kind(values: Any) -> Any:
    return values.get("kind", "choice") if isinstance(values, dict) else "choice"


class PromptFile(BaseModel):
    """Tasks by name."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tasks: dict[
        str,
        Annotated[
            Annotated[ChoiceTask, Tag("choice")]
            | Annotated[PassageTask, Tag("passage")]
            | Annotated[PerplexityTask, Tag("perplexity")]
            | Annotated[SpanTask, Tag("span")],
            Discriminator(
                _kind,
                custom_error_type="kind",
                custom_error_message="kind must be choice, passage, perplexity or span",
            ),
        ],
    ] = Field(min_length=1)


def read_prompts(path: str | Path) -> dict[str, Task]:
    """The tasks of a YAML file. Raises UserError with all that is wrong with it."""
    file, report = load_as(PromptFile, path)
    for name, task in (file.tasks if file else {}).items():
        for key, problem in task.problems().items():
            report.add(("tasks", name, key) if key else ("tasks", name), problem)
    report.raise_problems()
    assert file
    return file.tasks
