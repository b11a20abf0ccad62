"""Conversions of models that no memory holds: read, quantised and written a layer at a time."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from ppernie import registry
from ppernie.data.tokenizers import Tokenizer
from ppernie.errors import UserError
from ppernie.files import writing
from ppernie.slim.weight_only import Scheme
from ppernie.slim.weight_only.folder import open_layers, save_layers
from ppernie.zoo.description import ModelDescription, quantized_already
from ppernie.zoo.formats import StoredTensor
from ppernie.zoo.tokenizer import has_tokenizer, read_tokenizer

logger = logging.getLogger("ppernie")

_LATEST = "latest"
# Of shards whose weights come from a folder that counts no iterations.
_ITERATION = "0"


class _Opened(NamedTuple):
    description: ModelDescription
    tensors: dict[str, StoredTensor]
    iteration: str
    tokenizer: Tokenizer | None


def is_shards(source: str | Path) -> bool:
    """Whether a source is a folder of tensor-parallel files; the trainers that write such name the newest in it."""
    return (Path(source) / _LATEST).is_file()


def convert_layers(source: str | Path, target: Path, variant: str | None = None, scheme: Scheme | None = None) -> None:
    """Writes published shards, or a model folder of ours, as a model folder with one file a layer.

    Args:
        variant: the released model whose sizes shards have that no ``config.json`` lies beside.
        scheme: how to quantise the weights; None changes no bit of them, except that quantised shards become float32.

    Raises:
        UserError: the source cannot be read or quantised, or the target is there already or cannot be written.
    """
    check_new(target)
    opened = _open(Path(source), variant, scheme is not None)
    plan = registry.arch_plan(opened.description.arch["name"])
    save_layers(target, opened.tensors, opened.description, plan, scheme, opened.tokenizer)


def convert_to_shards(
    source: str | Path, target: Path, ranks: int, variant: str | None = None, scheme: Scheme | None = None
) -> None:
    """Writes published shards, or a model folder of ours, as shards for a number of ranks.

    Args:
        variant: as of ``convert_layers``.
        scheme: how to quantise the weights, without groups; None changes no bit of them.

    Raises:
        UserError: the source cannot be read, its family has no shards, its network cannot be cut or quantised so, or
            the target is there already or cannot be written.
    """
    check_new(target)
    opened = _open(Path(source), variant, scheme is not None)
    family = opened.description.arch["name"].partition("/")[0]
    shards = _shards([family])
    if shards is None:
        raise UserError(f"{source}: the family {family} was not published in shards")
    shards.write_shards(target, opened.tensors, opened.description, opened.tokenizer, ranks, opened.iteration, scheme)


def _shards(families: Iterable[str]) -> ModuleType | None:
    """What reads and writes shards, of the first family that was published so."""
    return next((shards for family in families if (shards := registry.family_shards(family))), None)


def _open(source: Path, variant: str | None, to_quantize: bool) -> _Opened:
    if not source.is_dir():
        raise UserError(f"{source}: no such folder; give shards, or a model folder that ppernie wrote")
    if is_shards(source):
        shards = _shards(registry.families())
        assert shards is not None
        description, tensors, iteration, scheme = shards.open_shards(source, variant)
        if scheme is not None and to_quantize:
            raise quantized_already(source)
        return _Opened(description, tensors, iteration, _tokenizer(source))
    layered = open_layers(source)
    layered.description.check_unquantized(source)
    return _Opened(layered.description, layered.tensors, _ITERATION, _tokenizer(source))


def _tokenizer(folder: Path) -> Tokenizer | None:
    if has_tokenizer(folder):
        return read_tokenizer(folder)
    logger.warning("%s: holds no vocabulary, so the new folder has no tokenizer", folder)
    return None


def check_new(target: Path) -> None:
    """Raises UserError where a folder to be written is there already."""
    with writing(target):
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise UserError(f"{target}: is there already; name a new folder")
