"""Where weights come from: a released name, a folder, a file or an address, opened and described, not yet read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from ppernie import registry
from ppernie.config.messages import plain_problems
from ppernie.config.settings import dotted
from ppernie.errors import UserError
from ppernie.slim.weight_only.tensors import pair_up
from ppernie.zoo import manifest
from ppernie.zoo.description import ModelDescription
from ppernie.zoo.download import unpacked
from ppernie.zoo.formats import StoredTensor, open_weights
from ppernie.zoo.layout import Kind, Layout

# In the order of preference: of a folder that holds several, the first is read.
WEIGHT_FILES = (
    "model.safetensors",
    "model.safetensors.index.json",
    "model_state.pdparams",
    "model_state.pdparams.index.json",
    "saved_weights.pdparams",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
STATIC_FOLDER = "params"  # one file a parameter, of Paddle before 2.0
CONFIG_FILES = ("config.json", "model_config.json", "ernie_config.json")
ARCHIVES = (".tar.gz", ".tgz", ".tar", ".zip")

_MAX_CONFIG = 16 * 1024 * 1024

Model = TypeVar("Model", bound=BaseModel)


class _Said(BaseModel):
    """What the configuration file of another library says beside the architecture."""

    architectures: list[str] | None = None
    model_type: str | None = None
    id2label: dict[int, str] | None = None
    num_choices: int | None = None


@dataclass(frozen=True)
class Source:
    """Weights and what is known of them.

    Attributes:
        place: folder or file, for messages.
        folder: where the tokenizer's files lie.
        family: whose network it is.
        library: who wrote it.
        layout: how the weights are written.
        brand: what the names of our classes of the family begin with.
        architecture: fields of the family's configuration, checked.
        tensors: by the library's names.
        kind: the stored network; None where nothing says it.
        labels: names of the classes of its head, in the order of their numbers.
        choices: that its head chooses from; PaddleNLP's must know how many.
        description: of a folder that ppernie wrote.
    """

    place: Path
    folder: Path
    family: str
    library: str
    layout: Layout
    brand: str
    architecture: dict[str, Any]
    tensors: Mapping[str, StoredTensor]
    kind: Kind | None = None
    labels: tuple[str, ...] | None = None
    choices: int | None = None
    description: ModelDescription | None = None

    def kind_of(self, arch: str) -> Kind:
        """What a class of ours, ``family/Class``, is."""
        return arch.partition("/")[2].removeprefix(self.brand)

    def stored_kind(self) -> Kind:
        """The stored network, or the layout's first where nothing says it. Raises UserError for one not here."""
        kind = self.kind or next(iter(self.layout.heads))
        if kind not in self.layout.heads:
            raise UserError(
                f"{self.place}: its head, {kind}, is not one that is here; take its encoder (head='encoder') or name "
                "another head with ppernie.from_pretrained"
            )
        return kind


def layout_of(family: str, library: str, config: BaseModel) -> Layout:
    """How a library writes a family's networks of this configuration. Raises UserError where it has none."""
    return _converter(family).layout(library, config)


def _converter(family: str) -> ModuleType:
    convert = registry.family_convert(family)
    if convert is None:
        raise UserError(f"this version has no network of the family {family}; its files can be downloaded, not loaded")
    return convert


def open_source(source: str | Path, variant: str | None = None) -> Source:
    """Opens a released name, a folder, a weight file, an archive, or the http(s) address of one of the two.

    Args:
        variant: the released variant whose architecture a weight file has that lies alone.

    Raises:
        UserError: there is no such thing, it cannot be fetched, or it is damaged or not a model.
    """
    path = Path(source)
    if "://" in str(source):
        from ppernie.zoo.download import get_address

        path = get_address(str(source))
    elif not _exists(path):
        if str(source) in manifest.variants():
            return _open_variant(manifest.find(str(source)))
        raise UserError(f"{source}: no such folder or file, and no released model; {_hint(str(source))}")
    if path.is_dir():
        return _open_folder(path, variant)
    if path.name.endswith(ARCHIVES):
        return _open_folder(_inside(unpacked(path)), variant)
    return _open_file(path, variant)


