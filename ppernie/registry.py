"""Names used in configs, and what they stand for.

``ppernie`` imports no model family: a family is a package under ``model_zoo`` that is found by its name. Its
``__init__`` declares ``architectures`` (class names in its ``modeling`` module, each with the tasks that it serves)
and, where it has sizes of its own, ``config_class`` (a pydantic model of them); its ``convert`` knows the checkpoints
of other libraries (``ppernie.zoo.sources``), and its ``zoo.yaml`` the released variants (``ppernie.zoo.manifest``).

A network beside the family's own is a package inside of it that the family's ``networks`` names: it has
``architectures``, ``config_class``, ``modeling`` and ``plan`` as a family has, and ``variants``, its sizes by name.
Either may declare ``tasks`` of its own, by name with module and class inside the package. Its ``start`` says what such
a network takes of other weights, its ``zero_shot`` and ``harness`` how it answers tasks that it was not trained for.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.resources
import importlib.util
import pkgutil
from collections.abc import Callable, Iterable
from importlib.resources.abc import Traversable
from types import ModuleType
from typing import TYPE_CHECKING, Any

from ppernie.errors import UserError

if TYPE_CHECKING:
    from pydantic import BaseModel

    from ppernie.parallel.plan import Plan

_ZOO = "model_zoo"
_TASKS = {
    "sequence_classification": "ppernie.tasks.sequence_classification:SequenceClassification",
    "token_classification": "ppernie.tasks.token_classification:TokenClassification",
    "span_extraction": "ppernie.tasks.span_extraction:SpanExtraction",
    "multiple_choice": "ppernie.tasks.multiple_choice:MultipleChoice",
    "cross_similarity": "ppernie.tasks.similarity:CrossSimilarity",
    "dual_similarity": "ppernie.tasks.similarity:DualSimilarity",
    "masked_language_modeling": "ppernie.tasks.masked_language_modeling:MaskedLanguageModeling",
    "text_generation": "ppernie.tasks.generation:TextGeneration",
    "distillation": "ppernie.slim.distillation.texts:TextDistillation",
}


def _unknown(kind: str, name: str, known: Iterable[str]) -> UserError:
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(known)}"
    return UserError(f"unknown {kind} '{name}': {hint}")


def _tasks() -> dict[str, str]:
    """Module and class of every task by name; those of a family are ``family/task``."""
    own = {
        f"{family}/{name}": f"{package.__name__}.{target}"
        for family in families()
        for package in _packages(family)
        for name, target in getattr(package, "tasks", {}).items()
    }
    return _TASKS | own


def task_names() -> list[str]:
    """Names for ``Task.name``."""
    return sorted(_tasks())


def task_class(name: str) -> Any:
    """The task's class. Raises UserError for an unknown name."""
    tasks = _tasks()
    if name not in tasks:
        raise _unknown("task", name, tasks)
    module, _, attribute = tasks[name].partition(":")
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


def family_files(name: str) -> Traversable:
    """The family's folder, with its ``zoo.yaml`` and its model card."""
    return importlib.resources.files(_family(name))


def family_config(name: str) -> type[BaseModel] | None:
    """The pydantic model of the family's architectures; None where nothing is known of them."""
    return getattr(_family(name), "config_class", None)


def family_convert(name: str) -> ModuleType | None:
    """The family's ``convert`` module; None where it has none."""
    return _optional_module(_family(name), "convert")


def family_shards(name: str) -> ModuleType | None:
    """The family's ``shards``, which reads and writes the tensor-parallel files it was published in; None without."""
    return _optional_module(_family(name), "shards")


def family_plan(name: str) -> Plan:
    """How the family's weights are cut over ranks. Raises UserError where it has no plan."""
    return _plan(_family(name))


def _plan(package: ModuleType) -> Plan:
    module = _optional_module(package, "plan")
    if module is None:
        name = package.__name__.removeprefix(f"{_ZOO}.")
        raise UserError(f"the family {name} has no plan: it runs with Distributed.mp = 1 alone")
    return module.PLAN


def _optional_module(package: ModuleType, name: str) -> ModuleType | None:
    path = f"{package.__name__}.{name}"
    return importlib.import_module(path) if importlib.util.find_spec(path) else None


def _packages(family: str) -> list[ModuleType]:
    """The family's package, and those of the networks beside its own."""
    own = _family(family)
    return [own, *(importlib.import_module(f"{own.__name__}.{name}") for name in getattr(own, "networks", ()))]


def arch_names() -> list[str]:
    """Names for ``Arch.name``: ``family/Class``."""
    return [
        f"{family}/{arch}" for family in families() for package in _packages(family) for arch in package.architectures
    ]


def _split(name: str) -> tuple[ModuleType, str]:
    """The package that holds an architecture, and the class's name."""
    family, _, arch = name.partition("/")
    for package in _packages(family) if family in families() else ():
        if arch in package.architectures:
            return package, arch
    raise _unknown("architecture", name, arch_names())


def arch_config(name: str) -> type[BaseModel]:
    """The pydantic model of the architecture's fields. Raises UserError for an unknown name."""
    return _split(name)[0].config_class


def arch_class(name: str) -> Any:
    """The network's class; imports paddle."""
    package, arch = _split(name)
    return getattr(importlib.import_module(f"{package.__name__}.modeling"), arch)


def arch_plan(name: str) -> Plan:
    """How the architecture's weights are cut over ranks. Raises UserError where it has no plan."""
    return _plan(_split(name)[0])


def arch_start(name: str) -> Callable[..., Any] | None:
    """What the architecture takes of other weights (``start_from``); None where the family's layouts say it."""
    module = _optional_module(_split(name)[0], "start")
    return module.start_from if module else None


def arch_zero_shot(name: str) -> Any:
    """The class that scores texts by networks of the architecture (``ppernie.zero_shot``); imports paddle.

    Raises UserError where there is none.
    """
    return _scorer(name, "zero_shot")


def arch_harness(name: str) -> Any:
    """The class that answers by networks of the architecture (``ppernie.harness``); imports paddle.

    Raises UserError where there is none.
    """
    return _scorer(name, "harness")


def _scorer(name: str, room: str) -> Any:
    module = _optional_module(_split(name)[0], room)
    if module is None:
        raise UserError(f"{name}: no network of this kind scores texts without being trained for it")
    return module.Scorer


def network_class(family: str, name: str) -> Any:
    """A class of the family's ``modeling``, with a head or without; imports paddle."""
    return getattr(importlib.import_module(f"{_ZOO}.{family}.modeling"), name)


def task_arch(family: str, task: str) -> str:
    """The family's class that serves a task. Raises UserError where none does."""
    architectures = _family(family).architectures
    served = {task: arch for arch, tasks in architectures.items() for task in tasks}
    if task not in served:
        raise _unknown(f"head of {family}", task, served)
    return served[task]


def arch_tasks(name: str) -> tuple[str, ...]:
    """Names of the tasks that the architecture serves."""
    package, arch = _split(name)
    return package.architectures[arch]


def arch_variants(name: str) -> dict[str, dict[str, Any]]:
    """Architecture fields of the released variants, of any family, that the architecture's network holds, by name.

    A network beside the family's own has been released nowhere; its variants are sizes.
    """
    from ppernie.zoo import manifest  # it imports this module

    package, _ = _split(name)
    if hasattr(package, "variants"):
        return package.variants
    family = name.partition("/")[0]
    return {variant: entry.architecture for variant, entry in manifest.variants().items() if entry.network == family}
