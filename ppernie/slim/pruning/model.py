"""A model folder as arrays, and as a smaller one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from pydantic import ValidationError

from ppernie import registry
from ppernie.data.tokenizers import Tokenizer
from ppernie.errors import UserError
from ppernie.parallel.plan import Plan
from ppernie.zoo.description import ModelDescription
from ppernie.zoo.folder import read_description, read_stored, save_model
from ppernie.zoo.tokenizer import read_tokenizer
from ppernie.zoo.weights import lazy_network


class Model(NamedTuple):
    """What a model folder holds.

    Attributes:
        weights: by name, all in memory.
        plan: of the architecture.
    """

    description: ModelDescription
    weights: dict[str, np.ndarray]
    tokenizer: Tokenizer
    plan: Plan

    @property
    def config(self) -> Any:
        """The network's configuration."""
        return self.description.arch_config()

    def save(self, target: Path) -> None:
        """Writes it as a model folder."""
        save_model(target, self.weights, self.description, self.tokenizer, {})


def open_model(folder: Path) -> Model:
    """Reads a model folder.

    Raises:
        UserError: it is none, it is quantised, it has no task, its family has no plan, or it holds adapters.
    """
    description = read_description(folder)
    description.check_unquantized(folder)
    if description.tuning is not None:
        raise UserError(f"{folder}: holds adapters beside its network; train with Tuning.save=whole, and LoRA alone")
    try:
        description.task_options()
    except UserError as error:
        raise UserError(f"{folder}: {error}") from error
    weights = {name: np.asarray(tensor) for name, tensor in read_stored(folder, description).items()}
    return Model(description, weights, read_tokenizer(folder), registry.arch_plan(description.arch["name"]))


def described_with(description: ModelDescription, key: str, **fields: Any) -> ModelDescription:
    """The description of the same network with other fields of its architecture, which is no released one then.

    Args:
        key: of the step, for messages.

    Raises:
        UserError: the architecture has no such field, or not with this value.
    """
    described = description.model_copy(update={"arch": description.arch | {"variant": None} | fields})
    try:
        described.arch_config()
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise UserError(f"{key}: {description.arch['name']} cannot be so: {problems}") from error
    return described


def shapes_of(description: ModelDescription, tokenizer: Tokenizer) -> Mapping[str, tuple[int, ...]]:
    """Shapes of the network's parameters by name."""
    task = description.build_task(tokenizer)
    network = lazy_network(lambda: description.build_model(task))
    return {name: tuple(parameter.shape) for name, parameter in network.named_parameters()}
