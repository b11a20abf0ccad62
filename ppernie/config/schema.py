"""A JSON Schema of config files, with which editors complete and check the YAML."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, models_json_schema

from ppernie import registry
from ppernie.config.loader import BASE_KEY
from ppernie.config.sections import ArchHead, Config, TaskHead

_MODE: JsonSchemaMode = "validation"


class _FileSchema(GenerateJsonSchema):
    """No key is required: a file may leave any of them to its bases or to ``-o``."""

    def field_is_required(self, *args: Any, **kwargs: Any) -> bool:
        return False


def config_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of a config file, with the keys of every architecture and task by name."""
    closed: dict[str, Any] = {
        name: field.annotation for name, field in Config.model_fields.items() if name not in ("Arch", "Task")
    }
    families = {name: registry.arch_config(name) for name in registry.arch_names()}
    tasks = {name: registry.task_options(name) for name in registry.task_names()}
    models: dict[Any, None] = dict.fromkeys([*closed.values(), ArchHead, TaskHead, *families.values(), *tasks.values()])
    refs, shared = models_json_schema(
        [(model, _MODE) for model in models], schema_generator=_FileSchema, ref_template="#/$defs/{model}"
    )
    definitions = shared["$defs"]

    def keys_of(model: type[BaseModel]) -> dict[str, Any]:
        return definitions[refs[model, _MODE]["$ref"].rsplit("/", 1)[1]].get("properties", {})

    arch_cases = {
        name: keys_of(ArchHead) | keys_of(family) | {"variant": _variant_key(name, keys_of(ArchHead)["variant"])}
        for name, family in families.items()
    }
    task_cases = {name: keys_of(TaskHead) | keys_of(options) for name, options in tasks.items()}
    properties: dict[str, dict[str, Any]] = {
        BASE_KEY: {
            "description": "Files merged beneath this one, relative to it",
            "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}],
        }
    }
    for name, field in Config.model_fields.items():
        properties[name] = {"description": field.description}
        if name in closed:
            properties[name] |= refs[closed[name], _MODE]
    properties["Arch"] |= _by_name(keys_of(ArchHead), arch_cases)
    properties["Task"] |= _by_name(keys_of(TaskHead), task_cases)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "ppernie config",
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
        "$defs": _reachable(properties, definitions),
    }


def _variant_key(name: str, key: dict[str, Any]) -> dict[str, Any]:
    return {"description": key["description"], "enum": [*registry.arch_variants(name), None]}


def _by_name(head: dict[str, Any], cases: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """An object whose further keys depend on its ``name``; open while another file gives the name."""
    return {
        "type": "object",
        "properties": head | {"name": head["name"] | {"enum": list(cases)}},
        "allOf": [
            {
                "if": {"properties": {"name": {"const": name}}, "required": ["name"]},
                "then": {"properties": keys, "additionalProperties": False},
            }
            for name, keys in cases.items()
        ],
    }


def _reachable(schema: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    """The definitions that ``schema`` refers to, directly or through others."""
    found: dict[str, Any] = {}
    pending = [schema]
    while pending:
        part = pending.pop()
        if isinstance(part, list):
            pending.extend(part)
        elif isinstance(part, dict):
            pending.extend(part.values())
            reference = part.get("$ref")
            if isinstance(reference, str) and (name := reference.rsplit("/", 1)[1]) not in found:
                found[name] = definitions[name]
                pending.append(definitions[name])
    return dict(sorted(found.items()))
