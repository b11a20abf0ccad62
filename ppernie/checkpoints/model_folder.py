"""A checkpoint as one model folder, and a model folder as a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ppernie.checkpoints.marker import STATE
from ppernie.checkpoints.ranks import Ranks
from ppernie.checkpoints.reading import open_checkpoint
from ppernie.checkpoints.slices import whole
from ppernie.checkpoints.writing import write_checkpoint
from ppernie.errors import UserError
from ppernie.zoo.description import ModelDescription
from ppernie.zoo.folder import read_description, read_stored, save_model

if TYPE_CHECKING:
    from ppernie.data.tokenizers import Tokenizer


def as_model_folder(checkpoint: Path, target: Path, tokenizer: Tokenizer | None) -> None:
    """Writes the weights of a run's checkpoint as a model folder, whatever the topology that wrote them.

    Args:
        tokenizer: the run's; a checkpoint has none.

    Raises:
        UserError: the checkpoint is absent, incomplete, damaged or no run's; or the target cannot be written.
    """
    opened = open_checkpoint(checkpoint)
    if "description" not in opened.state:
        raise UserError(f"{checkpoint}: does not say which network it is of; give a checkpoint that training wrote")
    description = ModelDescription.parse(opened.state["description"], checkpoint / STATE)
    weights = {name: tensor.read() for name, tensor in opened.group("model").items()}
    save_model(target, weights, description, tokenizer, {"step": opened.state["train"]["step"]})


def as_checkpoint(folder: Path, target: Path) -> None:
    """Writes the weights of a model folder, in float32, as a checkpoint that a run of any topology begins from.

    It stands before the first step, and holds nothing else that belongs to a run: no moments of the optimizer, no
    batch size, no loss scale.

    Raises:
        UserError: the folder is absent, damaged or no model folder; or the target is there or cannot be written.
    """
    if target.exists():
        raise UserError(f"{target}: is there already; name a new folder")
    description = read_description(folder)
    stored = read_stored(folder, description)
    weights = {name: tensor.read().astype(np.float32, copy=False) for name, tensor in stored.items()}
    description = description.model_copy(update={"quantization": None})
    state = {"train": {"step": 0}, "description": description.model_dump()}
    write_checkpoint(target, [whole(f"model/{name}", array) for name, array in weights.items()], state, Ranks(), {})
