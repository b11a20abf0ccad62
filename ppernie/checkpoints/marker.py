"""The marker of a checkpoint folder: written last, it says which files are the whole, and of which sizes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ppernie.checkpoints.rank_file import checksum, write_synced
from ppernie.errors import UserError
from ppernie.files import sync

MARKER = "COMPLETE"
STATE = "state.json"


class Damaged(UserError):
    """A checkpoint that was marked complete is not what was written; ``what`` says in which point."""

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(f"{path}: damaged ({what}); resume from another checkpoint, or use --resume auto")
        self.what = what


@dataclass(frozen=True)
class Marker:
    """The content of a marker.

    Attributes:
        files: ``bytes`` of each file; of the small ones, the ``checksum`` too.
        world: how many ranks wrote.
        topology: the degrees of the run that wrote, for people: reading does not need them.
    """

    files: dict[str, dict[str, Any]]
    world: int
    topology: dict[str, int] = field(default_factory=dict)


def write_marker(folder: Path, marker: Marker) -> None:
    """Marks a folder complete, in one step."""
    content = json.dumps({"files": marker.files, "world": marker.world, "topology": marker.topology})
    temporary = folder / f"{MARKER}.tmp"
    write_synced(temporary, f"{content}\n{checksum(content.encode())}\n".encode())
    temporary.replace(folder / MARKER)
    sync(folder)


def read_marker(folder: Path) -> Marker:
    """The marker of a complete checkpoint, all of whose files are there in their sizes.

    Raises:
        UserError: there is no such folder, or no marker in it.
        Damaged: the marker is broken, or a file is absent or of another size.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such checkpoint folder; --resume takes 'auto' or a step_XXXXXXXX folder")
    try:
        content, _, digest = (folder / MARKER).read_text(encoding="utf-8").partition("\n")
    except FileNotFoundError:
        raise UserError(f"{folder}: not a complete checkpoint; resume from another one, or use --resume auto") from None
    except (OSError, ValueError) as error:
        raise Damaged(folder, f"its marker cannot be read: {error}") from error
    if digest != f"{checksum(content.encode())}\n":
        raise Damaged(folder, "its marker is not what was written")
    marker = _parse(folder, content)
    for name, entry in marker.files.items():
        _check_size(folder, name, entry["bytes"])
    return marker


def is_complete(folder: Path) -> bool:
    """Whether the marker is there, and every file in the size that it had when the marker was written."""
    try:
        read_marker(folder)
    except UserError:
        return False
    return True


def read_checked(folder: Path, name: str, files: Mapping[str, Mapping[str, Any]]) -> bytes:
    """The content of a small file. Raises Damaged where it is not what the marker says."""
    try:
        content = (folder / name).read_bytes()
    except OSError as error:
        raise Damaged(folder, f"{name} cannot be read: {error.strerror}") from error
    if checksum(content) != files[name]["checksum"]:
        raise Damaged(folder, f"{name} is not what was written")
    return content


def _parse(folder: Path, content: str) -> Marker:
    try:
        return Marker(**json.loads(content))
    except (ValueError, TypeError) as error:
        raise Damaged(folder, f"its marker is of another version: {error}") from error


def _check_size(folder: Path, name: str, expected: int) -> None:
    try:
        size = (folder / name).stat().st_size
    except OSError as error:
        raise Damaged(folder, f"{name}: {error.strerror}") from error
    if size != expected:
        raise Damaged(folder, f"{name} has {size} bytes in place of {expected}")
