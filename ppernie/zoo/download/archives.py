"""Archives, unpacked once."""

from __future__ import annotations

import hashlib
from pathlib import Path

from ppernie.zoo.download.places import home
from ppernie.zoo.download.turns import exclusive


def unpacked(archive: Path) -> Path:
    """The content of an archive as a folder in the cache; it is made anew when the archive changed.

    Raises:
        UserError: the archive is damaged or hostile, or the cache is not writable.
    """
    from ppernie.zoo.formats.archives import extract

    archive = archive.resolve()
    state = archive.stat()
    identity = hashlib.sha256(f"{archive}:{state.st_size}:{state.st_mtime_ns}".encode()).hexdigest()[:12]
    folder = home() / "unpacked" / f"{archive.name}-{identity}"
    if not folder.is_dir():
        with exclusive(home() / "locks" / f"{folder.name}.lock"):
            if not folder.is_dir():
                extract(archive, folder)
    return folder
