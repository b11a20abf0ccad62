"""Where files lie: the cache of ppernie, and PaddleNLP's, which is only read.

``PPERNIE_HOME`` (``~/.ppernie`` by default) holds::

    models/<variant>/<file>              files of the manifest
    addresses/<host>-<hash>/<file>       files of addresses that a user gave
    unpacked/                            archives as folders
    lock.json                            size and sha256 of each, as first downloaded
    locks/                               whose turn it is to download
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ppernie.errors import UserError
from ppernie.zoo.download.addresses import addresses_of, check_address, folder_of, name_of
from ppernie.zoo.manifest import File


def home() -> Path:
    """``PPERNIE_HOME``, which need not be there."""
    return _folder("PPERNIE_HOME", "~/.ppernie")


def offline() -> bool:
    """Whether ``PPERNIE_OFFLINE`` forbids to connect. Raises UserError where it says neither yes nor no."""
    value = os.environ.get("PPERNIE_OFFLINE", "").lower()
    if value not in ("", "0", "false", "no", "off", "1", "true", "yes", "on"):
        raise UserError(f"PPERNIE_OFFLINE is {value!r}; set it to 1 or 0")
    return value in ("1", "true", "yes", "on")


def _folder(variable: str, default: str) -> Path:
    return Path(os.environ.get(variable) or default).expanduser().absolute()


@dataclass(frozen=True)
class Place:
    """A file, and where it lies or will lie.

    Attributes:
        file: address and what is known of the content.
        key: ``folder/name``, its name in messages and in ``lock.json``.
        path: in the cache of ppernie.
        foreign: where PaddleNLP keeps it, if it does.
        addresses: to ask, in this order.
    """

    file: File
    key: str
    path: Path
    foreign: tuple[Path, ...]
    addresses: tuple[str, ...]

    @property
    def lock(self) -> Path:
        """Held by the process that downloads the file."""
        return home() / "locks" / f"{self.key.replace('/', '--')}.lock"

    def find(self) -> Path | None:
        """The first path at which there is a file; its content is not looked at."""
        return next((path for path in (self.path, *self.foreign) if os.path.isfile(path)), None)

    def missing(self, what: str, addresses: Iterable[str]) -> str:
        """The message for a file that cannot be had, with the way to provide it by hand."""
        by_hand = f"download it in another way and put it at {self.path}"
        return "; ".join([f"{self.key}: {what}", *addresses, by_hand])


def place_of_file(file: File, folder: str) -> Place:
    """Of a file of the manifest, from the name of its variant's folder."""
    paddlenlp = _folder("PPNLP_HOME", "~/.paddlenlp") / "models" / folder
    # Its older versions keep the name of the address, its newer ones rename.
    names = dict.fromkeys((name_of(file.address), file.name))
    return Place(
        file,
        f"{folder}/{file.name}",
        home() / "models" / folder / file.name,
        tuple(paddlenlp / name for name in names),
        addresses_of(file),
    )


def place_of_address(address: str) -> Place:
    """Of an address that a user gave; it is asked as it stands. Raises UserError where it is none."""
    check_address(address)
    file = File(name=name_of(address), address=address)
    folder = folder_of(address)
    return Place(file, f"{folder}/{file.name}", home() / "addresses" / folder / file.name, (), (address,))
