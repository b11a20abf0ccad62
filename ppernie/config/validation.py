"""From plain values to a checked Config, or one report of everything that is wrong."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from ppernie import registry
from ppernie.config.checks import cross_check
from ppernie.config.keys import closest, known_keys
from ppernie.config.loader import read_settings
from ppernie.config.messages import MISSING, UNKNOWN, plain_problems, shown
from ppernie.config.overrides import apply_overrides
from ppernie.config.report import Report
from ppernie.config.sections import ArchHead, ArchSection, Config, TaskHead, TaskSection
from ppernie.config.settings import KeyPath, Settings
from ppernie.errors import UserError

Model = TypeVar("Model", bound=BaseModel)


def load_as(model: type[Model], path: str | Path, overrides: Sequence[str] = ()) -> tuple[Model | None, Report]:
    """Reads a config file of another kind than a run's, with its bases and ``-o`` overrides.

    Returns:
        What the file says, None where it does not fit the model; and the report of all problems, not yet raised.

    Raises:
        UserError: the file, or one of its bases, cannot be read.
    """
    settings = read_settings(path)
    report = Report(settings, apply_overrides(settings, overrides), model)
    return _parse(model, settings.values, (), report), report


def validate(settings: Settings, complaints: Sequence[str] = ()) -> Config:
    """Check all sections and the rules between them; ``complaints`` are problems already found.

    Raises UserError with every problem of the config.
    """
    report = Report(settings, complaints)
    values = dict(settings.values)
    for name in values:
        if name not in Config.model_fields:
            report.add((name,), UNKNOWN)
    sections: dict[str, Any] = {}
    for name, field in Config.model_fields.items():
        section: Any = field.annotation
        if name not in values:
            if field.is_required():
                report.add((name,), MISSING)
        elif not isinstance(values[name], dict):
            report.add((name,), f"must be a map of keys; got {shown(values[name])}")
        elif name == "Arch":
            sections[name] = _arch(values, report)
        elif name == "Task":
            sections[name] = _task(values[name], report)
        else:
            sections[name] = _parse(section, values[name], (name,), report)
    cross_check(values, report)
    report.raise_problems()
    return Config(**sections)


def _arch(values: dict[str, Any], report: Report) -> ArchSection | None:
    """The Arch section; lays its keys over the variant's fields, in ``values`` too, for the rules between keys."""
    given, own = _split(values["Arch"], ArchHead)
    head = _parse(ArchHead, given, ("Arch",), report)
    if head is None:
        return None
    try:
        family = registry.arch_config(head.name)
    except UserError as error:
        report.add(("Arch", "name"), str(error))
        return None
    report.known |= known_keys(family, ("Arch",))
    preset = _variant_fields(head, report)
    if head.variant is None:
        preset = _pretrained_fields(values, head, report)
    if preset == {} and not own and head.variant is None and (variants := registry.arch_variants(head.name)):
        report.add(("Arch", "variant"), f"name a variant ({', '.join(variants)}) or give the architecture's fields")
        return None
    fields = (preset or {}) | own
    values["Arch"] = given | fields
    model = _parse(family, fields, ("Arch",), report, partial=preset is None)
    return None if model is None else ArchSection(name=head.name, variant=head.variant, model=model)


def _variant_fields(head: ArchHead, report: Report) -> dict[str, Any] | None:
    """The fields that the variant sets; None for an unknown variant, which is reported."""
    if head.variant is None:
        return {}
    variants = registry.arch_variants(head.name)
    if head.variant not in variants:
        near = closest(head.variant, variants)
        hint = f"did you mean {near}?" if near else f"there are {', '.join(variants) or 'none'}"
        report.add(("Arch", "variant"), f"{head.name} has no variant {head.variant!r}; {hint}")
        return None
    return variants[head.variant]


def _pretrained_fields(values: dict[str, Any], head: ArchHead, report: Report) -> dict[str, Any] | None:
    """The fields that the pretrained model sets where no variant is named; None for a wrong one, which is reported."""
    section = values.get("Global")
    name = section.get("pretrained_model") if isinstance(section, dict) else None
    if not isinstance(name, str):
        return {}
    from ppernie.zoo.sources import known_architecture

    try:
        family, fields = known_architecture(name)
    except UserError as error:
        report.add(("Global", "pretrained_model"), str(error))
        return None
    own = head.name.partition("/")[0]
    if family not in (None, own):
        report.add(("Global", "pretrained_model"), f"{name} is of the family {family}, Arch.name of {own}")
        return None
    return fields


def _task(value: dict[str, Any], report: Report) -> TaskSection | None:
    given, own = _split(value, TaskHead)
    head = _parse(TaskHead, given, ("Task",), report)
    if head is None:
        return None
    try:
        kind = registry.task_options(head.name)
    except UserError as error:
        report.add(("Task", "name"), str(error))
        return None
    report.known |= known_keys(kind, ("Task",))
    options = _parse(kind, own, ("Task",), report)
    return None if options is None else TaskSection(name=head.name, options=options)


def _split(value: dict[str, Any], head: type[BaseModel]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The keys that belong to ``head``, and the others."""
    return (
        {key: item for key, item in value.items() if key in head.model_fields},
        {key: item for key, item in value.items() if key not in head.model_fields},
    )


def _parse(
    model: type[Model], value: dict[str, Any], path: KeyPath, report: Report, partial: bool = False
) -> Model | None:
    """The model of ``value``, or None with its problems reported; ``partial`` leaves out missing keys."""
    try:
        # JSON is the input whose strict rules fit YAML: no text taken as a number, but a list taken as a tuple.
        return model.model_validate_json(json.dumps(value), strict=True, extra="forbid")
    except ValidationError as error:
        for below, problem in plain_problems(error, value):
            if not (partial and problem == MISSING):
                report.add((*path, *below), problem)
        return None
