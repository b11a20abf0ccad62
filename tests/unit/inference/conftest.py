"""A tiny tagger, exported once."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ppernie.export import Contents, Field, export_model

MAX_LENGTH = 32
TAGS = 3


@pytest.fixture(scope="session")
def tagger(make_model: Callable[..., Any]) -> Any:
    """The network itself."""
    model = make_model("ErnieForTokenClassification", num_labels=TAGS)
    model.eval()
    return model


@pytest.fixture(scope="session")
def request_of(arch: dict[str, Any]) -> Callable[[int, int], dict[str, np.ndarray]]:
    """Random ids of a shape, the same for the same shape."""

    def make(batch: int, length: int) -> dict[str, np.ndarray]:
        random = np.random.default_rng(100 * batch + length)
        return {
            "input_ids": random.integers(1, arch["vocab_size"], (batch, length)),
            "token_type_ids": random.integers(0, arch["type_vocab_size"], (batch, length)),
        }

    return make


@pytest.fixture(scope="session")
def exported(
    tagger: Any,
    arch: dict[str, Any],
    request_of: Callable[[int, int], dict[str, np.ndarray]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """The tagger's export."""
    folder = tmp_path_factory.mktemp("inference") / "export"
    fields = [
        Field("input_ids", "int64", ("batch", "length"), 0, arch["vocab_size"]),
        Field("token_type_ids", "int64", ("batch", "length"), 0, arch["type_vocab_size"]),
    ]
    outputs = [("batch", "length", "tags")]
    samples = [request_of(1, 5), request_of(3, 12)]
    contents = Contents(fields, outputs, MAX_LENGTH, samples, {"labels": ["B", "I", "O"]})
    export_model(tagger, contents, folder, 1e-4)
    return folder


@pytest.fixture
def copied(exported: Path, tmp_path: Path) -> Path:
    """A copy of the export that a test may break."""
    return Path(shutil.copytree(exported, tmp_path / "export"))
