"""The steps of the section ``Slim``, each from a model folder to a smaller one, with a gate behind each.

An output folder holds ``steps/N-NAME`` for each step, with its scores beside it, and at the end the last one's result
as ``model``, ``compress_results.json`` and ``results.md``; where the gate refuses a step, the two files alone, as far
as that step. Where the result is an export, ``steps/0-export`` is the source's, to compare with.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ppernie.config.digest import digest
from ppernie.device import use_device
from ppernie.errors import UserError
from ppernie.export.model import export_folder
from ppernie.files import link_folder, take_lock, writing
from ppernie.inference.loading import is_export
from ppernie.slim import gate
from ppernie.slim.distillation.settings import Distil
from ppernie.slim.distillation.step import described, distil
from ppernie.slim.places import Place, forget_others
from ppernie.slim.pruning.layers import drop_layers
from ppernie.slim.pruning.sparsity import prune_weights
from ppernie.slim.pruning.vocabulary import prune_vocabulary
from ppernie.slim.pruning.width import prune_width
from ppernie.slim.quantization.folder import quantize
from ppernie.slim.report import Stop, write_report
from ppernie.slim.scores import Scores, scores
from ppernie.slim.weight_only import Scheme
from ppernie.zoo.folder import read_description
from ppernie.zoo.layerwise import convert_layers

if TYPE_CHECKING:
    from ppernie.config import Config

logger = logging.getLogger("ppernie")

#: From a model folder to another, as the options of a key of the section say; training runs of its own go into the
#: config's ``Global.output_dir``.
Step = Callable[[Path, Path, Any, "Config"], None]

_STEPS_FOLDER, _MODEL, _SOURCE_EXPORT = "steps", "model", "0-export"
_BUSY = "another process ({owner}) is compressing into this folder; wait for it or choose another --output"
# Sections and keys on which no step depends.
_FREE = {"Slim": None, "Eval": ("batch_size",), "Data": ("workers",), "Global": ("output_dir", "threads")}


def _store(source: Path, target: Path, scheme: Scheme, config: Config) -> None:
    convert_layers(source, target, scheme=scheme)


def _export(source: Path, target: Path, options: bool, config: Config) -> None:
    export_folder(source, target, config)


# By the keys of the section, in their order.
_STEPS: dict[str, Step] = {
    "distil": distil,
    "vocabulary": prune_vocabulary,
    "layers": drop_layers,
    "width": prune_width,
    "sparsity": prune_weights,
    "quantization": quantize,
    "weight_only": _store,
    "export": _export,
}


class _Named(NamedTuple):
    """A step that a recipe asks for."""

    name: str
    run: Step
    options: Any


def compress(source: Path, output: Path, config: Config) -> str:
    """Runs the steps that ``Slim`` names, or goes on with them.

    A step that has ended is not repeated unless something differs that it depends on: the source's files, a step
    before it, its options or the config.

    Args:
        source: a model folder.
        output: folder of the steps and of the result.
        config: what to train, calibrate, prove and compare on.

    Returns:
        The table of ``results.md``.

    Raises:
        UserError: the recipe names no step, the source is no model folder or does not suit a step, a step broke the
            model, or the folder is in use, something else's, or cannot be written.
        Interrupted: a signal came while a step trained; its state is saved.
    """
    steps = [_Named(name, run, o) for name, run in _STEPS.items() if (o := getattr(config.Slim, name))]
    if not steps:
        raise UserError(f"Slim names no step; set one of {', '.join(f'Slim.{key}' for key in _STEPS)}")
    if is_export(source):
        raise UserError(f"{source}: is an export, which no step changes; compress the model folder that it was made of")
    read_description(source)
    if config.Slim.gate is not None and config.Data.eval is None:
        raise UserError(
            "Data.eval is missing: after each step the model is compared with the source on it; name a labelled file, "
            "data set or corpus, or set Slim.gate to null to let every result pass"
        )
    with _held(output):
        return _run(steps, source, output, config)


@contextmanager
def _held(output: Path) -> Iterator[None]:
    """Holds the folder, made where it is absent, for this process alone."""
    with writing(output):
        if output.exists() and not (output / _STEPS_FOLDER).is_dir() and any(output.iterdir()):
            raise UserError(f"{output}: holds something other than a recipe's steps; choose another --output")
        (output / _STEPS_FOLDER).mkdir(parents=True, exist_ok=True)
        lock = take_lock(output / ".lock", _BUSY)
    with closing(lock):
        yield


def _run(steps: list[_Named], source: Path, output: Path, config: Config) -> str:
    use_device(config.Global.device, config.Global.threads)
    folder = output / _STEPS_FOLDER
    places = _places(steps, source, folder, config)
    with writing(folder):
        forget_others(folder, [_SOURCE_EXPORT, *(place.folder.name for place in places)])
        for place in places:
            place.claim()
    before = _scored(places[0], source, config)
    if config.Slim.gate is not None and before is not None:
        gate.check_source(config.Slim.gate, before)
    stops = [Stop("source", source, before)]
    for step, place in zip(steps, places[1:], strict=True):
        if place.made:
            logger.info("Slim.%s has ended: %s", step.name, place.folder)
        else:
            logger.info("Slim.%s: from %s to %s", step.name, stops[-1].folder, place.folder)
            _make(step, stops[-1].folder, place, config)
        after = _scored(place, place.folder, config)
        if config.Slim.gate is not None and before is not None and after is not None:
            try:
                gate.check_step(config.Slim.gate, step.name, before, after, place.folder)
            except gate.Refused as refused:
                # One of an earlier recipe, or of a milder gate, is not what the table tells of.
                shutil.rmtree(output / _MODEL, ignore_errors=True)
                stops.append(Stop(step.name, place.folder, after, str(refused)))
                logger.info("Slim.%s is refused:\n%s", step.name, write_report(output, stops, config))
                raise
        stops.append(Stop(step.name, place.folder, after))
    link_folder(stops[-1].folder, output / _MODEL)
    if len(steps) > 1 and is_export(stops[-1].folder):
        stops.insert(1, Stop("source, exported", _exported(places[0], source, config), None))
    return write_report(output, stops, config)


def _exported(place: Place, source: Path, config: Config) -> Path:
    """The source's own graph: beside it the table tells what compression gains, and not what a graph does."""
    own = Place(place.folder.with_name(_SOURCE_EXPORT), place.key)
    own.claim()
    if not own.made:
        _make(_Named("export", _export, True), source, own, config)
    return own.folder


