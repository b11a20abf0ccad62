"""Names used in configs, and what they stand for.

``ppernie`` imports no model family: a family is a package under ``model_zoo`` that is found by its name. Its
``__init__`` declares ``config_class`` (a pydantic model) and ``architectures`` (class names in its ``modeling``
module, each with the tasks that it serves); its ``zoo.yaml`` lists the released variants.
"""

from __future__ import annotations

import difflib
import functools
import importlib
import importlib.resources
import pkgutil
from collections.abc import Iterable
from types import ModuleType
from typing import TYPE_CHECKING, Any

import yaml

from ppernie.errors import UserError

if TYPE_CHECKING:
    from pydantic import BaseModel

_ZOO = "model_zoo"
_TASKS = {
    "sequence_classification": "ppernie.tasks.sequence_classification:SequenceClassification",
    "token_classification": "ppernie.tasks.token_classification:TokenClassification",
    "span_extraction": "ppernie.tasks.span_extraction:SpanExtraction",
    "multiple_choice": "ppernie.tasks.multiple_choice:MultipleChoice",
    "cross_similarity": "ppernie.tasks.similarity:CrossSimilarity",
    "dual_similarity": "ppernie.tasks.similarity:DualSimilarity",
    "masked_language_modeling": "ppernie.tasks.masked_language_modeling:MaskedLanguageModeling",
}


def _unknown(kind: str, name: str, known: Iterable[str]) -> UserError:
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(known)}"
    return UserError(f"unknown {kind} '{name}': {hint}")


def task_names() -> list[str]:
    """Names for ``Task.name``."""
    return sorted(_TASKS)


def task_class(name: str) -> Any:
    """The task's class. Raises UserError for an unknown name."""
    if name not in _TASKS:
        raise _unknown("task", name, _TASKS)
    module, _, attribute = _TASKS[name].partition(":")
    return getattr(importlib.import_module(module), attribute)


def task_options(name: str) -> type[BaseModel]:
    """The pydantic model of the task's options."""
    return task_class(name).Options


def families() -> list[str]:
    """Names of the installed families."""
    zoo = importlib.import_module(_ZOO)
    return sorted(module.name for module in pkgutil.iter_modules(zoo.__path__) if module.ispkg)


def _family(name: str) -> ModuleType:
    if name not in families():
        raise _unknown("model family", name, families())
    return importlib.import_module(f"{_ZOO}.{name}")


def arch_names() -> list[str]:
    """Names for ``Arch.name``: ``family/Class``."""
    return [f"{family}/{arch}" for family in families() for arch in _family(family).architectures]


def _split(name: str) -> tuple[str, str]:
    family, _, arch = name.partition("/")
    if family not in families() or arch not in _family(family).architectures:
        raise _unknown("architecture", name, arch_names())
    return family, arch


def arch_config(name: str) -> type[BaseModel]:
    """The pydantic model of the architecture's fields. Raises UserError for an unknown name."""
    return _family(_split(name)[0]).config_class


def arch_class(name: str) -> Any:
    """The network's class; imports paddle."""
    family, arch = _split(name)
    return getattr(importlib.import_module(f"{_ZOO}.{family}.modeling"), arch)


def arch_tasks(name: str) -> tuple[str, ...]:
    """Names of the tasks that the architecture serves."""
    family, arch = _split(name)
    return _family(family).architectures[arch]


def arch_variants(name: str) -> dict[str, dict[str, Any]]:
    """Architecture fields of the family's released variants, by name."""
    return {variant: entry["architecture"] for variant, entry in zoo(_split(name)[0]).items()}


@functools.cache
def zoo(family: str) -> dict[str, dict[str, Any]]:
    """The family's ``zoo.yaml``."""
    text = importlib.resources.files(f"{_ZOO}.{family}").joinpath("zoo.yaml").read_text(encoding="utf-8")
    return yaml.safe_load(text)
