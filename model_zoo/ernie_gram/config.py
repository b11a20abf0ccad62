"""Sizes and switches of the released ERNIE-Gram encoders."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ppernie.architectures import EncoderConfig


class ErnieGramConfig(EncoderConfig):
    """Architecture of an ERNIE-Gram encoder; ``zoo.yaml`` holds the released ones."""

    task_type_vocab_size: Literal[0] = Field(default=0, description="ERNIE-Gram has no task types")
    rel_pos_size: Literal[0, 33] = Field(
        description="rows of the table of relative positions: 33 in English, 0 (no table) in Chinese"
    )
