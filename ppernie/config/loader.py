"""Config files: YAML, with the files under ``_BASE_`` merged beneath the file that names them."""

from __future__ import annotations

import os
from pathlib import Path

from ppernie.config.settings import Settings
from ppernie.config.yaml12 import parse_yaml
from ppernie.errors import UserError

BASE_KEY = "_BASE_"


def read_settings(path: str | Path) -> Settings:
    """The merged values of a config file: its bases in order, then the file itself.

    Raises UserError for a missing, empty or unreadable file, broken YAML, and bases that form a cycle.
    """
    return _read(Path(path), (), "")


def _read(path: Path, chain: tuple[Path, ...], named_by: str) -> Settings:
    """``chain`` holds the files whose bases led here, ``named_by`` the last one's ``file:line``."""
    name = os.path.normpath(path)
    if path.resolve() in [link.resolve() for link in chain]:
        cycle = " -> ".join(os.path.normpath(link) for link in (*chain, path))
        raise UserError(f"{named_by}: the {BASE_KEY} files form a cycle: {cycle}")
    own = _own_settings(_text(path, name, named_by), name)
    bases = own.values.pop(BASE_KEY, [])
    origin = own.origins.get((BASE_KEY,), name)
    merged = Settings(name)
    for base in _base_list(bases, origin):
        merged.merge(_read(path.parent / base, (*chain, path), origin))
    merged.merge(own)
    return merged


def _own_settings(text: str, name: str) -> Settings:
    values, lines = parse_yaml(text, name)
    if values is None:
        raise UserError(f"{name}: the file is empty; a config holds sections such as Global, Arch and Train")
    if not isinstance(values, dict):
        raise UserError(f"{name}: the top level must be a map of sections (Global:, Arch:, ...)")
    return Settings(name, values, {path: f"{name}:{line}" for path, line in lines.items()})


def _base_list(bases: object, origin: str) -> list[str]:
    if isinstance(bases, str):
        bases = [bases]
    if not isinstance(bases, list) or not all(isinstance(base, str) and base for base in bases):
        raise UserError(f"{origin}: {BASE_KEY} must be a path or a list of paths")
    return bases


def _text(path: Path, name: str, named_by: str) -> str:
    where = f"{named_by}: {BASE_KEY}: " if named_by else ""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"{where}cannot read the config {name}: {error.strerror}") from error
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UserError(f"{name}:{line}: byte {error.start} is not UTF-8; save the file as UTF-8") from error
