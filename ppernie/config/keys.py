"""The keys that a config may hold, read from the models of its sections."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from ppernie.config.settings import KeyPath, dotted


def known_keys(model: type[BaseModel], prefix: KeyPath = ()) -> dict[KeyPath, FieldInfo]:
    """Every key path of ``model`` and of the models nested in it; fields not written to files are left out."""
    keys: dict[KeyPath, FieldInfo] = {}
    for name, field in model.model_fields.items():
        if field.exclude:
            continue
        path = (*prefix, name)
        keys[path] = field
        for kind in _kinds(field.annotation):
            if _is_model(kind):
                keys |= known_keys(kind, path)
    return keys


def keys_beside(model: type[BaseModel], path: KeyPath) -> dict[KeyPath, FieldInfo]:
    """The keys that the map around ``path`` may hold; it may lie in lists and maps of models, too."""
    kinds: list[Any] = [model]
    for step in path[:-1]:
        kinds = [inner for kind in kinds for inner in _inside(kind, step)]
    models = [kind for kind in kinds if _is_model(kind)]
    return {key: field for kind in models for key, field in known_keys(kind, path[:-1]).items()}


def _inside(kind: Any, step: str | int) -> Iterator[Any]:
    """The kinds of what stands at ``step`` of a model, a list or a map."""
    if get_origin(kind) in (dict, list, tuple):
        yield from _kinds(get_args(kind)[-1])
    elif _is_model(kind) and step in kind.model_fields:
        yield from _kinds(kind.model_fields[step].annotation)


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def is_free_map(field: FieldInfo | None) -> bool:
    """Whether the field is a map whose keys the user chooses."""
    return field is not None and any(get_origin(kind) is dict for kind in _kinds(field.annotation))


def _kinds(annotation: Any) -> Iterator[Any]:
    """The alternatives of a union, or the annotation itself."""
    if isinstance(annotation, type) or get_origin(annotation) in (dict, list, tuple):
        yield annotation
    else:
        for part in get_args(annotation):
            yield from _kinds(part)


def nearest_key(path: KeyPath, known: Collection[KeyPath]) -> str | None:
    """The known key that ``path`` probably meant: of that name in another section, else like it, best beside it."""
    beside = {str(key[-1]): key for key in known if key[:-1] == path[:-1]}
    elsewhere = {str(key[-1]): key for key in known if len(key) > 1}
    for candidates, cutoff in ((elsewhere, 1.0), (beside, 0.6), (elsewhere, 0.85)):
        match = closest(str(path[-1]), candidates, cutoff)
        if match is not None:
            return dotted(candidates[match])
    return None


def closest(word: str, candidates: Collection[str], cutoff: float = 0.6) -> str | None:
    """The candidate most like ``word``, upper and lower case taken as equal."""
    folded = {candidate.casefold(): candidate for candidate in candidates}
    matches = difflib.get_close_matches(word.casefold(), folded, n=1, cutoff=cutoff)
    return folded[matches[0]] if matches else None
