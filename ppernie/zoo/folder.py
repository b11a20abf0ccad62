"""A model folder: ``model.safetensors``, ``config.json``, ``metrics.json`` and the tokenizer's files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ppernie.errors import UserError
from ppernie.files import new_folder
from ppernie.zoo.description import ModelDescription
from ppernie.zoo.formats import StoredTensor, open_weights
from ppernie.zoo.tokenizer import read_tokenizer
from ppernie.zoo.weights import empty_network, load_weights, write_weights

if TYPE_CHECKING:
    import paddle

    from ppernie.data.tokenizers import Tokenizer
    from ppernie.tasks.base import Task

WEIGHTS = "model.safetensors"
CONFIG = "config.json"


def save_model(
    folder: Path,
    weights: Mapping[str, np.ndarray],
    description: ModelDescription,
    tokenizer: Tokenizer | None,
    metrics: Mapping[str, Any],
) -> None:
    """Writes a model folder in one step; an old one is replaced only by a whole new one."""
    with new_folder(folder) as temporary:
        write_weights(temporary / WEIGHTS, weights)
        for name, content in ((CONFIG, description.model_dump()), ("metrics.json", dict(metrics))):
            text = json.dumps(content, indent=2, ensure_ascii=False)
            (temporary / name).write_text(text + "\n", encoding="utf-8")
        if tokenizer is not None:
            tokenizer.save(temporary)


def read_description(folder: Path) -> ModelDescription:
    """The ``config.json`` of a model folder.

    Raises:
        UserError: the folder or the file is absent or broken.
    """
    path = folder / CONFIG
    if not folder.is_dir():
        raise UserError(f"{folder}: no such model folder; give one that training wrote, such as output/.../best_model")
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{folder}: holds no {CONFIG}, so it is not a model folder") from None
    except ValueError as error:
        raise UserError(f"{path}: broken JSON: {error}") from error
    return ModelDescription.parse(values, path)


def read_weights(folder: Path) -> dict[str, StoredTensor]:
    """All weights by dotted name, not yet read. Raises UserError where the file is absent or damaged."""
    if not (folder / WEIGHTS).exists():
        raise UserError(f"{folder}: holds no {WEIGHTS}")
    return open_weights(folder / WEIGHTS)


def load_model(folder: Path) -> tuple[paddle.nn.Layer, Task, ModelDescription]:
    """Network with its weights, task and description of a model folder."""
    description = read_description(folder)
    weights = read_weights(folder)
    try:
        description.task_options()
    except UserError as error:
        raise UserError(f"{folder}: {error}") from error
    task = description.build_task(read_tokenizer(folder))
    model = empty_network(lambda: description.build_model(task))
    load_weights(model, weights, str(folder / WEIGHTS))
    return model, task, description
