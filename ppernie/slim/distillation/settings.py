"""The section ``Slim.distillation``, as typed fields; without paddle."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from ppernie.section import Section

Factor = Annotated[float, Field(gt=0, description="Factor of this loss in the total")]
LayerMap = Annotated[
    Literal["uniform", "last"] | list[Annotated[int, Field(ge=1)]],
    Field(
        description="Which layer each of the student's learns from: uniform (every third of a teacher three times as"
        " deep), last (the last from the last, the others from none), or the teacher's layer for each, from 1"
    ),
]
Width = Annotated[float, Field(gt=0, le=1)]
StudentName = Annotated[str, Field(pattern="^[a-z0-9_-]+$")]


class LayerLoss(Section):
    """A loss between layers."""

    weight: Factor = 1.0
    layers: LayerMap = "uniform"


class Relations(Section):
    """Relations between the tokens of a text, as distributions (Wang et al. 2020, arXiv:2012.15828)."""

    weight: Factor = 1.0
    layers: LayerMap = "last"
    pairs: list[Literal["qq", "kk", "vv", "qk"]] = Field(
        default=["qq", "kk", "vv"],
        min_length=1,
        description="What is compared with what: queries, keys, values with themselves; qk is the attention itself",
    )
    heads: int | None = Field(
        default=None, ge=1, description="Parts into which all heads together are cut anew; null: the student's heads"
    )


class Sentences(Section):
    """Relations between the texts of a batch, by the first token of the last layer; tokenizers may differ."""

    weight: Factor = 1.0


class SoftLabels(Section):
    """The teacher's answers (Hinton et al. 2015, arXiv:1503.02531); of scores, the squared difference."""

    weight: Factor = 1.0
    temperature: float = Field(default=1.0, gt=0, description="Divides the logits of both")


class HardLabels(Section):
    """What the task asks for by itself."""

    weight: Factor = 1.0


class Student(Section):
    """A network beside the run's own that learns at the same time; it is of the same class (Arch.name)."""

    variant: str | None = Field(default=None, description="Released size whose fields it has; null takes Arch's")
    fields: dict[str, Any] = Field(default={}, description="Architecture fields in place of the variant's")
    pretrained_model: str | None = Field(default=None, description="Model whose weights it starts from")
    learns_from: Literal["assistant", "teacher"] = Field(
        default="assistant", description="The run's own network, as it is at the time, or the frozen teacher"
    )
    extra_layer: bool = Field(
        default=False, description="Learn with one more layer on top, which is dropped from what is saved"
    )


class Augmentation(Section):
    """Other words in the training texts, drawn anew in every epoch."""

    words: Literal["part_of_speech", "masked_lm"] = Field(
        default="part_of_speech",
        description="Where they come from: words of the training texts of the same part of speech, or what a masked "
        "language model would put there",
    )
    rate: float = Field(default=0.1, gt=0, le=1, description="Probability of replacing a word")
    share: float = Field(default=0.5, gt=0, le=1, description="Share of the texts that are changed at all")
    model: str | None = Field(default=None, description="The masked language model; null takes the teacher")
    top_k: int = Field(default=8, ge=1, description="Tokens of the masked language model to draw from")


class Stage(Section):
    """One run of a chain."""

    config: str = Field(min_length=1, description="Config file, relative to the chain's")
    override: list[str] = Field(default=[], description="Keys to set in it, as after -o")
    output_dir: str | None = Field(default=None, description="Its folder, for a stage that several chains share")


class Distil(Section):
    """A student of the model to compress."""

    stages: dict[StudentName, Stage] = Field(
        min_length=1,
        description="Runs by name, in order, each from the best model of the one before; their config files are"
        " relative to the working folder, and Slim.distillation.teacher is the model to compress unless override says"
        " otherwise",
    )


class Distillation(Section):
    """A run that learns from a teacher; losses that are null are left out."""

    teacher: str | None = Field(
        default=None, description="Frozen teacher: a released name, a folder, a file or an address"
    )
    hidden: LayerLoss | None = Field(
        default=None,
        description="Squared difference of hidden states, the embeddings' among them, through learnt projections",
    )
    attention: LayerLoss | None = Field(
        default=None, description="Squared difference of attention scores before the softmax; as many heads"
    )
    relation: Relations | None = Field(default=None, description="Relations between the tokens of a text")
    sentence: Sentences | None = Field(default=None, description="Relations between the texts of a batch")
    soft: SoftLabels | None = Field(default=None, description="The teacher's answers")
    hard: HardLabels | None = Field(default=None, description="The labels, or what else the task itself asks for")
    students: dict[StudentName, Student] = Field(
        default={}, description="Networks that learn at the same time, by the names of their folders"
    )
    augmentation: Augmentation | None = Field(default=None, description="Other words in the training texts")
    widths: list[Width] = Field(
        default=[],
        description="Shares of its own heads and neurons, the first ones of each layer, with which the run's network "
        "learns, at all of them at once; it is evaluated with the first share (DynaBERT: Hou et al. 2020)",
    )

    @model_validator(mode="after")
    def _someone_teaches(self) -> Distillation:
        followed = [self.hidden, self.attention, self.relation, self.sentence, self.soft]
        learns = any(loss is not None for loss in followed)
        direct = [name for name, student in self.students.items() if student.learns_from == "teacher"]
        if "own" in self.students:
            raise ValueError("students.own: is what the run's own network is called; choose another name")
        if self.teacher is None and direct:
            raise ValueError(f"students.{direct[0]} learns from the teacher, and none is named")
        if (self.teacher or self.students) and not learns:
            raise ValueError("nothing is learnt from it; set hidden, attention, relation, sentence or soft")
        if self.teacher is None and not self.students:
            raise ValueError("names neither a teacher nor students")
        if self.teacher is None and self.widths:
            raise ValueError("widths: learn from the teacher, and none is named")
        if self.teacher is None and self.hard is None:
            raise ValueError("without a teacher the network has only its own task to learn; set hard: {}")
        return self
