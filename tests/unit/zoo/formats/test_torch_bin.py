"""Files of ``torch.save`` of both ages, read without torch."""

from __future__ import annotations

import io
import pickle
import pickletools
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ppernie.errors import UserError
from ppernie.zoo.formats import open_weights
from ppernie.zoo.formats.torch_bin import LEGACY_MAGIC, read_torch

GOLDEN = Path(__file__).with_name("golden")
COUNT = np.arange(24, dtype=np.float32)
THIRDS = (((COUNT[:5] / 3).view(np.uint32) + 0x8000 >> 16) << 16).view(np.float32)
EXPECTED = {
    "weight": COUNT.reshape(4, 6),
    "turned": COUNT.reshape(4, 6).T,
    "part": COUNT.reshape(8, 3)[2:5],
    "half": COUNT[:5].astype(np.float16),
    "brain": THIRDS,
    "ids": np.arange(3),
    "flag": np.array(True),
}


def same(path: Path, tensors: dict[str, Any]) -> None:
    assert list(tensors) == list(EXPECTED)
    for name, values in EXPECTED.items():
        read = tensors[name].read()
        assert (read.dtype, read.shape) == (values.dtype, values.shape), name
        assert np.array_equal(read, values), name
    assert tensors["brain"].dtype == "bfloat16"


@pytest.mark.parametrize("name", ["torch_zip.bin", "torch_legacy.bin"])
def test_goldens(name: str) -> None:
    same(GOLDEN / name, open_weights(GOLDEN / name))


@pytest.mark.parametrize("new", [True, False])
def test_what_torch_writes(tmp_path: Path, new: bool) -> None:
    torch = pytest.importorskip("torch")
    weights = {
        "wide": torch.randn(30, 40),
        "turned": torch.randn(30, 40).t(),
        "part": torch.randn(20, 3)[5:9],
        "tied": torch.arange(700),
        "empty": torch.zeros(0, 3),
        "row of one": torch.randn(4, 6)[:, :1].t()[:, :1],
        **torch.nn.Linear(3, 2).state_dict(),
    }
    weights["again"] = weights["tied"]
    path = tmp_path / "pytorch_model.bin"
    torch.save(weights, path, _use_new_zipfile_serialization=new)
    tensors = open_weights(path)
    assert tensors.keys() == weights.keys()
    for name, values in weights.items():
        assert tensors[name].read().tobytes() == values.numpy().tobytes(), name
    torch.save({"module": {"deep": weights}, "step": 3, "lr": [0.1]}, path, _use_new_zipfile_serialization=new)
    assert read_torch(path, ("module", "deep")).keys() == weights.keys()
    with pytest.raises(UserError, match="entry 'module' is no named tensor but a dict of 'deep'"):
        open_weights(path)
    with pytest.raises(UserError, match="no entry 'model'; it holds a dict of 'module', 'step', 'lr'"):
        read_torch(path, ("model",))
    with pytest.raises(UserError, match="type int in place"):
        read_torch(path, ("step",))


def test_scattered_elements_are_refused(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    for values in (torch.randn(4, 6)[:, ::2], torch.randn(3).expand(2, 3), torch.randn(2, 3, 4).transpose(1, 2)):
        torch.save({"w": values}, tmp_path / "x.bin")
        with pytest.raises(UserError, match="'w' is a tensor whose elements lie scattered"):
            open_weights(tmp_path / "x.bin")


def rezipped(tmp_path: Path, compression: int = zipfile.ZIP_STORED, **members: bytes | None) -> Path:
    """The golden zip with members replaced, added or left out."""
    path = tmp_path / "pytorch_model.bin"
    with zipfile.ZipFile(GOLDEN / "torch_zip.bin") as source, zipfile.ZipFile(path, "w", compression) as target:
        contents: dict[str, bytes | None] = {name.partition("/")[2]: source.read(name) for name in source.namelist()}
        contents.update({name.replace("__", "/"): data for name, data in members.items()})
        for name, data in contents.items():
            if data is not None:
                target.writestr("archive/" + name.replace("pickle", "data.pkl"), data)
    return path


def test_other_folders_and_no_byte_order(tmp_path: Path) -> None:
    path = rezipped(tmp_path, byteorder=None)
    same(path, open_weights(path))


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"byteorder": b"big"}, "big-endian"),
        ({"data__0": None}, "reaches beyond its storage"),
        ({"data__0": bytes(95)}, "reaches beyond its storage"),
        ({"other__data.pkl": b"N."}, None),
        ({"data.pkl": None}, "not one of torch.save"),
        ({"data.pkl": pickle.dumps(print)}, "type Name in place of a dict"),
        ({"data.pkl": b"cos\nsystem\n(S'touch x'\ntR."}, "wants to call 'os.system'"),
        ({"data.pkl": b"\x80\x02]Q."}, "damaged"),
    ],
)
def test_broken_zips(tmp_path: Path, members: dict[str, Any], message: str | None) -> None:
    path = rezipped(tmp_path, **members)
    if message is None:
        same(path, open_weights(path))
        return
    with pytest.raises(UserError, match=message):
        open_weights(path)


def test_compressed_members_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="compressed or encrypted"):
        open_weights(rezipped(tmp_path, zipfile.ZIP_DEFLATED))


def test_a_bomb_in_the_byte_order(tmp_path: Path) -> None:
    path = rezipped(tmp_path, zipfile.ZIP_DEFLATED, byteorder=bytes(200_000_000))
    with pytest.raises(UserError, match="does not read"):
        open_weights(path)


def test_a_cut_off_file(tmp_path: Path) -> None:
    for name in ("torch_zip.bin", "torch_legacy.bin"):
        path = tmp_path / name
        path.write_bytes((GOLDEN / name).read_bytes()[:-3])
        with pytest.raises(UserError, match="damaged"):
            open_weights(path)


def legacy_sections() -> list[bytes]:
    """Version, system, object and storage keys of the golden file, and the storages."""
    file = io.BytesIO((GOLDEN / "torch_legacy.bin").read_bytes())
    sections = []
    for _ in range(5):
        start = file.tell()
        list(pickletools.genops(file))
        sections.append(file.getvalue()[start : file.tell()])
    return [*sections, file.read()]


@pytest.mark.parametrize(
    ("number", "data", "message"),
    [
        (1, pickle.dumps(7, 2), "unknown version"),
        (2, pickle.dumps({"little_endian": False}, 2), "big-endian"),
        (2, pickle.dumps([], 2), "unknown version"),
        (4, pickle.dumps(["1"], 2), "list of its storages"),
        (4, pickle.dumps([["1"]], 2), "list of its storages"),
        (4, pickle.dumps([], 2), "reaches beyond its storage"),
        (5, b"\xff" * 8, "shorter than it says"),
        (3, b"cposix\nsystem\n(S'touch x'\ntR.", "wants to call 'posix.system'"),
    ],
)
def test_broken_legacy_files(tmp_path: Path, number: int, data: bytes, message: str) -> None:
    sections = legacy_sections()
    assert sections[0] == LEGACY_MAGIC
    sections[number] = data
    path = tmp_path / "pytorch_model.bin"
    path.write_bytes(b"".join(sections))
    with pytest.raises(UserError, match=message):
        open_weights(path)
