"""Archives, unpacked whole or not at all, and never outside their folder."""

from __future__ import annotations

import gzip
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO

from ppernie.errors import UserError
from ppernie.files import new_folder, writing
from ppernie.zoo.formats.reading import damaged, file_size, open_file
from ppernie.zoo.formats.zips import ENCRYPTED, ZIP_MAGIC, open_zip

_GZIP_MAGIC = b"\x1f\x8b"
_MAX_MEMBERS = 10_000
_MAX_BYTES = 50 * 2**30
# Weights hardly compress: what grows more than this is made to fill the disk. Small archives are mostly padding.
_MAX_GROWTH = 100
_FREE_BYTES = 16 * 2**20
_CHUNK = 2**20
_TAR_BLOCK = 512
_TAR_ERRORS = (
    tarfile.TarError,
    gzip.BadGzipFile,
    zlib.error,
    EOFError,
    ValueError,
    LookupError,
    RecursionError,
    struct.error,
)


@dataclass(frozen=True)
class _Member:
    """What lies in an archive; a link or a device is neither file nor folder."""

    name: str
    size: int
    is_file: bool
    is_folder: bool
    content: IO[bytes] | None


def extract(archive: Path, into: Path) -> None:
    """Unpacks a ``.tar``, ``.tar.gz`` or ``.zip``, known by its content, as a new folder ``into``.

    An old ``into`` is replaced; on failure it stays and nothing new is left. Modes, owners and dates are not kept.

    Raises:
        UserError: the archive is absent or damaged; a member is a link or a device, is encrypted, stands twice, or
            lies outside the folder; there are more than 10,000 members; they are larger than 50 GB or a hundred times
            the archive.
    """
    with open_file(archive) as file:
        magic = file.read(len(ZIP_MAGIC))
        limit = min(_MAX_BYTES, _MAX_GROWTH * file_size(file) + _FREE_BYTES)
    opened = _zip_members(archive) if magic == ZIP_MAGIC else _tar_members(archive, magic.startswith(_GZIP_MAGIC))
    with new_folder(into) as folder, opened as members:
        kinds: dict[PurePosixPath, bool] = {}
        total = 0
        for number, member in enumerate(members, 1):
            place = _place(archive, member, kinds)
            total += member.size
            if number > _MAX_MEMBERS or total > limit:
                raise UserError(
                    f"{archive}: unpacks to more than {_MAX_MEMBERS} files or {limit} bytes, which no model needs; "
                    "get it from a source that you trust"
                )
            _write(archive, member, folder / place)


def _place(archive: Path, member: _Member, kinds: dict[PurePosixPath, bool]) -> PurePosixPath:
    """Where a member belongs in the folder; ``kinds`` tells of every place so far whether it is a folder."""
    path = PurePosixPath(member.name)
    if path.is_absolute() or ".." in path.parts or any(letter in member.name for letter in "\\:\0"):
        raise UserError(f"{archive}: {member.name!r} lies outside the archive's folder; get it from another source")
    if not (member.is_file or member.is_folder):
        raise UserError(f"{archive}: {member.name!r} is a link or a device; an archive of weights has only files")
    files_above = any(not kinds.setdefault(parent, True) for parent in path.parents)
    if files_above or (path in kinds and not (kinds[path] and member.is_folder)):
        raise UserError(f"{archive}: {member.name!r} stands twice; get the archive from another source")
    kinds[path] = member.is_folder
    return path


def _write(archive: Path, member: _Member, target: Path) -> None:
    with writing(target):
        (target if member.is_folder else target.parent).mkdir(parents=True, exist_ok=True)
    if member.content is None:
        return
    with writing(target), target.open("xb") as out:
        left = member.size
        while left and (chunk := member.content.read(min(_CHUNK, left))):
            left -= len(chunk)
            out.write(chunk)
    if left:
        raise damaged(archive, f"{member.name!r} is cut off")


@contextmanager
def _zip_members(path: Path) -> Iterator[Iterator[_Member]]:
    with open_zip(path) as archive:
        yield (_zip_member(archive, info, path) for info in archive.infolist())


def _zip_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path) -> _Member:
    if info.flag_bits & ENCRYPTED:
        raise UserError(f"{path}: {info.filename!r} is encrypted; unpack it by hand and give the folder")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise UserError(f"{path}: {info.filename!r} is compressed in a rare way; unpack it by hand and give the folder")
    # The upper half is Unix's mode, or zero.
    kind = stat.S_IFMT(info.external_attr >> 16)
    is_file = not info.is_dir() and kind in (0, stat.S_IFREG)
    is_folder = info.is_dir() and kind in (0, stat.S_IFDIR)
    return _Member(info.filename, info.file_size, is_file, is_folder, archive.open(info) if is_file else None)


@contextmanager
def _tar_members(path: Path, compressed: bool) -> Iterator[Iterator[_Member]]:
    with open_file(path) as file:
        stream = _Blocks(gzip.GzipFile(fileobj=file) if compressed else file, path)
        try:
            with tarfile.open(fileobj=stream, mode="r:") as archive:  # type: ignore[call-overload]
                yield (_tar_member(archive, info) for info in archive)
                if stream.last != bytes(_TAR_BLOCK):
                    raise damaged(path, "the archive's end is missing")
        except _TAR_ERRORS as error:
            raise damaged(path, f"not a sound archive ({str(error)[:200]})") from error


def _tar_member(archive: tarfile.TarFile, info: tarfile.TarInfo) -> _Member:
    is_file = info.type in (tarfile.REGTYPE, tarfile.AREGTYPE)
    content = archive.extractfile(info) if is_file else None
    return _Member(info.name, max(info.size, 0), is_file, info.isdir(), content)


class _Blocks:
    """A stream for ``tarfile``, which would read a name at once however long its header says it is."""

    def __init__(self, stream: BinaryIO | gzip.GzipFile, path: Path) -> None:
        self._stream = stream
        self._path = path
        self.last = b""
        self.seek, self.tell = stream.seek, stream.tell

    def read(self, size: int) -> bytes:
        if not 0 <= size <= _CHUNK:
            raise damaged(self._path, f"a header of {size} bytes")
        self.last = self._stream.read(size)
        return self.last
