"""How the next token is chosen, as a config says it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class Decoding(BaseModel):
    """The choice of tokens; beams keep several texts and choose the likeliest, the others one."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    strategy: Literal["greedy", "sample", "beam"] = Field(
        default="greedy", description="the likeliest token, a random one, or the likeliest text of several beams"
    )
    temperature: float = Field(default=1.0, gt=0, description="of sample: scores are divided by it")
    top_k: int | None = Field(default=None, ge=1, description="of sample: among so many likeliest tokens; null: all")
    top_p: float = Field(
        default=1.0, gt=0, le=1, description="of sample: among the fewest tokens whose probabilities reach this sum"
    )
    seed: int = Field(default=0, ge=0, description="of sample")
    beams: int = Field(default=4, ge=1, le=64, description="of beam: texts that are kept")
    beam_rule: Literal["mean", "gnmt"] = Field(
        default="mean",
        description="of beam: mean divides log-probabilities by the number of new tokens; gnmt, as GLM-130B does, by "
        "(5 + length) / 6, where the prompt counts too, and goes on until as many texts as beams have ended better",
    )
    length_penalty: float = Field(default=1.0, ge=0, description="of beam: the power to which that divisor is raised")
    no_repeat_ngram: int | None = Field(
        default=None, ge=1, description="no run of so many new tokens occurs twice; null allows it"
    )
    min_new_tokens: int = Field(default=0, ge=0, description="the text does not end before so many tokens")
    banned_ids: list[Annotated[int, Field(ge=0)]] = Field(default=[], description="tokens that never come")
