"""Random damage to small files of every format: they read as before, or a message tells that they do not."""

from __future__ import annotations

import io
import json
import pickle
import random
import struct
import tarfile
import time
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from ppernie.errors import UserError
from ppernie.zoo.formats import open_weights
from ppernie.zoo.formats.archives import extract
from ppernie.zoo.formats.static_params import read_static_params

GOLDEN = Path(__file__).with_name("golden")
WEIGHTS = {
    "embeddings.weight": np.arange(12, dtype=np.float32).reshape(4, 3),
    "turned": np.asfortranarray(np.arange(6, dtype=np.float16).reshape(2, 3)),
    "long": np.arange(400, dtype=np.int64),
}


def zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("params/a", b"one" * 50)
        archive.writestr("vocab.txt", b"two")
    return buffer.getvalue()


def tarred(mode: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        for name in ("params/a", "v" * 150):
            info = tarfile.TarInfo(name)
            info.size = 600
            archive.addfile(info, io.BytesIO(bytes(600)))
    return buffer.getvalue()


def static() -> bytes:
    description = bytes([8, 5, 16, 2, 16, 3])
    return struct.pack("<IQIi", 0, 0, 0, len(description)) + description + bytes(24)


def read_archive(path: Path) -> None:
    extract(path, path.parent / "unpacked")


def read_static(path: Path) -> None:
    for tensor in read_static_params(path.parent).values():
        tensor.read()


def read_weights(path: Path) -> None:
    tensors = open_weights(path)
    assert all(isinstance(name, str) for name in tensors)
    for tensor in tensors.values():
        if tensor.nbytes < 2**20:
            tensor.read()


def read_index(path: Path) -> None:
    read_weights(path.rename(path.with_name("model.safetensors.index.json")))


FORMATS: dict[str, tuple[Callable[[], bytes], Callable[[Path], None]]] = {
    **{f"pickle{n}": (lambda n=n: pickle.dumps(WEIGHTS, n), read_weights) for n in range(6)},
    "safetensors": (lambda: save(WEIGHTS, {"format": "np"}), read_weights),
    "torch_zip": (lambda: (GOLDEN / "torch_zip.bin").read_bytes(), read_weights),
    "torch_legacy": (lambda: (GOLDEN / "torch_legacy.bin").read_bytes(), read_weights),
    "static": (static, read_static),
    "index": (lambda: json.dumps({"metadata": {}, "weight_map": {"a": "x", "b": "y"}}).encode(), read_index),
    "zip": (zipped, read_archive),
    "tar": (lambda: tarred("w"), read_archive),
    "tgz": (lambda: tarred("w:gz"), read_archive),
}


def mutate(data: bytes, chance: random.Random) -> bytes:
    """Bytes changed, cut off, doubled or removed, and numbers made huge."""
    changed = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 5))):
        position = chance.randrange(len(changed) or 1)
        kind = chance.randrange(6)
        if kind <= 1:
            changed[position : position + 1] = bytes([chance.randrange(256)])
        elif kind == 2:
            changed[position : position + 8] = chance.choice((b"\xff" * 8, bytes(7) + b"\x10", b"\xff" * 4))
        elif kind == 3:
            del changed[position:]
        elif kind == 4:
            del changed[position : position + chance.randrange(1, 20)]
        else:
            start = chance.randrange(len(changed) or 1)
            changed[position:position] = changed[start : start + chance.randrange(1, 40)]
    return bytes(changed)


@pytest.mark.parametrize("count", [200, pytest.param(2000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", FORMATS)
def test_damage_is_told_and_costs_nothing(tmp_path: Path, name: str, count: int) -> None:
    make, read = FORMATS[name]
    data = make()
    chance = random.Random(name)
    refused = 0
    tracemalloc.start()
    try:
        for number in range(count):
            path = tmp_path / "file"
            path.write_bytes(mutate(data, chance))
            tracemalloc.reset_peak()
            before, start = tracemalloc.get_traced_memory()[0], time.process_time()
            try:
                read(path)
            except UserError:
                refused += 1
            assert time.process_time() - start < 1, number
            assert tracemalloc.get_traced_memory()[1] - before < 50e6, number
    finally:
        tracemalloc.stop()
    assert refused > count // 4
