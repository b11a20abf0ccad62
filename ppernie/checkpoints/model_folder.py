"""A checkpoint as one model folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ppernie.checkpoints.marker import STATE
from ppernie.checkpoints.reading import open_checkpoint
from ppernie.errors import UserError
from ppernie.zoo.description import ModelDescription
from ppernie.zoo.folder import save_model

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
