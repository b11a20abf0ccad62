"""A model folder: ``model.safetensors``, ``config.json``, ``metrics.json`` and the tokenizer's files."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ppernie.errors import UserError
from ppernie.files import new_folder
from ppernie.slim.weight_only.tensors import pair_up
from ppernie.zoo.description import ModelDescription
from ppernie.zoo.formats import StoredTensor, open_weights
from ppernie.zoo.layout import Tensor
from ppernie.zoo.tokenizer import read_tokenizer
from ppernie.zoo.weights import lazy_network, load_weights, write_weights

if TYPE_CHECKING:
    import paddle

    from ppernie.data.tokenizers import Tokenizer
    from ppernie.tasks.base import Task

WEIGHTS = "model.safetensors"
ADAPTERS = "adapters.safetensors"
INDEX = "model.safetensors.index.json"
CONFIG = "config.json"


def save_model(
    folder: Path,
    weights: Mapping[str, np.ndarray],
    description: ModelDescription,
    tokenizer: Tokenizer | None,
    metrics: Mapping[str, Any],
) -> None:
    """Writes a model folder in one step; an old one is replaced only by a whole new one.

    Of a network that a base completes it holds ``adapters.safetensors`` in place of ``model.safetensors``.
    """
    with new_folder(folder) as temporary:
        write_weights(temporary / _file(description), weights)
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
    for name in (WEIGHTS, INDEX):
        if (folder / name).exists():
            return open_weights(folder / name)
    if (folder / ADAPTERS).exists():
        raise UserError(f"{folder}: holds adapters and not their network; train with Tuning.save=whole")
    raise UserError(f"{folder}: holds no {WEIGHTS}")


def read_stored(folder: Path, description: ModelDescription) -> dict[str, StoredTensor]:
    """What the folder itself holds: all weights, or those of adapters; quantised ones as ``QuantizedTensor``.

    Raises UserError as ``read_weights``, and where weights are not quantised as the description says.
    """
    if _file(description) == WEIGHTS:
        return pair_up(read_weights(folder), description.quantization, folder)
    if not (folder / ADAPTERS).exists():
        raise UserError(f"{folder}: holds no {ADAPTERS}")
    return open_weights(folder / ADAPTERS)


def load_network(folder: Path, description: ModelDescription, *, dequantize: bool = False) -> paddle.nn.Layer:
    """The network of a model folder with its weights, without a task's head; the argument as ``load_model``'s."""
    return load_built(folder, description, description.build_network, dequantize=dequantize)


def load_model(folder: Path, *, dequantize: bool = False) -> tuple[paddle.nn.Layer, Task, ModelDescription]:
    """Network with its weights, task and description of a model folder.

    Args:
        dequantize: quantised weights become float32; else they stay as they are stored, and cannot learn.
    """
    description = read_description(folder)
    try:
        description.task_options()
    except UserError as error:
        raise UserError(f"{folder}: {error}") from error
    task = description.build_task(read_tokenizer(folder))
    model = load_built(folder, description, lambda: description.build_model(task), dequantize=dequantize)
    return model, task, description


def _file(description: ModelDescription) -> str:
    return ADAPTERS if description.tuning is not None and description.tuning.base is not None else WEIGHTS


def load_built(
    folder: Path, description: ModelDescription, build: Callable[[], paddle.nn.Layer], *, dequantize: bool = False
) -> paddle.nn.Layer:
    """What ``build`` makes, with what a folder stores and, of adapters, with their base; it computes as a plain one."""
    from ppernie.slim.weight_only.network import lay_stored

    stored: Mapping[str, Tensor] = read_stored(folder, description)
    network = lazy_network(build)
    place = str(folder / _file(description))
    if _file(description) == ADAPTERS:
        from ppernie.peft.completion import completed

        shapes = {name: tuple(parameter.shape) for name, parameter in network.named_parameters()}
        stored = completed(stored, description, shapes, place)
    load_weights(network, lay_stored(network, stored, place, dequantize=dequantize), place)
    if description.tuning is not None and description.tuning.prefix is not None:
        from ppernie.peft.prefix import settle_prefixes

        settle_prefixes(network)
    return network