def known_architecture(source: str) -> tuple[str | None, dict[str, Any]]:
    """Family and fields of its configuration, as far as they are known without a download: of an address nothing is.

    Raises:
        UserError: there is no such thing, or it is on this machine, and damaged or not a model.
    """
    if "://" in source:
        return None, {}
    if source in manifest.variants() and not _exists(Path(source)):
        known = manifest.find(source)
        return known.network or known.family, dict(known.architecture)
    opened = open_source(source)
    return opened.family, opened.architecture


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # too long for a path
        return False


def _hint(name: str) -> str:
    try:
        manifest.find(name)
    except UserError as error:
        return str(error).partition("; ")[2]
    raise AssertionError(name)


def _open_variant(variant: manifest.Variant) -> Source:
    from ppernie.zoo.download import get_variant

    if variant.network is None or variant.files == ():
        reason = variant.by_hand or variant.note
        raise UserError(f"{variant.name} cannot be downloaded: {reason}")
    _converter(variant.network)
    folder = get_variant(variant)
    archives = [folder / file.name for file in variant.files if file.name.endswith(ARCHIVES)]
    path = _weight_file(_inside(unpacked(archives[0])) if archives else folder)
    if _config_beside(path):
        return _configured(path)
    return _described(path, variant.network, open_weights(path), variant.architecture)


def _open_file(path: Path, variant: str | None) -> Source:
    if variant is not None:
        known = manifest.find(variant)
        if known.network is None:
            raise UserError(f"{variant}: nothing is known of its network")
        return _described(path, known.network, open_weights(path), known.architecture)
    if not _config_beside(path):
        raise UserError(
            f"{path}: nothing beside this file says which network it is of; name the released variant it has the "
            "shape of (variant=...), or put its config.json beside it"
        )
    return _configured(path)


def _open_folder(folder: Path, variant: str | None) -> Source:
    path = _weight_file(folder)
    return _open_file(path, variant)


def _inside(folder: Path) -> Path:
    """The one folder in which all lies, where an archive has it so."""
    inside = list(folder.iterdir())
    return inside[0] if len(inside) == 1 and inside[0].is_dir() and inside[0].name != STATIC_FOLDER else folder


def _weight_file(folder: Path) -> Path:
    for name in WEIGHT_FILES:
        if (folder / name).is_file():
            return folder / name
    if (folder / STATIC_FOLDER).is_dir():
        return folder / STATIC_FOLDER
    others = sorted(folder.glob("*.pdparams"))
    if len(others) == 1:
        return others[0]
    if (folder / "deploy.yml").exists():
        raise UserError(f"{folder}: is an export, which Paddle Inference runs; weights are loaded from a model folder")
    if (folder / "adapters.safetensors").exists():
        raise UserError(f"{folder}: holds adapters and not their network; train with Tuning.save=whole")
    found = f"{len(others)} .pdparams files, name one" if others else f"none of {', '.join(WEIGHT_FILES)}"
    raise UserError(f"{folder}: not a model folder: it holds {found}")


def _config_beside(path: Path) -> Path | None:
    return next((path.parent / name for name in CONFIG_FILES if (path.parent / name).is_file()), None)


def _configured(path: Path) -> Source:
    """A weight file with its configuration beside it."""
    config = _config_beside(path)
    assert config is not None
    values = _read_json(config)
    if "arch" in values:
        return _own(path, ModelDescription.parse(values, config))
    tensors = open_weights(path)
    library = _library(config, tensors)
    values = _flat(values)
    said = _parse(_Said, values, str(config))
    for family in registry.families():
        convert = registry.family_convert(family)
        if convert is None or not convert.recognizes(library, values):
            continue
        try:
            fields = convert.read_config(library, values)
        except UserError as error:
            raise UserError(f"{config}: {error}") from error
        return _described(path, family, tensors, fields, str(config), said)
    kind = said.model_type or (said.architectures or ["unknown"])[0]
    raise UserError(f"{config}: a model of type {kind!r}, which no family here reads")


