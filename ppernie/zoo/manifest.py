"""The released variants of every family, as the families' ``zoo.yaml`` declare them.

A ``zoo.yaml`` maps the name of a variant to its entry: the fields of ``Entry``, or ``alias_of`` and the few that an
alias may say differently. Nothing in it was tried out by reading it: addresses and checksums are upstream's word, and
a checksum that upstream does not print is left out.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping
from importlib.resources.abc import Traversable
from typing import Annotated, Any, TypeVar
from urllib.parse import urlsplit

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from ppernie import registry
from ppernie.config.keys import closest
from ppernie.config.messages import plain_problems
from ppernie.config.settings import dotted
from ppernie.errors import UserError

try:
    from yaml import CSafeLoader as _SafeLoader
except ImportError:  # PyYAML was built without libyaml
    from yaml import SafeLoader as _SafeLoader  # type: ignore[assignment]

# One tree of files under two hosts: ``paddlenlp:PATH`` in a zoo.yaml is the first, with the second as its mirror.
PADDLENLP_HOSTS = ("https://bj.bcebos.com/paddlenlp/", "https://paddlenlp.bj.bcebos.com/")


def _safe_name(name: str) -> str:
    # Names of variants and files become names in the cache, so they must not lead out of it.
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]*", name):
        raise ValueError(f"{name!r} cannot be a file's name; use letters, digits, dots, dashes and underscores")
    return name


def _web_address(address: str) -> str:
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname or re.search(r"\s", address):
        raise ValueError(f"{address!r} is no address; write http://, https:// or paddlenlp:")
    return address


Model = TypeVar("Model", bound=BaseModel)
Address = Annotated[str, AfterValidator(_web_address)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class File(_Model):
    """One file of a variant.

    Attributes:
        name: its name in the variant's cache folder.
        address: where it lies; ``paddlenlp:PATH`` is written out, with its mirror.
        mirrors: other addresses of the same bytes.
        size: bytes, where known.
        md5: checksum in lower-case hexadecimal digits, where upstream prints one.
        sha256: likewise.
    """

    name: Annotated[str, AfterValidator(_safe_name)]
    address: Address
    mirrors: tuple[Address, ...] = Field(default=(), strict=False)
    size: int | None = Field(default=None, ge=1)
    md5: str | None = None
    sha256: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _write_out_hosts(cls, values: Any) -> Any:
        address = values.get("address") if isinstance(values, dict) else None
        if not isinstance(address, str) or not address.startswith("paddlenlp:"):
            return values
        first, *others = (host + address.removeprefix("paddlenlp:") for host in PADDLENLP_HOSTS)
        return values | {"address": first, "mirrors": [*others, *values.get("mirrors", ())]}

    @field_validator("md5", "sha256")
    @classmethod
    def _hexadecimal(cls, value: str | None, info: Any) -> str | None:
        digits = {"md5": 32, "sha256": 64}[info.field_name]
        if value is not None and not re.fullmatch(f"[0-9a-f]{{{digits}}}", value):
            raise ValueError(f"{value!r} is not {digits} lower-case hexadecimal digits")
        return value


class Report(_Model):
    """Scores that upstream reports; none was measured here.

    Attributes:
        source: the document that prints them.
        benchmark: data and split, such as ``CLUE dev``.
        metrics: name -> number as printed, or text for two in one, such as ``70.71/90.41``.
    """

    source: str
    benchmark: str
    metrics: dict[str, float | str] = Field(min_length=1)


class Entry(_Model):
    """What a ``zoo.yaml`` says of one variant.

    Attributes:
        network: the family whose classes are its network; by default the one that the file belongs to; None where
            nothing is known of the network.
        architecture: every field of that family's configuration.
        parameters: numbers in the network without a task head.
        languages: of the training data, as ISO 639 codes.
        licence: of the weights, as an SPDX identifier where there is one.
        files: what a download fetches.
        reported: scores that upstream reports.
        note: what a user should know.
        by_hand: how to get the files where no download can.
    """

    network: str | None
    architecture: dict[str, Any] = {}
    parameters: int | None = Field(default=None, ge=1)
    languages: tuple[str, ...] = Field(min_length=1)
    licence: str
    files: tuple[File, ...] = ()
    reported: tuple[Report, ...] = ()
    note: str | None = None
    by_hand: str | None = None

    @model_validator(mode="after")
    def _complete(self) -> Entry:
        names = [file.name for file in self.files]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"files: {', '.join(sorted(twice))} is given twice")
        if not self.files and self.by_hand is None and self.note is None:
            raise ValueError("without files, by_hand or note must say why")
        return self


class Variant(Entry):
    """A released variant.

    Attributes:
        name: as users ask for it.
        family: whose ``zoo.yaml`` declares it.
        folder: name of its cache folder; an alias has the folder of the variant it stands for.
    """

    name: str
    family: str
    folder: str


class _Alias(_Model):
    """Another name of a variant: the same files, with a note and scores of its own."""

    alias_of: str
    reported: tuple[Report, ...] = ()
    note: str | None = None


@functools.cache
def variants() -> dict[str, Variant]:
    """All released variants by name.

    Raises:
        UserError: a ``zoo.yaml`` is wrong.
    """
    return read_variants({family: registry.family_files(family) / "zoo.yaml" for family in registry.families()})


def find(name: str) -> Variant:
    """The variant of that name. Raises UserError, with the nearest name, where there is none."""
    known = variants()
    if name not in known:
        near = closest(name, known)
        hint = f"did you mean '{near}'?" if near else "`ppernie download list` shows them all"
        raise UserError(f"there is no released variant '{name}'; {hint}")
    return known[name]


def read_variants(paths: Mapping[str, Traversable]) -> dict[str, Variant]:
    """The variants of some families, from the family's name and the place of its ``zoo.yaml``.

    Raises:
        UserError: names file, entry and key of the first thing that is wrong.
    """
    entries: dict[str, tuple[str, str, dict[str, Any]]] = {}
    for family, path in paths.items():
        for name, values in _entries(path).items():
            where = f"{path}: {name}"
            if name in entries:
                raise UserError(f"{where}: another family has a variant of this name")
            entries[name] = family, where, values
    own = {name: _variant(name, *entry) for name, entry in entries.items() if "alias_of" not in entry[2]}
    return {name: own.get(name) or _follow(name, *entry, own) for name, entry in entries.items()}


def _variant(name: str, family: str, where: str, values: dict[str, Any]) -> Variant:
    entry = _parse(Entry, {"network": family} | values, where)
    config = None if entry.network is None else registry.family_config(entry.network)
    if config is not None:
        _parse(config, entry.architecture, f"{where}: architecture")
    return Variant(name=name, family=family, folder=name, **dict(entry))


def _follow(name: str, family: str, where: str, values: dict[str, Any], own: Mapping[str, Variant]) -> Variant:
    alias = _parse(_Alias, values, where)
    if alias.alias_of not in own:
        raise UserError(f"{where}: alias_of: '{alias.alias_of}' is no entry, or itself an alias")
    said = {field: getattr(alias, field) for field in alias.model_fields_set - {"alias_of"}}
    return own[alias.alias_of].model_copy(update={"name": name, "family": family} | said)


def _parse(model: type[Model], values: dict[str, Any], where: str) -> Model:
    try:
        # JSON is the input whose strict rules fit YAML: no text taken as a number, but a list taken as a tuple.
        return model.model_validate_json(json.dumps(values))
    except ValidationError as error:
        path, problem = plain_problems(error, values)[0]
        raise UserError(": ".join(filter(None, (where, dotted(path), problem)))) from error


class _Loader(_SafeLoader):
    """Refuses a key that a map has twice, of which PyYAML would take the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: list[Any] = []
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{key.value} is given twice", key.start_mark)
            seen.append(key.value)
        return super().construct_mapping(node, deep)


def _entries(path: Traversable) -> dict[str, dict[str, Any]]:
    try:
        values = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise UserError(f"{path}{line}: {error.problem}") from error
    if not isinstance(values, dict) or not all(isinstance(entry, dict) for entry in values.values()):
        raise UserError(f"{path}: must be a map from names of variants to their entries, which are maps")
    for name in values:
        try:
            _safe_name(str(name))
        except ValueError as error:
            raise UserError(f"{path}: {error}") from error
    return values
