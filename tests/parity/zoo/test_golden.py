"""Folders that Hugging Face wrote (``make_golden.py``), with its outputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import paddle
import pytest

import ppernie
from ppernie.zoo.sources import open_source

GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.parametrize("form", ["whole", "shards", "bin"])
def test_outputs(form: str) -> None:
    arrays: dict[str, Any] = dict(np.load(GOLDEN / "io.npz"))
    logits = arrays.pop("logits")
    model = ppernie.from_pretrained(GOLDEN / form)
    assert type(model).__name__ == "ErnieForSequenceClassification"
    with paddle.no_grad():
        found = model(**{name: paddle.to_tensor(array) for name, array in arrays.items()}).numpy()
    assert np.abs(found - logits).max() < 1e-5 * np.abs(logits).max()
    assert open_source(GOLDEN / form).labels == ("差", "好")
