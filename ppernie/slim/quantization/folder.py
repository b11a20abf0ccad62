"""From a model folder in float to one that also says how its layers become INT8."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from ppernie.config.sections import SlimSection
from ppernie.data.batches import evaluation_batches
from ppernie.data.samples import sample_items
from ppernie.errors import UserError
from ppernie.files import link_folder, new_folder
from ppernie.slim.quantization.settings import Int8, Quantization, own_weight_bits
from ppernie.slim.runs import start_of, train_folder
from ppernie.table import render
from ppernie.zoo.folder import CONFIG, load_model, read_description

if TYPE_CHECKING:
    from ppernie.config.sections import Config
    from ppernie.slim.quantization.sensitivity import Sensitivity
    from ppernie.tasks.base import Batch, Task
    from ppernie.zoo.description import ModelDescription

logger = logging.getLogger("ppernie")

REPORT = "sensitivity.json"
# Inputs that run together, of like length.
_BATCH = 8


def quantize(source: Path, target: Path, options: Quantization, config: Config) -> None:
    """Calibrates a model folder on real inputs, those of ``Data.train`` or else ``Data.eval``; then may train it so.

    The target has the source's files; its ``config.json`` has beside the description the ranges of the layers'
    inputs, and from then on the network computes as INT8 does. With ``sensitivity`` or ``budget`` it has a
    ``sensitivity.json``. The training lies in ``quantization`` in ``Global.output_dir``, and is resumed there.

    Raises:
        UserError: the source is no model folder, is quantised already or writes texts, there is nothing to calibrate
            on, or a layer cannot be calibrated; or the training's, as ``train_folder``'s.
        Interrupted: a signal came while it trained; the state is saved.
    """
    if not options.training:
        _calibrate(source, target, options, config)
        return
    run = Path(config.Global.output_dir) / "quantization"
    start = start_of(source, run, lambda folder: _calibrate(source, folder, options, config))
    train_folder(start, run, config, SlimSection(quantization=options))
    link_folder(run / "best_model", target)


def _calibrate(source: Path, target: Path, options: Quantization, config: Config) -> None:
    read_description(source).check_unquantized(source)
    from ppernie.device import use_device

    use_device(config.Global.device, config.Global.threads)

    from ppernie.slim.quantization.calibration import calibrate
    from ppernie.slim.quantization.network import linear_names, table_names
    from ppernie.slim.quantization.sensitivity import measure

    network, task, description = load_model(source)
    batches = _batches(task, description, options, config, source)
    weight_bits = options.weight_bits or own_weight_bits()
    try:
        layers = linear_names(network, options.float_layers)
        ranges = calibrate(network, task.run, batches, layers, options.observer)
        report = None
        if options.sensitivity or options.budget is not None:
            report = measure(network, task, batches, ranges, weight_bits, options.budget)
    except UserError as error:
        raise UserError(f"{source}: {error}") from error
    for name in report.float_layers if report else ():
        del ranges[name]
    tables = table_names(network, options.float_layers) if options.embeddings else []
    int8 = Int8(ranges=ranges, weight_bits=weight_bits, tables=tables, table_scales=options.embeddings or "row")
    logger.info("%d of %d linear layers become INT8, with weights of %d bits", len(ranges), len(layers), weight_bits)
    _write(source, target, description.model_copy(update={"int8": int8}), report)


def _batches(
    task: Task, description: ModelDescription, options: Quantization, config: Config, source: Path
) -> list[Batch]:
    if task.generative:
        raise UserError(f"{source}: writes texts; INT8 is for what answers in one pass: take Slim.weight_only")
    data = config.Data.train or config.Data.eval
    if data is None:
        raise UserError("Slim.quantization calibrates on real inputs: name Data.train or Data.eval")
    items = sample_items(task, description.task_name, data, config.Data, options.samples)
    if not items:
        raise UserError("Slim.quantization calibrates on real inputs, and Data.train holds none")
    return [batch for _, batch in evaluation_batches(task, items, _BATCH)]


def _write(source: Path, target: Path, description: ModelDescription, report: Sensitivity | None) -> None:
    with new_folder(target) as temporary:
        shutil.copytree(source, temporary, dirs_exist_ok=True)
        _write_json(temporary / CONFIG, description.model_dump())
        if report is not None:
            _write_json(temporary / REPORT, report._asdict())
            logger.info("%s", _table(report))


def _write_json(path: Path, content: dict[str, object]) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _table(report: Sensitivity) -> str:
    rows: list[dict[str, object]] = [
        {"layer": name, "error": f"{error:.1e}", "stays": "float" if name in report.float_layers else "INT8"}
        for name, error in report.layers.items()
    ]
    return render([*rows, {"layer": "all that are INT8", "error": f"{report.error:.1e}", "stays": ""}])
