"""Width pruning: fewer attention heads and feed-forward neurons, in networks of several widths trained as one.

Source: DynaBERT (Hou et al. 2020, arXiv:2004.04037, section 2.1). Units are put in the order of their importance, so
that every width is the first units of each layer; all widths learn in the same steps from the network before.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ppernie.architectures import EncoderConfig
from ppernie.errors import UserError
from ppernie.slim.distillation.folder import distil_folder
from ppernie.slim.distillation.settings import Distillation
from ppernie.slim.pruning.groups import Groups, groups_of, kept_units, take_units
from ppernie.slim.pruning.model import Model, described_with, open_model
from ppernie.slim.runs import start_of
from ppernie.zoo.folder import load_model
from ppernie.zoo.weights import lazy_network

if TYPE_CHECKING:
    from ppernie.config.sections import Config
    from ppernie.slim.pruning.settings import Width

logger = logging.getLogger("ppernie")

_KEY = "Slim.width"


def prune_width(source: Path, target: Path, options: Width, config: Config) -> None:
    """Writes the model with a share of its heads and neurons.

    The run lies in ``width`` in ``Global.output_dir``, and is resumed there; so does each width, in ``widths``.

    Args:
        config: names the data on whose ``Data.eval`` importance is measured, and the training.

    Raises:
        UserError: the folder, its network or its task cannot be pruned, or not so.
        Interrupted: a signal came; the state is saved.
    """
    from ppernie.device import use_device

    use_device(config.Global.device, config.Global.threads)
    _check(open_model(source), options)
    run = Path(config.Global.output_dir) / "width"
    folder = start_of(source, run, lambda start: order_units(source, start, config))
    losses = {name: loss for name in ("hidden", "soft", "hard") if (loss := getattr(options, name)) is not None}
    if options.hidden or options.soft:
        distillation = Distillation(teacher=str(folder), widths=options.widths, **losses)
        folder, _ = distil_folder(folder, folder, run, distillation, config)
    model = open_model(folder)
    for width in options.widths:
        narrow = narrowed(model, width)
        narrow.save(run / "widths" / str(width))
        logger.info(
            "Width %s: %d heads, %d neurons", width, narrow.config.num_attention_heads, narrow.config.intermediate_size
        )
    narrowed(model, options.widths[0]).save(target)


def order_units(source: Path, target: Path, config: Config) -> None:
    """Writes the same network with the most important heads and neurons first. Raises UserError as ``importance``."""
    from ppernie.slim.pruning.importance import importance, order

    model = open_model(source)
    network, task, description = load_model(source)
    groups = groups_of(network, model.plan, model.config)
    chosen = order(groups.own, importance(network, task, description, groups, config))
    model._replace(weights=take_units(model.weights, groups, chosen)).save(target)


def narrowed(model: Model, width: float) -> Model:
    """The first heads and neurons of each layer."""
    config, groups = model.config, _groups(model)
    chosen = {group.row: np.arange(kept_units(group.units, width)) for group in groups.own}
    fields: dict[str, Any] = {}
    for group in groups.own:
        count = len(chosen[group.row])
        fields |= {"num_attention_heads": count} if group.are_heads else {"intermediate_size": count}
    # A network with all of its heads is what it was.
    if fields.get("num_attention_heads", config.num_attention_heads) != config.num_attention_heads:
        fields["head_dim"] = config.head_size
    described = described_with(model.description, _KEY, **fields)
    return model._replace(description=described, weights=take_units(model.weights, groups, chosen))


def _groups(model: Model) -> Groups:
    task = model.description.build_task(model.tokenizer)
    network = lazy_network(lambda: model.description.build_model(task))
    return groups_of(network, model.plan, model.config)


def _check(model: Model, options: Width) -> None:
    """Whether all widths can be, before anything is computed."""
    if "head_dim" not in type(model.config).model_fields:
        raise UserError(f"{_KEY}: {model.description.arch['name']} has no head_dim, so its heads stay")
    if (options.hidden or options.soft) and not isinstance(model.config, EncoderConfig):
        raise UserError(
            f"{_KEY}: text encoders alone learn from another network, and {model.description.arch['name']} is none; "
            "set hidden and soft to null, which cuts without training"
        )
    groups = _groups(model)
    for width in options.widths:
        for group in groups.own:
            kept_units(group.units, width)
