"""What ``-o Section.key=value`` on the command line changes in the merged values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ppernie.config.keys import closest, is_free_map, known_keys
from ppernie.config.sections import Config
from ppernie.config.settings import KeyPath, Settings, dotted
from ppernie.config.yaml12 import parse_yaml
from ppernie.errors import UserError


def apply_overrides(settings: Settings, overrides: Sequence[str]) -> list[str]:
    """Apply each override in order; returns what is wrong with those that could not be applied."""
    complaints = []
    for override in overrides:
        try:
            apply_override(settings, override)
        except UserError as error:
            complaints.append(str(error))
    return complaints


def apply_override(settings: Settings, override: str) -> None:
    """Set one key: ``A.b=1``, ``A.list.0=1`` for an item of a list, ``+A.map.new=1`` to add to a free-form map.

    The value is YAML and replaces what was there, maps included. Whether the key is known is left to validation.
    """
    origin = f"-o {override}"
    key, equals, text = override.partition("=")
    if not equals:
        raise UserError(f"{origin}: expected Section.key=value")
    steps = key.removeprefix("+").split(".")
    if not all(step.strip() for step in steps):
        raise UserError(f"{origin}: the key before '=' has an empty part; expected Section.key=value")
    value, _ = parse_yaml(text, origin)
    target, path = _descend(settings, steps, origin)
    last = path[-1]
    if not key.startswith("+") and isinstance(target, dict) and last not in target:
        _check_not_new(path, target, origin)
    target[last] = value
    settings.record(path, {path: origin})


def _descend(settings: Settings, steps: list[str], origin: str) -> tuple[Any, KeyPath]:
    """The map or list that holds the last step, made where it is absent, and the path down to the last step."""
    target: Any = settings.values
    path: KeyPath = (_step(target, steps[0], (), origin),)
    for step in steps[1:]:
        held = path[-1]
        child = target.get(held) if isinstance(target, dict) else target[held]
        if child is None:
            child = target[held] = {}
            settings.record(path, {path: origin})
        target = child
        path = (*path, _step(target, step, path, origin))
    return target, path


def _step(target: Any, step: str, path: KeyPath, origin: str) -> str | int:
    """``step`` as a key of the map or an index of the list ``target``, which stands at ``path``."""
    if isinstance(target, dict):
        return step
    if not isinstance(target, list):
        raise UserError(f"{origin}: {dotted(path)} is {target!r}, not a map, so it holds no key {step!r}")
    if not step.isascii() or not step.isdigit() or int(step) >= len(target):
        raise UserError(f"{origin}: {dotted(path)} is a list of {len(target)}; {step!r} is not an index of it")
    return int(step)


def _check_not_new(path: KeyPath, target: dict[str, Any], origin: str) -> None:
    if not is_free_map(known_keys(Config).get(path[:-1])):
        return
    near = closest(str(path[-1]), target)
    hint = f"did you mean {dotted((*path[:-1], near))}? " if near else ""
    raise UserError(
        f"{origin}: {dotted(path[:-1])} holds no key {path[-1]!r}; {hint}write +{dotted(path)}=... to add it"
    )