def _make(step: _Named, source: Path, place: Place, config: Config) -> None:
    # A run is the step's, and goes with it where that is made anew.
    own = config.model_copy(update={"Global": config.Global.model_copy(update={"output_dir": str(place.runs)})})
    try:
        with writing(place.folder):
            step.run(source, place.folder, step.options, own)
            place.record(made=True)
    except UserError as error:
        raise UserError(f"Slim.{step.name}: {error}") from error


def _scored(place: Place, folder: Path, config: Config) -> Scores | None:
    """The scores of what lies in a folder, from its record where they are there; None without data to compare on."""
    if config.Data.eval is None:
        return None
    if place.scores is None:
        found = scores(folder, config)
        place.record(scores=found)
        logger.info("%s: %s %.4f on %d examples", folder, found.metric, found.value, found.examples)
    return Scores(*place.scores)


def _places(steps: list[_Named], source: Path, folder: Path, config: Config) -> list[Place]:
    """Of the source, whose scores alone are there, and of each step."""
    values = config.resolved()
    for section, keys in _FREE.items():
        values[section] = {} if keys is None else {k: v for k, v in values[section].items() if k not in keys}
    files = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in sorted(source.iterdir())]
    places = [Place(folder / "0-source", digest([values, files]))]
    for number, step in enumerate(steps, start=1):
        key = digest([places[-1].key, step.name, _told(step.options)])
        places.append(Place(folder / f"{number}-{step.name}", key))
    return places


def _told(options: Any) -> Any:
    """All that a step's options say."""
    if isinstance(options, Distil):
        return described(options)
    return options.model_dump(mode="json") if hasattr(options, "model_dump") else options
