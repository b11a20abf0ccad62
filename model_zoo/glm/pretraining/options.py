"""What a pretraining run chooses; defaults are GLM-130B's (arXiv:2210.02414, section 2.2 and table 11)."""

from __future__ import annotations

from pydantic import Field, model_validator

from model_zoo.glm.pretraining.instructions import InstructionOptions
from ppernie.tasks.base import TaskOptions


class Options(TaskOptions):
    gmask: float = Field(default=0.7, ge=0, le=1, description="share of the texts' windows whose end is hidden")
    smask: float = Field(
        default=0.0, ge=0, le=1, description="share of those with hidden sentences; the rest has hidden spans"
    )
    min_ending: float = Field(default=0.2, gt=0, le=0.5, description="least share of a text that [gMASK] hides")
    mask_rate: float = Field(default=0.15, gt=0, le=0.25, description="least share of a text that its spans make up")
    span_mean: float = Field(default=3.0, gt=0, description="mean of the Poisson distribution of spans' lengths")
    single_span: float = Field(default=0.02, ge=0, le=1, description="share of windows with one span a sample")
    short_samples: float = Field(
        default=0.02, ge=0, le=1, description="share of windows whose samples are cut shorter, and are more"
    )
    samples: int = Field(default=4, ge=1, description="samples in a window, but for [gMASK]")
    instructions: InstructionOptions | None = Field(default=None, description="prompts and targets; null has none")

    @model_validator(mode="after")
    def _shares_fit(self) -> Options:
        if self.gmask + self.smask > 1 + 1e-9:
            raise ValueError(f"gmask {self.gmask} and smask {self.smask} are shares, and more than 1 together")
        return self

    def reads(self) -> list[str]:
        return self.instructions.reads() if self.instructions else []

    @property
    def shares(self) -> dict[str, float]:
        """Of each objective among all windows; one that has no share is left out."""
        instructed = self.instructions.share if self.instructions else 0.0
        of_texts = {"gmask": self.gmask, "mask": 1.0 - self.gmask - self.smask, "smask": self.smask}
        shares = {name: (1.0 - instructed) * share for name, share in of_texts.items()} | {"instructions": instructed}
        return {name: share for name, share in shares.items() if share > 1e-9}
