"""The published files of all ranks, quantised or not, as tensors of ours, read by parts when they are asked for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from model_zoo.glm.shards.layout import FILE, KEY, LATEST, Published, layout, pieces
from ppernie.errors import UserError
from ppernie.parallel.cut import Cut
from ppernie.slim.weight_only import Scheme
from ppernie.slim.weight_only.tensors import paired, scale_name
from ppernie.zoo import manifest
from ppernie.zoo.description import ModelDescription
from ppernie.zoo.folder import CONFIG, read_description
from ppernie.zoo.formats import StoredTensor
from ppernie.zoo.formats.rows import RowTensor, take_rows
from ppernie.zoo.formats.torch_bin import read_torch
from ppernie.zoo.sources import check_architecture

_VARIANT = "glm-130b"
_ARCH = "glm/GlmForBlankInfilling"
_FILES = re.compile(r"mp_rank_(\d{2}|[1-9]\d{2,3})_model_states\.pt")
_ITERATION = re.compile(r"[A-Za-z0-9_-]{1,64}")
_ROTATION = ".rotary_emb.inv_freq"


@dataclass(frozen=True)
class ShardedTensor(RowTensor):
    """A tensor of ours made of the parts of all ranks; its rows are the published ones.

    Attributes:
        parts: one a rank, in their order.
        cut: how they lie in the published whole.
    """

    parts: tuple[StoredTensor, ...]
    cut: Cut

    def rows(self, start: int, stop: int) -> npt.NDArray[Any]:
        if self.cut.axis is None:
            return take_rows(self.parts[0], start, stop)
        if self.cut.axis == 1:
            return np.concatenate([take_rows(part, start, stop) for part in self.parts], axis=1)
        found = []
        for part, first, begin, end in pieces(self.cut, len(self.parts)):
            low, high = max(start, begin), min(stop, end)
            if low < high:
                found.append(take_rows(self.parts[part], first + low - begin, first + high - begin))
        return np.concatenate(found)


class Shards(NamedTuple):
    """Published files, opened and checked, not yet read.

    Attributes:
        description: of the network.
        tensors: by our names; those that are quantised are the float32 numbers that they stand for.
        iteration: of the training that wrote them.
        scheme: how they are quantised; None where they are not.
    """

    description: ModelDescription
    tensors: dict[str, StoredTensor]
    iteration: str
    scheme: Scheme | None


def open_shards(folder: Path, variant: str | None = None) -> Shards:
    """Opens the files of all ranks; nothing but what every rank holds whole is read.

    Args:
        variant: the released model whose sizes they have, where no description lies beside them.

    Raises:
        UserError: a file is missing, damaged or too many, the files are not of one run, or not of this network.
    """
    iteration = _iteration(folder)
    files = _rank_files(folder / iteration)
    states = [_read(path) for path in files]
    _check_names(files, states)
    description = _description(folder, variant)
    published = layout(description.arch_config())
    scheme = _scheme(states, published)
    _check_sizes(folder, states, published, scheme)
    tensors: dict[str, StoredTensor] = {}
    for ours, (name, cut, turned) in published.items():
        parts = tuple(state[name] for state in states)
        if scheme is not None and turned:
            scales = (state[scale_name(name)] for state in states)
            parts = tuple(
                paired(name, part, scale, scheme, part.path) for part, scale in zip(parts, scales, strict=True)
            )
        if cut.axis is None:
            _check_equal(name, parts)
        shape = cut.shape[::-1] if turned else cut.shape
        dtype = "float32" if parts[0].dtype == "bfloat16" else parts[0].dtype
        tensors[ours] = ShardedTensor(files[0], dtype, shape, turned, parts, cut)
    return Shards(description, tensors, iteration, scheme)


def _description(folder: Path, variant: str | None) -> ModelDescription:
    if (folder / CONFIG).exists() and variant is None:
        return read_description(folder)
    fields = check_architecture(
        "glm", manifest.find(variant or _VARIANT).architecture, variant or _VARIANT
    ).model_dump()
    return ModelDescription(arch={"name": _ARCH, **fields}, task=None, max_length=fields["max_position_embeddings"])


def _iteration(folder: Path) -> str:
    path = folder / LATEST
    try:
        text = path.read_bytes()[:100].decode("utf-8", "replace").strip()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); it names the folder of the weights") from error
    if not _ITERATION.fullmatch(text):
        raise UserError(f"{path}: {text!r} is no iteration; the published file holds the text 49300")
    return text


def _rank_files(folder: Path) -> list[Path]:
    """The files of ranks 0, 1 and so on."""
    try:
        found = {int(match[1]): path for path in folder.iterdir() if (match := _FILES.fullmatch(path.name))}
    except OSError as error:
        raise UserError(f"{folder}: cannot be read ({error.strerror}); {LATEST} names it") from error
    if not found:
        raise UserError(f"{folder}: holds no file {FILE.format(0)}; put the ranks' files there")
    if missing := sorted(set(range(max(found) + 1)) - set(found)):
        raise UserError(f"{folder}: lacks {_some(FILE.format(rank) for rank in missing)}; fetch what is missing")
    return [found[rank] for rank in range(len(found))]


def _read(path: Path) -> dict[str, StoredTensor]:
    return {name: tensor for name, tensor in read_torch(path, (KEY,)).items() if not name.endswith(_ROTATION)}


def _check_names(files: list[Path], states: list[dict[str, StoredTensor]]) -> None:
    first = states[0]
    for path, state in zip(files, states, strict=True):
        if differing := sorted(first.keys() ^ state.keys()):
            raise UserError(f"{path}: shards of different networks: not in it and {files[0].name}: {_some(differing)}")
        kinds = {name: (state[name].dtype, state[name].shape) for name in state}
        if differing := [name for name, kind in kinds.items() if kind != (first[name].dtype, first[name].shape)]:
            raise UserError(
                f"{path}: shards of different networks: other shapes or types than in {files[0].name}: "
                f"{_some(differing)}"
            )


def _scheme(states: list[dict[str, StoredTensor]], published: Mapping[str, Published]) -> Scheme | None:
    """How matrices are quantised, told by the width of one with scales; None where none has them."""
    for one in published.values():
        if one.turned and scale_name(one.name) in states[0] and one.name in states[0]:
            _, inputs = one.cut.local_shape(len(states))
            return Scheme(bits=4 if states[0][one.name].shape[-1:] == (inputs / 2,) else 8)
    return None


def _check_sizes(
    folder: Path, states: list[dict[str, StoredTensor]], published: Mapping[str, Published], scheme: Scheme | None
) -> None:
    """Compares names and shapes with those of the network, cut over as many ranks as there are."""
    stored, ranks = states[0], len(states)
    expected = {}
    for name, cut, turned in published.values():
        shape = cut.local_shape(ranks)
        if scheme is not None and turned:
            expected[name] = outputs, _ = shape[0], shape[1] * scheme.bits // 8
            expected[scale_name(name)] = (outputs,)
        else:
            expected[name] = shape
    problems = [
        f"{name}: {list(stored[name].shape)} in each of {ranks} ranks in place of {list(shape)}"
        for name, shape in expected.items()
        if name in stored and stored[name].shape != shape
    ]
    if scheme is None:
        problems += [
            f"{name}: {stored[name].dtype} without {scale_name(name)}"
            for name in expected
            if name in stored and stored[name].dtype == "int8"
        ]
    problems += [f"{name}: missing" for name in expected if name not in stored]
    problems += [f"{name}: unknown" for name in stored if name not in expected]
    if problems:
        raise UserError(
            f"{folder}: these are no {ranks} ranks of this network: {_some(problems, '; ')}; see whether files of "
            "ranks are missing, or whether it is of other sizes (config.json beside latest, or --variant)"
        )


def _check_equal(name: str, parts: tuple[StoredTensor, ...]) -> None:
    first = parts[0].read()
    for part in parts[1:]:
        if not np.array_equal(first.view(np.uint8), part.read().view(np.uint8)):
            raise UserError(
                f"{part.path}: shards of different runs: {name}, which all ranks hold alike, is not what it is in "
                f"{parts[0].path.name}; fetch all files of one iteration"
            )


def _some(names: Iterable[str], separator: str = ", ") -> str:
    listed = list(names)
    more = f" and {len(listed) - 5} more" if len(listed) > 5 else ""
    return separator.join(listed[:5]) + more
