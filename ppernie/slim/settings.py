"""What a recipe is told beside its steps, as typed fields; without paddle."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ppernie.section import Section


class Gate(Section):
    """What all steps together may cost."""

    points: float = Field(
        default=0.5,
        gt=0,
        description="Points of the metric that may be lost, of which 1.0 has 100; a loss or a perplexity may rise by so"
        " many percent",
    )


class Latency(Section):
    """How long an answer takes, measured for the source and after each step in turns."""

    batches: list[Annotated[int, Field(ge=1)]] = Field(default=[1], min_length=1, description="Texts in a batch")
    length: int = Field(default=128, ge=4, description="Tokens of each; at most those that every model reads")
    rounds: int = Field(default=5, ge=1, description="Timed turns of each")
