"""The parity tests' functions, for ERNIE."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace

import numpy as np
import paddle
import pytest

from model_zoo.ernie3 import modeling
from model_zoo.ernie3.config import ErnieConfig


@pytest.fixture
def parity(parity: SimpleNamespace) -> SimpleNamespace:
    """The functions of ``tests/parity``; ``build`` takes the name of one of our classes."""

    def build(architecture: str, config: ErnieConfig, state: Mapping[str, np.ndarray]) -> paddle.nn.Layer:
        return parity.build(getattr(modeling, architecture), config, state)

    return SimpleNamespace(**(vars(parity) | {"build": build}))
