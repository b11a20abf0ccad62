"""Files and variants by what they are, wherever they come from."""

from __future__ import annotations

import atexit
import logging
import os
import shutil
import tempfile
from pathlib import Path

from ppernie.errors import UserError
from ppernie.zoo.download.digests import hash_file
from ppernie.zoo.download.pins import Known, add_pin
from ppernie.zoo.download.places import Place, offline, place_of_address, place_of_file
from ppernie.zoo.download.policy import Policy
from ppernie.zoo.download.turns import turn
from ppernie.zoo.manifest import File, Variant

_LOG = logging.getLogger("ppernie")


def get_variant(variant: Variant, policy: Policy | None = None) -> Path:
    """A folder that holds all files of a variant under the names of the manifest.

    It is the folder in the cache. Where some files lie in PaddleNLP's cache it is a temporary folder of links, which
    lasts as long as the process.

    Raises:
        UserError: as of ``get_file``; or the variant has no files that can be downloaded.
    """
    if variant.by_hand or not variant.files:
        raise UserError(f"{variant.name}: cannot be downloaded; {variant.by_hand or variant.note}")
    paths = {file.name: get_file(file, variant.folder, policy) for file in variant.files}
    folders = {path.parent for path in paths.values()}
    if len(folders) == 1 and all(path.name == name for name, path in paths.items()):
        return folders.pop()
    links = Path(tempfile.mkdtemp(prefix="ppernie-"))
    atexit.register(shutil.rmtree, links, ignore_errors=True)
    for name, path in paths.items():
        (links / name).symlink_to(path)
    return links


def get_file(file: File, folder_name: str, policy: Policy | None = None) -> Path:
    """A file of the manifest, downloaded unless it is in the cache of ppernie or of PaddleNLP.

    A cached file is trusted by its size; ``verify`` hashes it. One that the user put there is hashed once if a
    checksum is known. One of PaddleNLP's cache is hashed each time if a checksum is known, since nothing is
    written for it.

    Args:
        file: its entry.
        folder_name: of the variant's folder in the cache.
        policy: the patience of a download.

    Raises:
        UserError: the file can be had nowhere, with each address, its reason, and where to put the file by hand; or
            the cached one is not what was pinned; or the cache is not writable.
    """
    return _get(place_of_file(file, folder_name), policy or Policy())


def get_address(address: str, policy: Policy | None = None) -> Path:
    """The file at an http or https address, kept in a folder of its own. Raises UserError as ``get_file``."""
    return _get(place_of_address(address), policy or Policy())


def cached(variant: Variant) -> bool:
    """Whether all files of a variant are on this machine; their content is not looked at."""
    return bool(variant.files) and all(place_of_file(file, variant.folder).find() for file in variant.files)


def _get(place: Place, policy: Policy) -> Path:
    if path := _local(place):
        return path
    if offline():
        raise UserError(place.missing("not cached, and PPERNIE_OFFLINE forbids to connect", place.addresses))
    with turn(place.lock):
        if not (path := _local(place)):
            # Not imported before there is something to download: the HTTP client takes half a second.
            from ppernie.zoo.download.attempts import download

            download(place, Known.of(place), policy)
    return path or place.path


def _local(place: Place) -> Path | None:
    """The file on this machine, if it is there and what it must be."""
    known = Known.of(place)
    if os.path.isfile(place.path):
        _check_own(place, known)
        return place.path
    for path in place.foreign:
        if os.path.isfile(path) and _agrees(path, known):
            return path
    return None


def _check_own(place: Place, known: Known) -> None:
    if problem := known.wrong_size(place.path.stat().st_size):
        raise UserError(f"{place.path}: {problem}; remove it to download it again")
    if known.pin:
        return
    if known.checksum:
        digest = hash_file(place.path).digest()
        if problem := known.problem(digest):
            raise UserError(f"{place.path}: {problem}; remove it to download it again")
        try:
            add_pin(place, digest)
        except UserError as error:
            _LOG.info("%s: not pinned: %s", place.key, error)
    else:
        _LOG.info("%s: no checksum is known; used as it was put there", place.path)


def _agrees(path: Path, known: Known) -> bool:
    problem = known.wrong_size(path.stat().st_size)
    if not problem and known.checksum:
        problem = known.problem(hash_file(path).digest())
    if problem:
        _LOG.warning("%s: passed over: %s", path, problem)
        return False
    _LOG.info("%s: used in place", path)
    return True
