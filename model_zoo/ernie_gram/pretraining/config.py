"""Sizes and switches of what pretraining adds to an ERNIE-Gram encoder."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ppernie.architectures import check_multiple

Prediction = Literal["contiguous", "explicit", "comprehensive"]


class GeneratorConfig(BaseModel):
    """The small encoder that proposes n-grams in pretraining; the paper does not state its sizes."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    num_hidden_layers: int = Field(default=4, ge=1, description="encoder layers")
    hidden_size: int = Field(default=256, ge=1, description="width")
    num_attention_heads: int = Field(default=4, ge=1, description="heads; divide hidden_size")
    intermediate_size: int = Field(default=1024, ge=1, description="width inside the feed-forward network")

    @model_validator(mode="after")
    def _sizes_agree(self) -> GeneratorConfig:
        check_multiple(self, "hidden_size", "num_attention_heads")
        return self


class PretrainingConfig(BaseModel):
    """What pretraining adds to the encoder, and fine-tuning leaves: predictions and the generator.

    Its sizes stand beside the encoder's, not among them, so that a pretrained model is a plain encoder to all else.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    prediction: Prediction = Field(
        default="comprehensive",
        description="contiguous: each token of a hidden unit under a mask of its own; explicit: a unit under one mask, "
        "as one class; comprehensive: as one class and token by token",
    )
    output_size: int = Field(default=128, ge=1, description="width of the tables over tokens and n-grams")
    generator: GeneratorConfig | None = Field(
        default=None, description="Puts likely n-grams in place of the masks; null leaves the masks"
    )

    @model_validator(mode="after")
    def _generator_has_masks_of_units(self) -> PretrainingConfig:
        if self.generator and self.prediction == "contiguous":
            raise ValueError("a generator needs units under one mask each: prediction explicit or comprehensive")
        return self
