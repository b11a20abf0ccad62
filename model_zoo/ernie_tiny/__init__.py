"""ERNIE-Tiny: ``ernie-tiny`` of 2019 and ERNIE 3.0 Tiny, small encoders whose network is the family ``ernie3``."""

architectures: dict[str, tuple[str, ...]] = {}
