"""``lock.json``: size and checksum of every file as it was first downloaded, and the check against them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from ppernie.errors import UserError
from ppernie.files import write_file
from ppernie.zoo.download.digests import Digest
from ppernie.zoo.download.places import Place, home
from ppernie.zoo.download.turns import exclusive


class Pin(BaseModel):
    """Size in bytes, and sha256 in hexadecimal digits."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    size: int
    sha256: str


_PINS = TypeAdapter(dict[str, Pin])


def _path() -> Path:
    return home() / "lock.json"


def _read() -> dict[str, Pin]:
    path = _path()
    try:
        return _PINS.validate_json(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except ValidationError as error:
        raise UserError(f"{path}: broken: {error.errors()[0]['msg']}; repair it, or remove it to pin anew") from error
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error


def add_pin(place: Place, digest: Digest) -> None:
    """Stores what was downloaded. The file survives its deletion from the cache.

    Raises:
        UserError: another content is pinned already, or ``PPERNIE_HOME`` is not writable.
    """
    path = _path()
    with exclusive(home() / "locks" / "lock.json.lock"):
        pins = _read()
        pin = pins.setdefault(place.key, Pin(size=digest.size, sha256=digest.sha256))
        if pin.sha256 != digest.sha256:
            raise UserError(f"{place.key}: {_changed(place, digest, pin)}")
        text = json.dumps({key: pins[key].model_dump() for key in sorted(pins)}, indent=2)
        write_file(path, text + "\n")


def _changed(place: Place, digest: Digest, pin: Pin) -> str:
    return (
        f"sha256 is {digest.sha256} ({digest.size} bytes), but {pin.sha256} ({pin.size} bytes) came first; "
        f"{_accept(place)}"
    )


def _accept(place: Place) -> str:
    return f'to accept the change, remove the entry "{place.key}" from {_path()}'


@dataclass(frozen=True)
class Known:
    """All that is known of a file's content: by the manifest, and by the pin."""

    place: Place
    pin: Pin | None

    @classmethod
    def of(cls, place: Place) -> Known:
        """Raises UserError where ``lock.json`` is broken."""
        return cls(place, _read().get(place.key))

    @property
    def size(self) -> int | None:
        """Bytes."""
        return self.pin.size if self.pin else self.place.file.size

    @property
    def checksum(self) -> bool:
        """Whether a checksum is known, and with it the content."""
        return bool(self.pin or self.place.file.sha256 or self.place.file.md5)

    def wrong_size(self, size: int) -> str | None:
        """What differs for a file of so many bytes."""
        if self.place.file.size not in (None, size):
            return f"has {size} bytes, the manifest {self.place.file.size}"
        if self.pin and self.pin.size != size:
            return f"has {size} bytes, but {self.pin.size} came first; {_accept(self.place)}"
        return None

    def problem(self, digest: Digest) -> str | None:
        """What differs; None where everything known agrees."""
        file = self.place.file
        for kind, wanted, found in (
            ("size", file.size, digest.size),
            ("sha256", file.sha256, digest.sha256),
            ("md5", file.md5, digest.md5),
        ):
            if wanted is not None and wanted != found:
                return f"{kind} is {found}, the manifest has {wanted}"
        if self.pin and self.pin.sha256 != digest.sha256:
            return _changed(self.place, digest, self.pin)
        return None
