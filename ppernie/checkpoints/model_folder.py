"""A checkpoint as one model folder, and a model folder as a checkpoint."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ppernie.checkpoints.marker import STATE
from ppernie.checkpoints.ranks import Ranks
from ppernie.checkpoints.reading import open_checkpoint
from ppernie.checkpoints.slices import whole
from ppernie.checkpoints.writing import write_checkpoint
from ppernie.errors import UserError
from ppernie.zoo.description import ModelDescription
from ppernie.zoo.folder import read_description, read_stored, save_model
from ppernie.zoo.formats import StoredTensor

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
    """Writes the weights of a model folder, in float32 and one by one, as a checkpoint for a run of any topology.

    It stands before the first step, and holds nothing else that belongs to a run: no moments of the optimizer, no
    batch size, no loss scale.

    Raises:
        UserError: the folder is absent, damaged or no model folder; or the target is there or cannot be written.
    """
    if target.exists():
        raise UserError(f"{target}: is there already; name a new folder")
    description = read_description(folder)
    stored = read_stored(folder, description)
    description = description.model_copy(update={"quantization": None})
    state = {"train": {"step": 0}, "description": description.model_dump()}
    write_checkpoint(
        target, [whole(f"model/{name}", _Floats(tensor)) for name, tensor in stored.items()], state, Ranks(), {}
    )


@dataclass(frozen=True)
class _Floats:
    """A stored tensor as an array of float32, read each time that NumPy asks for it."""

    tensor: StoredTensor
    dtype = "float32"

    @property
    def shape(self) -> tuple[int, ...]:
        return self.tensor.shape

    def __array__(self, dtype: npt.DTypeLike = None, copy: bool | None = None) -> npt.NDArray[Any]:
        out = np.empty(self.shape, np.float32)
        self.tensor.read_into(out)
        return out
