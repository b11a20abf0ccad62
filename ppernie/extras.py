"""Packages that only some uses need."""

from __future__ import annotations

import importlib
from typing import Any

from ppernie.errors import UserError


def extra_package(name: str, extra: str) -> Any:
    """The module of that name. Raises UserError where its package is absent, with the extra that brings it."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        missing = (error.name or name).partition(".")[0]
        raise UserError(
            f"needs the package {missing}, which is not installed: pip install -e '.[{extra}]' in the checkout brings "
            "it"
        ) from error
