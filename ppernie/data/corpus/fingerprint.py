"""What tells one tokenizer from another."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path

from ppernie.data.tokenizers import Tokenizer


def fingerprint(tokenizer: Tokenizer) -> str:
    """A digest of all that decides the ids of a text: equal for tokenizers that save the same files."""
    digest = hashlib.sha256()
    with tempfile.TemporaryDirectory() as folder:
        tokenizer.save(folder)
        for path in sorted(Path(folder).iterdir()):
            digest.update(f"{path.name} {path.stat().st_size}\n".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()
