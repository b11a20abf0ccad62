"""Archives: unpacked whole, or refused with nothing left behind."""

from __future__ import annotations

import gzip
import io
import tarfile
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import pytest

from ppernie.errors import UserError
from ppernie.zoo.formats.archives import extract

FILES = {"params/word_embedding": bytes(range(256)) * 20, "vocab.txt": b"[PAD]\n", "ernie_config.json": b"{}"}


def tar(path: Path, members: list[tuple[tarfile.TarInfo, bytes]], mode: str = "w:gz", **options: Any) -> Path:
    with tarfile.open(path, mode, **options) as archive:
        for info, data in members:
            archive.addfile(info, io.BytesIO(data))
    return path


def member(name: str, data: bytes = b"", **fields: Any) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for field, value in fields.items():
        setattr(info, field, value)
    return info, data


def zipped(path: Path, members: list[tuple[str | zipfile.ZipInfo, bytes]]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return path


def refused(archive: Path, message: str) -> None:
    """The archive is refused, what was there stays, and nothing else is left."""
    folder = archive.parent / "into" / "model"
    folder.mkdir(parents=True)
    (folder / "old").write_text("old")
    with pytest.raises(UserError, match=message):
        extract(archive, folder)
    assert [path.name for path in archive.parent.rglob("*") if path != archive] == ["into", "model", "old"]


@pytest.mark.parametrize("mode", ["w", "w:gz"])
@pytest.mark.parametrize("style", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_tar(tmp_path: Path, mode: str, style: int) -> None:
    long = {"p" * 90 + "/" + "q" * 90: b"long"}
    members = [member("./", type=tarfile.DIRTYPE), member("params", type=tarfile.DIRTYPE)]
    members += [member(f"./{name}", data) for name, data in {**FILES, **long}.items()]
    extract(tar(tmp_path / "x.bin", members, mode, format=style), tmp_path / "model")
    found = {str(path.relative_to(tmp_path / "model")): path for path in (tmp_path / "model").rglob("*")}
    assert {name: path.read_bytes() for name, path in found.items() if path.is_file()} == {**FILES, **long}


def test_zip(tmp_path: Path) -> None:
    extract(zipped(tmp_path / "x", [("params/", b""), *FILES.items()]), tmp_path / "model")
    for name, data in FILES.items():
        assert (tmp_path / "model" / name).read_bytes() == data


def test_modes_are_not_kept(tmp_path: Path) -> None:
    extract(tar(tmp_path / "x", [member("run", b"#!", mode=0o6777)]), tmp_path / "model")
    assert (tmp_path / "model" / "run").stat().st_mode & 0o7111 == 0


OUTSIDE = ["../x", "a/../../x", "/etc/x", "a/..", "\\\\host\\x", "c:x", "..\\x"]


@pytest.mark.parametrize("name", OUTSIDE)
def test_tar_outside_its_folder(tmp_path: Path, name: str) -> None:
    refused(tar(tmp_path / "x", [member("good", b"1"), member(name, b"2")]), "outside the archive's folder")


@pytest.mark.parametrize("name", OUTSIDE)
def test_zip_outside_its_folder(tmp_path: Path, name: str) -> None:
    refused(zipped(tmp_path / "x", [("good", b"1"), (name, b"2")]), "outside the archive's folder")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_links_and_devices(tmp_path: Path, kind: bytes) -> None:
    refused(tar(tmp_path / "x", [member("a", b"1"), member("b", type=kind, linkname="a")]), "link or a device")


def test_links_in_a_zip(tmp_path: Path) -> None:
    info = zipfile.ZipInfo("link")
    info.external_attr = 0o120777 << 16
    refused(zipped(tmp_path / "x", [(info, b"/etc/passwd")]), "link or a device")


@pytest.mark.parametrize("names", [["a", "a"], ["a", "./a"], ["a/b", "a"], ["a", "a/b"]])
def test_names_that_stand_twice(tmp_path: Path, names: list[str]) -> None:
    refused(tar(tmp_path / "x", [member(name, b"1") for name in names]), "stands twice")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_names_that_stand_twice_in_a_zip(tmp_path: Path) -> None:
    refused(zipped(tmp_path / "x", [("a", b"1"), ("a", b"2")]), "stands twice")


def test_encrypted_zip(tmp_path: Path) -> None:
    path = zipped(tmp_path / "x", [("a", b"1")])
    data = bytearray(path.read_bytes())
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    refused(path, "encrypted")


def test_zip_of_a_rare_compression(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x", "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("a", b"1")
    refused(tmp_path / "x", "compressed in a rare way")


def test_zip_bomb(tmp_path: Path) -> None:
    refused(zipped(tmp_path / "x", [("a", bytes(60_000_000))]), "unpacks to more than")


def test_tar_bombs(tmp_path: Path) -> None:
    info, _ = member("a")
    info.size = 10**15
    header = info.tobuf(tarfile.GNU_FORMAT)
    for data in (header, gzip.compress(header + bytes(10**6))):
        (tmp_path / "x").write_bytes(data)
        tracemalloc.start()
        with pytest.raises(UserError, match="unpacks to more than"):
            extract(tmp_path / "x", tmp_path / "model")
        assert tracemalloc.get_traced_memory()[1] < 20e6
        tracemalloc.stop()


@pytest.mark.parametrize("kind", [tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE])
def test_a_name_of_a_gigabyte(tmp_path: Path, kind: bytes) -> None:
    info, _ = member("a", type=kind)
    info.size = 2**30
    (tmp_path / "x").write_bytes(gzip.compress(info.tobuf(tarfile.GNU_FORMAT) + bytes(10**7)))
    tracemalloc.start()
    with pytest.raises(UserError, match="a header of"):
        extract(tmp_path / "x", tmp_path / "model")
    assert tracemalloc.get_traced_memory()[1] < 20e6
    tracemalloc.stop()


def test_too_many_members(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ppernie.zoo.formats.archives._MAX_MEMBERS", 20)
    refused(tar(tmp_path / "x", [member(str(i)) for i in range(21)]), "more than 20 files")


@pytest.mark.parametrize("mode", ["w", "w:gz"])
@pytest.mark.parametrize("keep", [0.3, 0.6, 0.9, "members"])
def test_cut_off_tars(tmp_path: Path, mode: str, keep: float | str) -> None:
    path = tar(tmp_path / "x", [member(name, data) for name, data in FILES.items()], mode)
    data = path.read_bytes()
    # Three headers and 5120 + 512 + 512 bytes: whole members, but no mark of the end.
    raw = gzip.decompress(data) if mode == "w:gz" else data
    whole = raw[: 3 * 512 + 5120 + 512 + 512]
    if keep == "members":
        path.write_bytes(gzip.compress(whole) if mode == "w:gz" else whole)
    else:
        path.write_bytes(data[: int(len(data if mode == "w:gz" else whole) * float(keep))])
    refused(path, "damaged")


def test_a_flipped_bit_in_a_zip(tmp_path: Path) -> None:
    path = tmp_path / "x"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a", bytes(1000))
    data = bytearray(path.read_bytes())
    data[500] ^= 1
    path.write_bytes(data)
    refused(path, "damaged")


@pytest.mark.parametrize("data", [b"", b"<html>", b"\x1f\x8b", b"PK\x03\x04", bytes(100)])
def test_what_is_no_archive(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x").write_bytes(data)
    refused(tmp_path / "x", "damaged")
