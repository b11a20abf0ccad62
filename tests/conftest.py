"""Fixtures that all tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent


def _beside(name: str) -> Path:
    """A folder of reference material that lies beside the checkout, and is no part of it."""
    folder = Path(os.environ.get("PPERNIE_SHARED", REPOSITORY.parent / "shared")) / name
    if not folder.is_dir():
        pytest.skip(f"needs {folder}, which is not part of the repository")
    return folder


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real data sets; skips where they are absent."""
    return _beside("data")


@pytest.fixture(scope="session")
def shared_oracles() -> Path:
    """Dumps of other implementations; skips where they are absent."""
    return _beside("oracles")


@pytest.fixture(scope="session")
def repository() -> Path:
    """The checkout."""
    return REPOSITORY
