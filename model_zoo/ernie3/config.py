"""Sizes and switches of the released ERNIE encoders."""

from __future__ import annotations

from ppernie.architectures import EncoderConfig


class ErnieConfig(EncoderConfig):
    """Architecture of an ERNIE 1.0/2.0/3.0 encoder; ``zoo.yaml`` holds the released ones."""
