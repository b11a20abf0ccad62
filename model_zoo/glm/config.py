"""Sizes and switches that tell GLM-130B, the smaller GLMs and ChatGLM-6B apart."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class GlmConfig(BaseModel):
    """Architecture of a GLM; ``zoo.yaml`` holds the released ones. Every linear map has a bias."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    vocab_size: int = Field(ge=1, le=10_000_000, description="rows of the word table")
    hidden_size: int = Field(ge=1, le=65_536, description="width of the network")
    num_hidden_layers: int = Field(ge=1, le=1_024, description="layers")
    num_attention_heads: int = Field(ge=1, le=1_024, description="heads; divide hidden_size")
    intermediate_size: int = Field(ge=1, le=1_048_576, description="width inside the feed-forward network")
    max_sequence_length: int = Field(ge=1, le=1_048_576, description="longest input in tokens")
    normalization: Literal["pre", "deepnorm"] = Field(
        description="pre: layer norm before each part; deepnorm: after it, the residual times sqrt(2 layers)"
    )
    positions: Literal["learned_2d", "rotary_1d", "rotary_2d"] = Field(
        description="learned_2d: tables for position and place in the blank; rotary_1d: the whole head is rotated; "
        "rotary_2d: half of the head for position, half for the place in the blank"
    )
    query_key_value: Literal["split", "interleaved"] = Field(
        description="rows of the joint projection: all queries, keys, values; or the three of each head in turn"
    )
    feed_forward: Literal["gelu_tanh", "geglu"] = Field(
        description="gelu_tanh: GELU's tanh form; geglu: one half times the exact GELU of the other"
    )
    tied_head: bool = Field(description="whether the output projection is the word table")
    layer_norm_eps: float = Field(gt=0, description="epsilon of layer norms")
    attention_dropout_prob: float = Field(ge=0, lt=1, description="dropout of attention weights")
    hidden_dropout_prob: float = Field(ge=0, lt=1, description="dropout of embeddings and layer outputs")

    @model_validator(mode="after")
    def _sizes_agree(self) -> GlmConfig:
        if self.hidden_size % self.num_attention_heads:
            raise ValueError(
                f"hidden_size {self.hidden_size} is not a multiple of num_attention_heads {self.num_attention_heads}"
            )
        return self

    @property
    def residual_scale(self) -> float:
        """DeepNorm's alpha, the factor of the residual; 1 without DeepNorm."""
        return (2 * self.num_hidden_layers) ** 0.5 if self.normalization == "deepnorm" else 1.0


def parameter_count(config: GlmConfig) -> int:
    """Numbers in the network with its output head.

    With hidden size h, inner size f and u = 2f for GEGLU, whose first map makes both halves, else u = f, a layer has

    * the joint projection of queries, keys and values: 3h h + 3h,
    * the projection of the attention's output: h h + h,
    * the two maps of the feed-forward network: u h + u and h f + h,
    * two layer norms: 4h.

    Outside the layers stand the word table (v h), the last layer norm (2h), for learned positions two tables of one row
    more than the longest input, and for a head of its own another v h. Rotations have no parameters.
    """
    h, f, v = config.hidden_size, config.intermediate_size, config.vocab_size
    u = 2 * f if config.feed_forward == "geglu" else f
    layer = (3 * h * h + 3 * h) + (h * h + h) + (u * h + u) + (h * f + h) + 4 * h
    positions = 2 * (config.max_sequence_length + 1) * h if config.positions == "learned_2d" else 0
    return config.num_hidden_layers * layer + (v * h) * (1 if config.tied_head else 2) + positions + 2 * h
