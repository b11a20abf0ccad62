"""A checkpoint of a run, of any topology, as one model folder."""

from __future__ import annotations

from pathlib import Path

from ppernie.checkpoints.model_folder import as_model_folder
from ppernie.config import load_config
from ppernie.engine.assemble import build_tokenizer, pretrained_source
from ppernie.errors import UserError


def gather_checkpoint(checkpoint: Path, target: Path) -> None:
    """Writes the weights of a checkpoint, with the tokenizer of its run, as a model folder.

    Args:
        checkpoint: a ``step_XXXXXXXX`` folder in the ``checkpoints`` of a run's output folder.
        target: the new folder.

    Raises:
        UserError: the checkpoint is damaged, lies outside of its run's folder, or the target cannot be written.
    """
    path = checkpoint.resolve().parent.parent / "config.yaml"
    if not path.is_file():
        raise UserError(f"{path}: not found; give a checkpoint inside its run's output folder")
    config = load_config(path)
    as_model_folder(checkpoint, target, build_tokenizer(config, pretrained_source(config)))
