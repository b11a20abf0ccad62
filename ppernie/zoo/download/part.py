"""The beginning of a file, kept as ``<name>.part`` until it is whole."""

from __future__ import annotations

import os
from pathlib import Path
from typing import IO

from pydantic import BaseModel, ConfigDict, ValidationError

from ppernie.files import check_space, sync, write_file, writing
from ppernie.zoo.download.digests import Digest, Hasher, hash_file


class Origin(BaseModel):
    """Where the bytes of a part come from, as the server told; stored beside it as ``<name>.part.json``.

    Attributes:
        address: as it was asked for, before any redirect.
        etag: the header of this name.
        last_modified: the header of this name.
        total: bytes of the whole file.
        md5: of the whole file, by the header Content-MD5; hexadecimal digits.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    address: str
    etag: str | None = None
    last_modified: str | None = None
    total: int | None = None
    md5: str | None = None

    @property
    def validator(self) -> str | None:
        """Value for the header If-Range, which admits no weak tag."""
        return self.etag if self.etag and not self.etag.startswith("W/") else self.last_modified


class Part:
    """A part that grows at its end; what an earlier process left is hashed once and continued.

    Args:
        target: path of the whole file.

    Raises:
        UserError: from all methods, where the disk is full or the place is not writable.
    """

    def __init__(self, target: Path) -> None:
        self.target = target
        self._path = target.with_name(f"{target.name}.part")
        self._note = target.with_name(f"{target.name}.part.json")
        with writing(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            self.origin: Origin | None = self._read_note()
            self._file: IO[bytes] = open(self._path, "ab")  # noqa: SIM115 - held until __exit__
            if self.origin is None:
                self._file.truncate(0)
            self._hasher = hash_file(self._path)

    def _read_note(self) -> Origin | None:
        try:
            return Origin.model_validate_json(self._note.read_bytes())
        except (FileNotFoundError, ValidationError):
            return None

    def __enter__(self) -> Part:
        return self

    def __exit__(self, *error: object) -> None:
        with writing(self.target):
            self._file.close()

    @property
    def size(self) -> int:
        """Bytes so far."""
        return self._hasher.size

    def digest(self) -> Digest:
        """Of the bytes so far."""
        return self._hasher.digest()

    def restart(self, origin: Origin | None) -> None:
        """Empties the part; what comes next is from ``origin``."""
        with writing(self.target):
            self._file.truncate(0)
        self._hasher = Hasher()
        self.origin = origin
        if origin is None:
            self._note.unlink(missing_ok=True)
        else:
            write_file(self._note, origin.model_dump_json())

    def reserve(self, total: int) -> None:
        """Raises UserError where the disk has no room for a file of this many bytes."""
        check_space(self.target, total - self.size)

    def append(self, content: bytes) -> None:
        """Adds bytes at the end."""
        with writing(self.target):
            self._file.write(content)
        self._hasher.update(content)

    def finish(self) -> None:
        """Brings the part to the disk and puts it in the target's place."""
        with writing(self.target):
            self._file.flush()
            os.fsync(self._file.fileno())
            self._path.replace(self.target)
            self._note.unlink(missing_ok=True)
            sync(self.target.parent)
