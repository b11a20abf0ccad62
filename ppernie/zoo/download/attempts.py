"""A file from the first of its addresses that gives it, with patience but not without end."""

from __future__ import annotations

import logging
import time

from ppernie.errors import UserError
from ppernie.zoo.download.digests import Digest
from ppernie.zoo.download.http import Again, Client, Corrupt, GiveUp
from ppernie.zoo.download.part import Part
from ppernie.zoo.download.pins import Known, add_pin
from ppernie.zoo.download.places import Place
from ppernie.zoo.download.policy import Policy
from ppernie.zoo.download.progress import Progress

_LOG = logging.getLogger("ppernie")


def download(place: Place, known: Known, policy: Policy) -> None:
    """Puts the file in its place, checked, pinned and whole.

    Raises:
        UserError: no address gave it, with the reason of each; or the disk is full or not writable.
    """
    client = Client(policy)
    failures = []
    with Part(place.path) as part:
        for address in place.addresses:
            _LOG.info("downloading %s from %s", place.key, address)
            try:
                digest = _from_address(client, address, part, known, policy)
            except GiveUp as error:
                failures.append(f"{address}: {error}")
                _LOG.warning("%s", failures[-1])
                continue
            if not known.checksum:
                _LOG.info("%s: no checksum is known; pinned sha256 %s", place.key, digest.sha256)
            add_pin(place, digest)
            part.finish()
            return
    raise UserError(place.missing("no address gave the file", failures))


def _from_address(client: Client, address: str, part: Part, known: Known, policy: Policy) -> Digest:
    """Raises GiveUp, with the last reason, once the policy's patience is at its end."""
    progress = Progress(known.place.key)
    fruitless = mismatches = 0
    furthest = part.size
    try:
        for attempt in range(1, policy.attempts + 1):
            try:
                client.fetch(address, part, known, progress)
                return _checked(part, known)
            except Corrupt as error:
                part.restart(None)
                reason, wait = str(error), None
                mismatches += 1
            except Again as error:
                reason, wait = str(error), error.wait
            fruitless = 0 if part.size > furthest else fruitless + 1
            furthest = max(furthest, part.size)
            if mismatches == 2 or fruitless == policy.fruitless or attempt == policy.attempts:
                break
            pause = policy.pause(max(fruitless, 1), wait)
            _LOG.info("%s: %s; trying again in %.1f s", known.place.key, reason, pause)
            time.sleep(pause)
    finally:
        progress.close()
    raise GiveUp(f"{reason}; gave up after {attempt} attempts" if mismatches < 2 else f"{reason}, twice")


def _checked(part: Part, known: Known) -> Digest:
    digest = part.digest()
    if problem := known.problem(digest):
        raise Corrupt(problem)
    announced = part.origin.md5 if part.origin else None
    if announced not in (None, digest.md5):
        raise Corrupt(f"md5 is {digest.md5}, the server announced {announced}")
    return digest
