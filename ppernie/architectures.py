"""Architectures that several families share, as typed fields."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


def check_multiple(config: BaseModel, size: str, parts: str) -> None:
    """Raises ValueError unless the field ``size`` is a multiple of the field ``parts``."""
    whole, count = getattr(config, size), getattr(config, parts)
    if whole % count:
        raise ValueError(f"{size} {whole} is not a multiple of {parts} {count}")


class HeadedConfig(BaseModel):
    """What an architecture with attention says of its heads, beside ``hidden_size`` and ``num_attention_heads``."""

    head_dim: int | None = Field(
        default=None, ge=1, le=65_536, description="width of a head; hidden_size / num_attention_heads where null"
    )

    @model_validator(mode="after")
    def _heads_fill_the_width(self) -> HeadedConfig:
        if self.head_dim is None:
            check_multiple(self, "hidden_size", "num_attention_heads")
        return self

    @property
    def head_size(self) -> int:
        """Width of a head."""
        sizes: Any = self
        return self.head_dim or sizes.hidden_size // sizes.num_attention_heads

    @property
    def attention_size(self) -> int:
        """Width of all heads together: the network's own unless heads were pruned."""
        sizes: Any = self
        return sizes.num_attention_heads * self.head_size


class EncoderConfig(HeadedConfig):
    """A text encoder (``ppernie.nn.TextEncoder``); every field is explicit."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    vocab_size: int = Field(ge=1, le=10_000_000, description="rows of the word table")
    hidden_size: int = Field(ge=1, le=65_536, description="width of the encoder")
    num_hidden_layers: int = Field(ge=1, le=1_024, description="encoder layers")
    num_attention_heads: int = Field(ge=1, le=1_024, description="heads; divide hidden_size where head_dim is null")
    intermediate_size: int = Field(ge=1, le=1_048_576, description="width inside the feed-forward network")
    hidden_act: Literal["gelu", "relu"] = Field(description="activation of the feed-forward network")
    hidden_dropout_prob: float = Field(ge=0, lt=1, description="dropout of embeddings and layer outputs")
    attention_probs_dropout_prob: float = Field(ge=0, lt=1, description="dropout of attention weights")
    classifier_dropout: float | None = Field(
        default=None, ge=0, lt=1, description="dropout before the head; hidden_dropout_prob where null"
    )
    max_position_embeddings: int = Field(ge=1, le=1_048_576, description="longest input in tokens")
    type_vocab_size: int = Field(ge=1, le=1_024, description="number of segment types")
    task_type_vocab_size: int = Field(ge=0, le=1_024, description="number of task types; 0: no task table")
    initializer_range: float = Field(gt=0, description="standard deviation of new weights")
    layer_norm_eps: float = Field(
        gt=0, description="epsilon of layer norms; 1e-12 in released ERNIE, 1e-5 in ERNIE-Gram"
    )
    pad_token_id: int = Field(ge=0, description="id of the padding token")

    @model_validator(mode="after")
    def _sizes_agree(self) -> EncoderConfig:
        if self.pad_token_id >= self.vocab_size:
            raise ValueError(f"pad_token_id {self.pad_token_id} lies outside the vocabulary of {self.vocab_size}")
        return self

    @property
    def head_dropout(self) -> float:
        """Dropout before a task head."""
        return self.hidden_dropout_prob if self.classifier_dropout is None else self.classifier_dropout
