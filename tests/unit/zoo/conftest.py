"""Small networks with random weights, and folders of them as each library writes one."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from ppernie import registry
from ppernie.zoo.layout import State, write

TOKENS = ["[PAD]", "[CLS]", "[SEP]", "[MASK]", "[UNK]", *"我爱北京天安门，。学习abc012", "##b", "##1"]
SIZES: dict[str, Any] = {
    "vocab_size": len(TOKENS),
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 28,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.1,
    "max_position_embeddings": 24,
    "type_vocab_size": 4,
    "task_type_vocab_size": 3,
    "initializer_range": 0.02,
    "layer_norm_eps": 1e-12,
    "pad_token_id": 0,
}
GRAM = {"type_vocab_size": 2, "task_type_vocab_size": 0, "layer_norm_eps": 1e-5, "rel_pos_size": 0}
LABELS = ("好", "坏", "中")


@dataclass
class Origin:
    """A network of which the tests write files, in evaluation mode."""

    family: str
    kind: str
    config: Any
    model: Any
    tokens = TOKENS

    @property
    def convert(self) -> Any:
        return registry.family_convert(self.family)

    @property
    def state(self) -> State:
        return {name: parameter.numpy() for name, parameter in self.model.named_parameters()}

    def foreign(self, library: str) -> State:
        """The weights by a library's names."""
        return write(self.state, self.config, self.convert.LAYOUTS[library], self.kind)

    def values(self, library: str) -> dict[str, Any]:
        """A library's ``config.json``."""
        labels = LABELS if self.convert.LAYOUTS[library].heads[self.kind].counted else None
        kind = "Model" if self.kind == "DualEncoder" else self.kind
        return self.convert.write_config(library, self.config, kind, labels)

    def save(self, folder: Path, library: str, **changes: Any) -> Path:
        """A library's folder, in its usual form; ``changes`` are other values of its ``config.json``."""
        folder.mkdir(parents=True, exist_ok=True)
        weights = self.foreign(library)
        if library == "huggingface":
            save_file(weights, folder / "model.safetensors", {"format": "pt"})
        else:
            (folder / "model_state.pdparams").write_bytes(pickle.dumps(weights, protocol=4))
        (folder / "config.json").write_text(json.dumps(self.values(library) | changes), encoding="utf-8")
        (folder / "vocab.txt").write_text("".join(f"{token}\n" for token in TOKENS), encoding="utf-8")
        return folder


@pytest.fixture(scope="session")
def make_origin() -> Callable[..., Origin]:
    """A network of a family and kind; ``fields`` change its architecture."""

    def make(kind: str = "ForSequenceClassification", family: str = "ernie3", labels: int = 3, **fields: Any) -> Origin:
        import paddle

        paddle.set_device("cpu")
        config_class = registry.family_config(family)
        assert config_class is not None
        config = config_class(**SIZES | (GRAM if family == "ernie_gram" else {}) | fields)
        layout = registry.family_convert(family).LAYOUTS["ppernie"]  # type: ignore[union-attr]
        size = [labels] if layout.heads[kind].counted else []
        model = registry.network_class(family, layout.brand + kind)(config, *size)
        rng = np.random.default_rng(0)
        for name, parameter in model.named_parameters():
            norm = "norm" in name and name.endswith("weight")
            parameter.set_value(rng.normal(scale=0.2, size=parameter.shape).astype(np.float32) + np.float32(norm))
        model.eval()
        return Origin(family, kind, config, model)

    return make


@pytest.fixture(scope="session")
def outputs() -> Callable[[Any], list[np.ndarray]]:
    """What a small network makes of a few padded inputs."""

    def run(model: Any) -> list[np.ndarray]:
        import paddle

        rng = np.random.default_rng(1)
        kind = type(model).__name__
        shape = (3, 2, 9) if kind.endswith("ForMultipleChoice") else (3, 9)
        ids = rng.integers(1, len(TOKENS), shape)
        ids[-1, ..., 5:] = 0
        second = rng.integers(1, len(TOKENS), shape) if kind.endswith("DualEncoder") else rng.integers(0, 2, shape)
        with paddle.no_grad():
            result = model(paddle.to_tensor(ids), paddle.to_tensor(second))
        return [tensor.numpy() for tensor in (result if isinstance(result, tuple) else (result,))]

    return run