def _own(path: Path, description: ModelDescription) -> Source:
    family, _, name = description.arch["name"].partition("/")
    config = description.arch_config()
    layout = layout_of(family, "ppernie", config)
    task = description.task or {}
    return Source(
        place=path,
        folder=path.parent,
        family=family,
        library="ppernie",
        layout=layout,
        brand=layout.brand,
        architecture=config.model_dump(),
        tensors=pair_up(open_weights(path), description.quantization, path),
        kind=name.removeprefix(layout.brand),
        labels=tuple(task.get("labels") or ()) or None,
        choices=task.get("choices"),
        # Read as any others, quantised weights are float.
        description=description.model_copy(update={"quantization": None}),
    )


def _described(
    path: Path,
    family: str,
    tensors: Mapping[str, StoredTensor],
    fields: Mapping[str, Any],
    where: str | None = None,
    said: _Said | None = None,
) -> Source:
    library = _library(path, tensors)
    said = said or _Said()
    checked = check_architecture(family, fields, where or str(path))
    layout = layout_of(family, library, checked)
    kind = said.architectures[0].removeprefix(layout.brand) if said.architectures else None
    return Source(
        place=path,
        folder=path.parent,
        family=family,
        library=library,
        layout=layout,
        brand=layout_of(family, "ppernie", checked).brand,
        architecture=checked.model_dump(),
        tensors=tensors,
        kind=layout.kinds.get(kind, kind) if kind else None,
        labels=tuple(label for _, label in sorted(said.id2label.items())) if said.id2label else None,
        choices=said.num_choices,
    )


def check_architecture(family: str, fields: Mapping[str, Any], where: str) -> BaseModel:
    """The family's configuration with these fields. Raises UserError that names the first that is wrong."""
    config_class = registry.family_config(family)
    assert config_class is not None, family
    return _parse(config_class, fields, where)


def _parse(model: type[Model], values: Mapping[str, Any], where: str) -> Model:
    try:
        return model(**values)
    except ValidationError as error:
        path, problem = plain_problems(error, dict(values))[0]
        raise UserError(": ".join(filter(None, (where, dotted(path), problem)))) from error


def _library(path: Path, tensors: Mapping[str, StoredTensor]) -> str:
    """Who wrote the weights, by the names that only they use."""
    if any("qkv_proj." in name for name in tensors):
        return "ppernie"
    if any(".LayerNorm." in name for name in tensors):
        return "huggingface"
    if any(name.startswith("encoder_stack.") for name in tensors):
        return "repository"
    if any("_multi_head_att_" in name for name in tensors):
        return "static"
    if any(".self_attn.q_proj." in name or ".attention.query_key_value." in name for name in tensors):
        return "paddlenlp"
    shown = ", ".join(list(tensors)[:5]) or "none"
    raise UserError(
        f"{path}: these are no weights of a network that PaddleNLP, Hugging Face or ppernie wrote; names: {shown}"
    )


def _read_json(path: Path) -> dict[str, Any]:
    if path.stat().st_size > _MAX_CONFIG:
        raise UserError(f"{path}: too large for a configuration")
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: broken JSON: {error}") from error
    if not isinstance(values, dict):
        raise UserError(f"{path}: not a configuration: a JSON object was expected")
    return values


def _flat(values: dict[str, Any]) -> dict[str, Any]:
    """PaddleNLP's older ``model_config.json``, which nests the encoder's arguments in the head's, as one level."""
    arguments = values.get("init_args")
    inner = [argument for argument in arguments if isinstance(argument, dict)] if isinstance(arguments, list) else []
    flat = {key: value for level in (*inner, values) for key, value in level.items()}
    # From the head's class to the encoder's.
    classes = [level["init_class"] for level in (values, *inner) if "init_class" in level]
    return flat | ({"architectures": classes} if classes else {})
