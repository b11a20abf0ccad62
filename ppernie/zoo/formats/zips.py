"""Zip files, opened with care."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ppernie.zoo.formats.reading import damaged, file_size, open_file, unsupported
from ppernie.zoo.formats.tensors import Span

ZIP_MAGIC = b"PK\x03\x04"
# What the library raises over a broken file, by its parts. A RuntimeError tells of encryption.
_ERRORS = (zipfile.BadZipFile, RuntimeError, ValueError, LookupError, EOFError, struct.error, zlib.error)
_LOCAL_HEADER = 30
ENCRYPTED = 1
# Room for some forty thousand members; the library reads the whole directory at once.
_MAX_READ = 4 * 1024 * 1024


@contextmanager
def open_zip(path: Path) -> Iterator[zipfile.ZipFile]:
    """A zip file opened for reading.

    Raises:
        UserError: the file is absent or damaged, found now or while it is read.
    """
    with open_file(path) as file:
        try:
            with zipfile.ZipFile(_Bounded(file.raw, path)) as archive:  # type: ignore[attr-defined]
                yield archive
        except _ERRORS as error:
            raise damaged(path, f"not a sound zip file ({error})") from error


def stored_span(archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path) -> Span:
    """Where the bytes of a member lie that is neither compressed nor encrypted.

    Raises:
        UserError: it is one of both, or it reaches beyond the file.
    """
    if member.compress_type != zipfile.ZIP_STORED or member.flag_bits & ENCRYPTED:
        raise unsupported(path, "is a zip file with compressed or encrypted tensors")
    file = archive.fp
    assert file is not None
    file.seek(member.header_offset)
    header = file.read(_LOCAL_HEADER)
    if len(header) != _LOCAL_HEADER or not header.startswith(ZIP_MAGIC):
        raise damaged(path, f"the zip file has no member where {member.filename!r} should be")
    name_length, extra_length = struct.unpack("<HH", header[26:])
    offset = member.header_offset + _LOCAL_HEADER + name_length + extra_length
    if offset + member.file_size > file_size(file):
        raise damaged(path, "is shorter than it says")
    return Span(offset, member.file_size)


class _Bounded(io.BufferedReader):
    """A file that gives a few MB at once at most, however much an archive says there is."""

    def __init__(self, raw: io.RawIOBase, path: Path) -> None:
        super().__init__(raw)
        self._path = path

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(_MAX_READ + 1 if size is None or not 0 <= size <= _MAX_READ else size)
        if len(data) > _MAX_READ:
            raise damaged(self._path, "the list of its members is larger than any archive of weights needs")
        return data
