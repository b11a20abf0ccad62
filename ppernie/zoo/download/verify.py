"""Cached files hashed anew, against the manifest and the pins."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ppernie.zoo.download.digests import hash_file
from ppernie.zoo.download.pins import Known
from ppernie.zoo.download.places import place_of_file
from ppernie.zoo.manifest import File, Variant


@dataclass(frozen=True)
class Check:
    """What became of one file.

    Attributes:
        name: ``folder/file``.
        state: "OK", "CHANGED", "absent" or "no checksum known".
        path: where it lies, or would.
        problem: what differs, of a changed file.
    """

    name: str
    state: str
    path: Path
    problem: str | None = None

    @property
    def wrong(self) -> bool:
        """Whether the file is not there or not what it was."""
        return self.state in ("CHANGED", "absent")


def verify(variant: Variant) -> list[Check]:
    """Hashes every file of a variant. Raises UserError where one cannot be read."""
    return [_check(file, variant.folder) for file in variant.files]


def _check(file: File, folder: str) -> Check:
    place = place_of_file(file, folder)
    path = place.find()
    if path is None:
        return Check(place.key, "absent", place.path)
    known = Known.of(place)
    if not known.checksum:
        return Check(place.key, "no checksum known", path)
    problem = known.problem(hash_file(path).digest())
    return Check(place.key, "CHANGED" if problem else "OK", path, problem)
