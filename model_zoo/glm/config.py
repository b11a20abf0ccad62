"""Sizes and switches that tell GLM-130B, the smaller GLMs and ChatGLM-6B apart."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field, model_validator

from ppernie.architectures import HeadedConfig


class GlmConfig(HeadedConfig):
    """Architecture of a GLM; ``zoo.yaml`` holds the released ones. Every linear map has a bias."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    vocab_size: int = Field(ge=1, le=10_000_000, description="rows of the word table")
    hidden_size: int = Field(ge=1, le=65_536, description="width of the network")
    num_hidden_layers: int = Field(ge=1, le=1_024, description="layers")
    num_attention_heads: int = Field(ge=1, le=1_024, description="heads; divide hidden_size where head_dim is null")
    intermediate_size: int = Field(ge=1, le=1_048_576, description="width inside the feed-forward network")
    max_position_embeddings: int = Field(ge=1, le=1_048_576, description="longest input in tokens")
    normalization: Literal["pre", "deepnorm"] = Field(
        description="pre: layer norm before each part; deepnorm: after it, the residual times sqrt(2 layers)"
    )
    positions: Literal["learned_2d", "rotary_1d", "rotary_2d"] = Field(
        description="learned_2d: tables for position and place in the blank; rotary_1d: the whole head is rotated; "
        "rotary_2d: half of the head for position, half for the place in the blank"
    )
    rotary_precision: Literal["float32", "float16"] = Field(
        default="float32", description="of the rotation's angles; GLM-130B was trained with float16"
    )
    feed_forward: Literal["gelu_tanh", "geglu"] = Field(
        description="gelu_tanh: GELU's tanh form; geglu: one half times the exact GELU of the other"
    )
    embedding_gradient: float = Field(
        default=1.0, gt=0, le=1, description="factor of the gradient that looking up words gives their table"
    )
    layer_norm_eps: float = Field(gt=0, description="epsilon of layer norms")
    attention_dropout_prob: float = Field(ge=0, lt=1, description="dropout of attention weights")
    hidden_dropout_prob: float = Field(ge=0, lt=1, description="dropout of embeddings and layer outputs")

    @model_validator(mode="after")
    def _sizes_agree(self) -> GlmConfig:
        if self.positions != "learned_2d" and self.rotated_size % 2:
            raise ValueError(
                f"a head of {self.head_size} numbers leaves {self.rotated_size} to rotate; they are turned in pairs"
            )
        return self

    @property
    def position_rows(self) -> int:
        """Position ids that every token has: 1, or 2 with the place in the blank."""
        return 1 if self.positions == "rotary_1d" else 2

    @property
    def rotated_size(self) -> int:
        """Numbers of a head that one position rotates."""
        return self.head_size // self.position_rows

    @property
    def gated(self) -> bool:
        """Whether the first map of the feed-forward network makes values and gates."""
        return self.feed_forward == "geglu"

    @property
    def learned_positions(self) -> int:
        """Rows of each table of positions, 0 without them; one more than the longest input, as the place in a blank
        counts from 1."""
        return self.max_position_embeddings + 1 if self.positions == "learned_2d" else 0

    @property
    def feed_forward_outputs(self) -> int:
        """Outputs of the feed-forward network's first map."""
        return self.intermediate_size * (2 if self.gated else 1)

    @property
    def residual_scale(self) -> float:
        """DeepNorm's alpha, the factor of the residual; 1 without DeepNorm."""
        return (2 * self.num_hidden_layers) ** 0.5 if self.normalization == "deepnorm" else 1.0


def parameter_count(config: GlmConfig) -> int:
    """Numbers in the network; its output head is the word table.

    With hidden size h, heads that are together a wide (h unless some were pruned), inner size f and u = 2f for GEGLU,
    whose first map makes both halves, else u = f, a layer has

    * the joint projection of queries, keys and values: 3h a + 3a,
    * the projection of the attention's output: a h + h,
    * the two maps of the feed-forward network: u h + u and h f + h,
    * two layer norms: 4h.

    Outside the layers stand the word table (v h), the last layer norm (2h), and for learned positions two tables of one
    row more than the longest input. Rotations have no parameters.
    """
    h, f, v = config.hidden_size, config.intermediate_size, config.vocab_size
    a, u = config.attention_size, config.feed_forward_outputs
    layer = (3 * h * a + 3 * a) + (a * h + h) + (u * h + u) + (h * f + h) + 4 * h
    return config.num_hidden_layers * layer + v * h + 2 * config.learned_positions * h + 2 * h
