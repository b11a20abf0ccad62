"""A run is a config: YAML files and ``-o`` overrides become one checked, typed object."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ppernie.config.loader import read_settings
from ppernie.config.overrides import apply_overrides
from ppernie.config.schema import config_schema
from ppernie.config.sections import Config, Section, Source
from ppernie.config.settings import Settings
from ppernie.config.validation import validate
from ppernie.config.yaml12 import dump_yaml
from ppernie.errors import UserError

__all__ = ["Config", "Section", "Source", "config_schema", "dump_config", "load_config", "parse_config"]


def load_config(path: str | Path, overrides: Sequence[str] = ()) -> Config:
    """Read a config file with its bases, apply ``-o`` overrides, and check the whole.

    Raises UserError: at once for files that cannot be read, else with all problems together.
    """
    settings = read_settings(path)
    return validate(settings, apply_overrides(settings, overrides))


def parse_config(values: dict[str, Any]) -> Config:
    """Check sections given as plain values (maps, lists, text, numbers); raises UserError as load_config does."""
    try:
        plain = json.loads(json.dumps(values))
    except (TypeError, ValueError) as error:
        raise UserError(f"config: only maps, lists, text, numbers and null can be given: {error}") from error
    if not isinstance(plain, dict):
        raise UserError(f"config: expected a map of sections, got {type(values).__name__}")
    return validate(Settings("config", plain))


def dump_config(config: Config) -> str:
    """The resolved config as YAML, every default written out, that loads as an equal Config."""
    return dump_yaml(config.resolved())
