"""Size and checksums of content, taken as it passes by."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from ppernie.errors import UserError

_BLOCK = 1 << 20


@dataclass(frozen=True)
class Digest:
    """Size in bytes, and checksums as lower-case hexadecimal digits."""

    size: int
    sha256: str
    md5: str


class Hasher:
    """Takes content piece by piece."""

    def __init__(self) -> None:
        self.size = 0
        self._sha256 = hashlib.sha256()
        self._md5 = hashlib.md5(usedforsecurity=False)

    def update(self, content: bytes) -> None:
        self.size += len(content)
        self._sha256.update(content)
        self._md5.update(content)

    def digest(self) -> Digest:
        """Of all content so far."""
        return Digest(self.size, self._sha256.hexdigest(), self._md5.hexdigest())


def hash_file(path: Path) -> Hasher:
    """A hasher that has taken the whole file. Raises UserError where it cannot be read."""
    hasher = Hasher()
    try:
        with open(path, "rb") as file:
            while block := file.read(_BLOCK):
                hasher.update(block)
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error
    return hasher
