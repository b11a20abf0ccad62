"""Model folders of tiny networks of several families, drawn at random."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ppernie.data.tokenizers import Tokenizer
from ppernie.zoo.description import ModelDescription
from ppernie.zoo.folder import save_model


@pytest.fixture
def make_folder(arch: dict[str, Any], tokenizer: Tokenizer, tmp_path: Path) -> Callable[..., Path]:
    """A folder of an architecture by name; ``fields`` change the tiny encoder's, ``task`` is its task."""

    def make(name: str, task: dict[str, Any], folder: str = "whole", **fields: Any) -> Path:
        import paddle

        paddle.seed(1)
        values = arch | ({"rel_pos_size": 33} if name.startswith("ernie_gram") else {}) | fields
        description = ModelDescription(arch={"name": name, "variant": None, **values}, task=task, max_length=16)
        network = description.build_model(description.build_task(tokenizer))
        network.reset_parameters()
        weights = {name: parameter.numpy() for name, parameter in network.named_parameters()}
        # Biases count, too.
        weights = {name: w + 0.1 * paddle.randn(list(w.shape)).numpy() for name, w in weights.items()}
        save_model(tmp_path / folder, weights, description, tokenizer, {})
        return tmp_path / folder

    return make


CLASSES = {"name": "sequence_classification", "labels": ["动词", "地名", "成语"]}
CLASSIFIERS = ("ernie3/ErnieForSequenceClassification", "ernie_gram/ErnieGramForSequenceClassification")


@pytest.fixture(params=CLASSIFIERS)
def classifier(request: pytest.FixtureRequest, make_folder: Callable[..., Path]) -> Path:
    """A classifier of four layers, of several families."""
    return make_folder(request.param, CLASSES, num_hidden_layers=4)
