"""Model folders with one weight file a layer, quantised or not, written and read a layer at a time.

``config.json`` of a quantised one has beside the description an entry ``quantization``: ``bits``, ``group_size`` and
``weights``, the names of what is quantised.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ppernie import registry
from ppernie.errors import UserError
from ppernie.files import check_space, new_folder
from ppernie.parallel.plan import Plan
from ppernie.slim.weight_only.arithmetic import Quantization, Scheme, quantize
from ppernie.slim.weight_only.selection import block_of, quantized_weights
from ppernie.slim.weight_only.tensors import scale_name
from ppernie.zoo.description import ModelDescription
from ppernie.zoo.download.progress import Progress
from ppernie.zoo.folder import CONFIG, INDEX, WEIGHTS, read_description, read_stored
from ppernie.zoo.formats import StoredTensor
from ppernie.zoo.formats.rows import our_rows, output_rows
from ppernie.zoo.formats.safetensors_writer import Entry, SafetensorsWriter, write_safetensors

if TYPE_CHECKING:
    from ppernie.data.tokenizers import Tokenizer


class LayeredModel(NamedTuple):
    """A model folder, opened and not yet read.

    Attributes:
        tensors: weights by name; those that are quantised are ``QuantizedTensor``.
        scheme: how they are; None where nothing is quantised.
    """

    description: ModelDescription
    tensors: dict[str, StoredTensor]
    scheme: Scheme | None


def open_layers(folder: Path) -> LayeredModel:
    """Opens a model folder of one weight file or of many.

    Raises:
        UserError: the folder is absent, damaged or no model folder, or its weights are not as it says.
    """
    description = read_description(folder)
    tensors = read_stored(folder, description)
    quantization = description.quantization
    return LayeredModel(description, tensors, None if quantization is None else quantization.scheme)


def check_scheme(folder: Path, scheme: Scheme) -> None:
    """Raises UserError where a model folder cannot be read, is quantised already, or the scheme fits not all of it."""
    description, tensors, _ = open_layers(folder)
    description.check_unquantized(folder)
    for name in quantized_weights(tensors, registry.arch_plan(description.arch["name"])):
        try:
            _entries(name, tensors[name], scheme)
        except UserError as error:
            raise UserError(f"{folder}: {error}") from error


def save_layers(
    target: Path,
    tensors: Mapping[str, StoredTensor],
    description: ModelDescription,
    plan: Plan,
    scheme: Scheme | None,
    tokenizer: Tokenizer | None,
    wrote: Callable[[int, int], None] | None = None,
) -> None:
    """Writes a model folder in one step, with at most one matrix in memory.

    Args:
        tensors: our names and shapes; bfloat16 is written as float32.
        plan: says what a layer is, and what of it is quantised.
        scheme: how to quantise; None leaves every weight as it is.
        wrote: is called after each file with its number, from 1, and that of all.

    Raises:
        UserError: a weight cannot be read or quantised, the target cannot be written, or the disk lacks the room, which
            is told before anything is written.
    """
    chosen = quantized_weights(tensors, plan) if scheme else []
    quantization = Quantization(**scheme.model_dump(), weights=chosen) if scheme else None
    described = description.model_copy(update={"quantization": quantization})
    files: dict[str | None, dict[str, dict[str, Entry]]] = {}
    for name, tensor in tensors.items():
        entries = _entries(name, tensor, scheme if name in chosen else None)
        files.setdefault(block_of(name, plan), {})[name] = entries
    size = sum(entry.nbytes for file in files.values() for entries in file.values() for entry in entries.values())
    places: dict[str, str] = {}
    with new_folder(target) as folder, closing(Progress(target.name)) as progress:
        check_space(target, size)
        done = 0
        for number, parts in enumerate(files.values(), start=1):
            file = f"{Path(WEIGHTS).stem}-{number:05d}-of-{len(files):05d}.safetensors"
            stored = {key: entry for entries in parts.values() for key, entry in entries.items()}
            with write_safetensors(folder / file, stored) as writer:
                for name, entries in parts.items():
                    _write(writer, name, tensors[name], scheme if name in chosen else None)
                    done += sum(entry.nbytes for entry in entries.values())
                    progress.show(done, size)
            places |= dict.fromkeys(stored, file)
            if wrote is not None:
                wrote(number, len(files))
        _write_json(folder / INDEX, {"metadata": {"total_size": size}, "weight_map": places})
        _write_json(folder / CONFIG, described.model_dump())
        if tokenizer is not None:
            tokenizer.save(folder)


def _entries(name: str, tensor: StoredTensor, scheme: Scheme | None) -> dict[str, Entry]:
    """What a weight is on the disk."""
    if scheme is None:
        return {name: Entry("float32" if tensor.dtype == "bfloat16" else tensor.dtype, tensor.shape)}
    inputs, outputs = tensor.shape
    try:
        return {
            name: Entry("int8", scheme.weight_shape(outputs, inputs)),
            scale_name(name): Entry("float16", scheme.scale_shape(outputs, inputs)),
        }
    except ValueError as error:
        raise UserError(f"{name}: {error}; choose another group size or 8 bits") from error


def _write(writer: SafetensorsWriter, name: str, tensor: StoredTensor, scheme: Scheme | None) -> None:
    if scheme is None:
        for rows in our_rows(tensor):
            writer.write(rows)
        return
    scales: list[npt.NDArray[np.float16]] = []
    for rows in output_rows(tensor):
        weight, scale = quantize_rows(rows, scheme, name, tensor.path)
        writer.write(weight)
        scales.append(scale)
    writer.write(np.concatenate(scales))


def quantize_rows(
    rows: npt.NDArray[np.floating], scheme: Scheme, name: str, path: Path
) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float16]]:
    """``quantize`` of rows of a tensor in a file. Raises UserError where they cannot be."""
    try:
        return quantize(rows, scheme)
    except ValueError as error:
        raise UserError(f"{path}: {name} cannot be quantised: it {error}") from error


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
