"""Tensors of ours written as the published files, for any number of ranks, quantised or not.

Quantised matrices are int8 under their names, two to a byte where they have 4 bits, and their scales, one for each row,
float16 under ``NAME_scale``. The rows are a rank's own, so that the parts of a matrix that is cut along its rows have
scales of their own. Source: THUDM/GLM-130B, tools/convert_tp.py and quantization/layers.py.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from model_zoo.glm.shards.layout import FILE, KEY, LATEST, Published, layout, pieces
from ppernie.errors import UserError
from ppernie.files import new_folder
from ppernie.parallel.cut import Cut
from ppernie.slim.weight_only import Scheme
from ppernie.slim.weight_only.folder import quantize_rows
from ppernie.slim.weight_only.tensors import scale_name
from ppernie.zoo.description import ModelDescription
from ppernie.zoo.download.progress import Progress
from ppernie.zoo.folder import CONFIG
from ppernie.zoo.formats import StoredTensor
from ppernie.zoo.formats.rows import our_rows, output_rows
from ppernie.zoo.formats.torch_writer import TorchWriter, write_torch

if TYPE_CHECKING:
    from ppernie.data.tokenizers import Tokenizer


def write_shards(
    target: Path,
    tensors: Mapping[str, StoredTensor],
    description: ModelDescription,
    tokenizer: Tokenizer | None,
    ranks: int,
    iteration: str,
    scheme: Scheme | None = None,
) -> None:
    """Writes the folder in one step, with at most one matrix in memory.

    Args:
        tensors: our names and shapes; bfloat16 is written as float32.
        ranks: tensor-parallel ranks.
        scheme: how to quantise the matrices of the layers, without groups; None leaves every weight as it is.

    Raises:
        UserError: the network cannot be cut or quantised so, a weight cannot be read, or the target cannot be written.
    """
    published = layout(description.arch_config())
    for one in published.values():
        _check_divides(one, ranks)
        if scheme is not None and one.turned:
            _check_fits(one, ranks, scheme)
    if missing := [name for name in published if name not in tensors]:
        raise UserError(f"{target}: cannot be written: these weights lack {', '.join(missing[:5])}")
    size = sum(tensors[name].nbytes for name in published)
    with new_folder(target) as folder, ExitStack() as stack, closing(Progress(target.name)) as progress:
        (folder / iteration).mkdir()
        paths = [folder / iteration / FILE.format(rank) for rank in range(ranks)]
        files = [stack.enter_context(write_torch(path, KEY)) for path in paths]
        done = 0
        for ours, one in published.items():
            _write(files, tensors[ours], one, scheme if one.turned else None)
            done += tensors[ours].nbytes
            progress.show(done, size)
        (folder / LATEST).write_text(iteration, encoding="utf-8")
        text = json.dumps(description.model_dump(), indent=2, ensure_ascii=False)
        (folder / CONFIG).write_text(text + "\n", encoding="utf-8")
        if tokenizer is not None:
            tokenizer.save(folder)


def _write(files: list[TorchWriter], tensor: StoredTensor, one: Published, scheme: Scheme | None) -> None:
    dtype = "float32" if tensor.dtype == "bfloat16" else tensor.dtype
    shape = one.cut.local_shape(len(files))
    if scheme is not None:
        dtype, shape = "int8", scheme.weight_shape(*shape)
    scales: list[list[npt.NDArray[np.float16]]] = [[] for _ in files]
    with ExitStack() as members:
        writes = [members.enter_context(file.tensor(one.name, dtype, shape)) for file in files]
        start = 0
        for rows in output_rows(tensor) if one.turned else our_rows(tensor):
            for rank, part in _deal(rows, start, one.cut, len(files)):
                if scheme is not None:
                    part, scale = quantize_rows(part, scheme, one.name, tensor.path)
                    scales[rank].append(scale)
                writes[rank](part)
            start += len(rows)
    for file, found in zip(files, scales, strict=True):
        if found:
            with file.tensor(scale_name(one.name), "float16", shape[:1]) as write:
                write(np.concatenate(found))


def _deal(rows: npt.NDArray[Any], start: int, cut: Cut, ranks: int) -> Iterator[tuple[int, npt.NDArray[Any]]]:
    """What each rank has of the published rows that begin at ``start``."""
    if cut.axis == 0:
        for rank, _, begin, end in pieces(cut, ranks):
            low, high = max(start, begin), min(start + len(rows), end)
            if low < high:
                yield rank, rows[low - start : high - start]
        return
    for rank in range(ranks):
        if cut.axis is None:
            yield rank, rows
        else:
            ((begin, end),) = cut.ranges(ranks, rank)
            yield rank, rows[:, begin:end]


def _check_divides(one: Published, ranks: int) -> None:
    axis = one.cut.axis
    if axis is None:
        return
    units = one.cut.shape[axis] // one.cut.blocks // one.cut.unit
    if ranks < 1 or units % ranks:
        raise UserError(
            f"{one.name}: {units} heads, rows or columns do not divide by {ranks} ranks; choose another number"
        )


def _check_fits(one: Published, ranks: int, scheme: Scheme) -> None:
    if scheme.group_size is not None:
        raise UserError("shards have a scale for each row; leave --group-size out")
    try:
        scheme.weight_shape(*one.cut.local_shape(ranks))
    except ValueError as error:
        raise UserError(f"{one.name}: over {ranks} ranks {error}; choose fewer, or 8 bits") from error
