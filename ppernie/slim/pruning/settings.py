"""The pruning keys of the section ``Slim``, as typed fields; without paddle."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


class _Fields(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Vocabulary(_Fields):
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


class Layers(_Fields):
    """Fewer layers."""

    keep: Annotated[
        Annotated[int, Field(ge=1)] | Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=1)],
        AfterValidator(_ascending),
    ] = Field(description="How many, spread evenly and the last among them, or which, counted from 1")
