"""From a checked config to the parts of a run."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ppernie import registry
from ppernie.data.readers import Purpose, read_examples
from ppernie.data.tokenizers import ErnieTokenizer
from ppernie.errors import UserError
from ppernie.zoo.description import ModelDescription
from ppernie.zoo.folder import read_description, read_tokenizer, read_weights
from ppernie.zoo.weights import load_weights

if TYPE_CHECKING:
    import paddle

    from ppernie.config.sections import Config, Source
    from ppernie.tasks.base import Item, Task

logger = logging.getLogger("ppernie")


@dataclass
class Parts:
    """What a run works on; ``eval`` and ``test`` are empty where the config names none."""

    task: Task
    train: list[Item]
    eval: list[Item]
    test: list[Item]
    description: ModelDescription


def assemble(config: Config) -> Parts:
    """Tokenizer, task and data of a config, all checked before a step is made.

    Raises:
        UserError: a file is absent or wrong, a label is unknown, or tokenizer and network do not fit.
    """
    if config.Data.train is None:
        raise UserError("Data.train is missing: name the training file or data set")
    tokenizer = build_tokenizer(config)
    section = config.Task
    task = registry.task_class(section.name)(section.options, tokenizer, config.Data.max_length)
    examples = {
        "train": _read(config, config.Data.train, "train"),
        "eval": _read(config, config.Data.eval, "eval"),
        "test": _read(config, config.Data.test, "eval"),
    }
    task.prepare(examples["train"])
    items = {name: [item for e in rows for item in task.expand(e, True)] for name, rows in examples.items()}
    for name, rows in examples.items():
        if rows:
            logger.info("%s: %d examples, %d inputs", name, len(rows), len(items[name]))
    resolved = config.resolved()
    description = ModelDescription(
        arch=resolved["Arch"],
        task={"name": section.name, **task.options.model_dump(mode="json")},
        max_length=config.Data.max_length,
        fields=config.Data.fields,
    )
    _check_ids(task, items["train"][:32], config.Arch.model)
    return Parts(task, items["train"], items["eval"], items["test"], description)


def build_tokenizer(config: Config) -> ErnieTokenizer:
    """The pretrained model's tokenizer, whose ids its weights know; without one, that of ``Data.tokenizer``."""
    if config.Global.pretrained_model is not None:
        return read_tokenizer(pretrained_folder(config.Global.pretrained_model))
    section = config.Data.tokenizer
    if section is None or section.vocab_file is None:
        raise UserError(
            "Data.tokenizer.vocab_file is missing: name a vocab.txt, or set Global.pretrained_model to a model folder"
        )
    return ErnieTokenizer.from_vocab(section.vocab_file, lowercase=section.lowercase)


def pretrained_folder(name: str) -> Path:
    """The folder of ``Global.pretrained_model``."""
    folder = Path(name)
    if folder.is_dir():
        return folder
    if any(name in registry.zoo(family) for family in registry.families()):
        raise UserError(
            f"Global.pretrained_model: '{name}' is a released model, and this version does not download weights yet; "
            "give a model folder that training wrote, or start anew with Arch.variant"
        )
    raise UserError(f"Global.pretrained_model: {name}: no such model folder; give one such as output/.../best_model")


def build_model(config: Config, parts: Parts) -> paddle.nn.Layer:
    """The network: new weights, over which those of ``Global.pretrained_model`` are laid.

    The encoder must fit exactly; parameters that only the new network has (a head) stay new and are logged.
    """
    model = parts.description.build_model(parts.task)
    model.reset_parameters()
    if config.Global.pretrained_model is not None:
        folder = pretrained_folder(config.Global.pretrained_model)
        read_description(folder)
        _start_from(model, read_weights(folder), str(folder))
    return model


def _start_from(model: paddle.nn.Layer, weights: dict[str, Any], source: str) -> None:
    own = {name: parameter.numpy() for name, parameter in model.named_parameters()}
    body = {name.split(".")[0] for name in own if "." in name and ".layers." in name}
    kept = {name: value for name, value in weights.items() if name in own and own[name].shape == value.shape}
    wanted = [name for name in own if name.split(".")[0] in body and name not in kept]
    if wanted:
        raise UserError(f"{source} does not fit this encoder: missing or of another shape: {', '.join(wanted[:10])}")
    load_weights(model, own | kept, source)
    new = sorted(set(own) - set(kept))
    if new:
        logger.warning("Some weights were not in %s and are newly initialized: %s", source, new)


def _read(config: Config, source: Source | None, purpose: Purpose) -> list[dict[str, Any]]:
    if source is None:
        return []
    data = config.Data
    return read_examples(source, root=data.root, fields=data.fields, task=config.Task.name, purpose=purpose)


def _check_ids(task: Task, items: Sequence[Item], arch: Any) -> None:
    """The network's tables must hold every id that the tokenizer can make."""
    if task.tokenizer.vocab_size > arch.vocab_size:
        raise UserError(
            f"the vocabulary has {task.tokenizer.vocab_size} tokens, but Arch.vocab_size is {arch.vocab_size}; "
            "use the model's own vocabulary or set Arch.vocab_size"
        )
    batch = task.collate([task.encode(item, (0, 0, 0)) for item in items])
    types = batch.get("token_type_ids")
    if types is not None and types.max() >= arch.type_vocab_size:
        raise UserError(
            f"pairs need 2 segment types, but Arch.type_vocab_size is {arch.type_vocab_size}; "
            "join the texts in one field or choose another variant"
        )
