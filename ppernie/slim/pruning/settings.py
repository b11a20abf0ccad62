"""The pruning keys of the section ``Slim``, as typed fields; without paddle."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from ppernie.section import Section
from ppernie.slim.distillation.settings import HardLabels, LayerLoss, SoftLabels

#: A share of a run, or a number of steps.
Amount = Annotated[float, Field(ge=0, lt=1)] | Annotated[int, Field(ge=0)]


class Vocabulary(Section):
    """Fewer tokens, and fewer positions."""

    max_size: int = Field(
        ge=1,
        description="Tokens to keep: the special ones, and the most frequent of Data.train and Data.eval; what never"
        " occurs there is dropped in any case",
    )
    max_length: int | None = Field(
        default=None, ge=4, description="Positions to keep, of the longest input in tokens; null keeps them all"
    )


def _ascending(layers: int | list[int]) -> int | list[int]:
    if isinstance(layers, list) and layers != sorted(set(layers)):
        raise ValueError(f"{layers} must ascend, each layer once: they keep their order")
    return layers


class Layers(Section):
    """Fewer layers."""

    keep: Annotated[
        Annotated[int, Field(ge=1)] | Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=1)],
        AfterValidator(_ascending),
    ] = Field(description="How many, spread evenly and the last among them, or which, counted from 1")


def _each_once(widths: list[float]) -> list[float]:
    if len(set(widths)) < len(widths):
        raise ValueError(f"{widths} names a width twice")
    return widths


class Width(Section):
    """Fewer heads and neurons (DynaBERT: Hou et al. 2020, arXiv:2004.04037).

    One network learns at all widths at once from the one that it was; without a loss the least important are cut, and
    nothing is trained.
    """

    widths: Annotated[list[Annotated[float, Field(gt=0, le=1)]], AfterValidator(_each_once)] = Field(
        min_length=1,
        description="Shares of heads and neurons to keep; the recipe goes on with the first, the others lie beside the"
        " run (width/widths)",
    )
    hidden: LayerLoss | None = Field(
        default=LayerLoss(weight=0.1), description="Squared difference of hidden states, the embeddings' among them"
    )
    soft: SoftLabels | None = Field(default=SoftLabels(), description="The answers of the network before")
    hard: HardLabels | None = Field(default=None, description="The labels, beside hidden or soft")

    @model_validator(mode="after")
    def _labels_are_beside(self) -> Width:
        if self.hard and not (self.hidden or self.soft):
            raise ValueError("hard goes with hidden or soft, which the widths learn from")
        return self


class Sparsity(Section):
    """Single weights become 0, the smallest ones of each matrix first (Zhu and Gupta 2017, arXiv:1710.01878)."""

    target: float = Field(gt=0, lt=1, description="Share of 0 at the end, in each matrix of the layers")
    begin: Amount = Field(default=0, description="Where it begins to grow: a share of the run (0.1) or steps (100)")
    end: Amount = Field(
        default=0.5, description="Where it reaches the target, a share or steps; the rest of the run recovers"
    )
    every: int = Field(default=10, ge=1, description="Steps between two prunings")
