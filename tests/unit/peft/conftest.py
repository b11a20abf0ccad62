"""Small networks with adapters that do something, and bases that runs start from."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import pytest

from ppernie.config import parse_config
from ppernie.config.sections import Config, TuningSection


@pytest.fixture
def tuned() -> Callable[..., Any]:
    """Gives a network adapters, ``lora={...}`` or ``prefix={...}``, as a run does, and random values to them."""

    def give(network: Any, plan: Any, seed: int = 0, **fields: Any) -> Any:
        from ppernie.peft.network import add_adapters, connect_adapters, freeze

        tuning = TuningSection(**fields)
        own = [name for name, _ in network.named_parameters()]
        add_adapters(network, plan, tuning)
        connect_adapters(network, tuning)
        freeze(network, own)
        rng = np.random.default_rng(seed)
        for name, parameter in network.named_parameters():
            if name not in own:
                parameter.set_value(rng.normal(scale=0.3, size=parameter.shape).astype(np.float32))
        return network

    return give


@pytest.fixture
def arrays() -> Callable[[Any], dict[str, np.ndarray]]:
    """The parameters of a network."""
    return lambda network: {name: parameter.numpy() for name, parameter in network.named_parameters()}


@pytest.fixture
def make_base(
    tmp_path: Path, arch: dict[str, Any], make_model: Callable[..., Any], tokenizer: Any
) -> Callable[..., str]:
    """A model folder of a small encoder with another head than the run's."""

    def make(name: str = "base", seed: int = 0) -> str:
        from ppernie.zoo.description import ModelDescription
        from ppernie.zoo.folder import save_model

        network = make_model("ErnieForMaskedLM", seed)
        weights = {key: parameter.numpy() for key, parameter in network.named_parameters()}
        description = ModelDescription(
            arch={"name": "ernie3/ErnieForMaskedLM", **arch},
            task={"name": "masked_language_modeling"},
            max_length=16,
        )
        save_model(tmp_path / name, weights, description, tokenizer, {})
        return str(tmp_path / name)

    return make


@pytest.fixture
def tuned_config(run_values: dict[str, Any], make_base: Callable[..., str]) -> Callable[..., Config]:
    """The small run with LoRA on a base, with keys of its sections changed."""

    def make(name: str = "run", base: str | None = None, tuning: dict[str, Any] | None = None, **train: Any) -> Config:
        values = copy.deepcopy(run_values)
        values["Global"] |= {
            "output_dir": str(Path(values["Global"]["output_dir"]).with_name(name)),
            "pretrained_model": base or make_base(),
        }
        values["Tuning"] = tuning or {"lora": {"rank": 2, "alpha": 4}}
        values["Train"] |= train
        values["Data"]["test"] = {"files": "test.jsonl"}
        return parse_config(values)

    return make


@pytest.fixture(autouse=True)
def on_the_cpu() -> None:
    paddle.set_device("cpu")
