"""Sizes and switches of the paper's network."""

from __future__ import annotations

import math
from typing import Any

from pydantic import Field, model_validator

from ppernie.architectures import EncoderConfig, check_multiple


class UniversalConfig(EncoderConfig):
    """Architecture of ERNIE 3.0's network; the fields of ``EncoderConfig`` are those of the trunk."""

    max_position_embeddings: int = Field(
        ge=1, le=1_048_576, description="longest segment in tokens; positions are relative and have no table"
    )
    memory_length: int = Field(ge=0, le=1_048_576, description="tokens of earlier segments that generation sees")
    branch_hidden_size: int = Field(ge=1, le=65_536, description="width of the two task modules")
    branch_num_layers: int = Field(ge=1, le=1_024, description="layers of each task module")
    branch_num_heads: int = Field(ge=1, le=1_024, description="heads of a task module; divide branch_hidden_size")
    branch_intermediate_size: int = Field(ge=1, le=1_048_576, description="width inside their feed-forward networks")
    max_reordered: int = Field(
        ge=1, le=8, description="most pieces that sentence reordering permutes; its classes are the sum of n! up to it"
    )
    freeze_trunk: bool = Field(default=False, description="train the task modules and the heads alone")

    @model_validator(mode="after")
    def _universal_sizes_agree(self) -> UniversalConfig:
        check_multiple(self, "branch_hidden_size", "branch_num_heads")
        for name in ("hidden_size", "branch_hidden_size"):
            if getattr(self, name) % 2:
                raise ValueError(f"{name} {getattr(self, name)} is odd; a relative position is sines and cosines")
        return self

    @property
    def reordering_classes(self) -> int:
        """All orders of 1, of 2, ... of ``max_reordered`` pieces."""
        return sum(math.factorial(n) for n in range(1, self.max_reordered + 1))


def parameter_count(config: UniversalConfig) -> int:
    """Numbers in the network for pretraining.

    With hidden size h, heads that are together a wide (h unless some were pruned) and inner size f, a layer has

    * the projections of queries, of keys and values, and of the output: 3 (h a + a) + a h + h,
    * that of the distances, and the two vectors that every head adds to its queries: h a + 2a,
    * the feed-forward network: 2 h f + f + h,
    * two layer norms: 4h.

    Outside stand the word table (v h), those of the types (h a row), and the norm of their sum (2h). A task module of
    width b has before its layers the bridge (h b + b) and a norm (2b), and after them the head of the vocabulary: a
    linear map back (b h + h), a norm (2h), and v biases; its matrix is the word table. The NLU module has two
    classifiers more, of k orders and of 3 distances: (b + 1) (k + 3).
    """
    h, b, v = config.hidden_size, config.branch_hidden_size, config.vocab_size
    tables = (v + config.type_vocab_size + config.task_type_vocab_size) * h + 2 * h
    trunk = config.num_hidden_layers * _layer(h, config.attention_size, config.intermediate_size)
    branch = config.branch_num_layers * _layer(b, b, config.branch_intermediate_size) + (h * b + b + 2 * b)
    head = (b * h + h) + 2 * h + v
    return tables + trunk + 2 * (branch + head) + (b + 1) * (config.reordering_classes + 3)


def _layer(h: int, a: int, f: int) -> int:
    return 3 * (h * a + a) + (a * h + h) + (h * a + 2 * a) + (2 * h * f + f + h) + 4 * h


def _sizes(layers: int, hidden: int, heads: int, branch_layers: int, branch_hidden: int, branch_heads: int) -> Any:
    return {
        "vocab_size": 40_000,
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "intermediate_size": 4 * hidden,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "attention_probs_dropout_prob": 0.1,
        "max_position_embeddings": 512,
        "type_vocab_size": 4,
        "task_type_vocab_size": 0,
        "initializer_range": 0.02,
        "layer_norm_eps": 1e-5,
        "pad_token_id": 0,
        "memory_length": 128,
        "branch_hidden_size": branch_hidden,
        "branch_num_layers": branch_layers,
        "branch_num_heads": branch_heads,
        "branch_intermediate_size": 4 * branch_hidden,
        "max_reordered": 3,
    }


# The paper gives the trunks of 1.5B and 10B, the modules of 10B, and 40,000 is the vocabulary of the released encoders.
VARIANTS: dict[str, dict[str, Any]] = {
    "tiny": _sizes(4, 256, 4, 2, 128, 2),
    "base": _sizes(12, 768, 12, 4, 384, 6),
    "1.5B": _sizes(48, 1536, 24, 12, 768, 12),
    "10B": _sizes(48, 4096, 64, 12, 768, 12),
}
