"""Checkpoints that cannot be lost: written whole by all ranks, marked last, proved while they are read."""

from ppernie.checkpoints.marker import Damaged, is_complete
from ppernie.checkpoints.ranks import Ranks
from ppernie.checkpoints.reading import Checkpoint, SlicedTensor, open_checkpoint
from ppernie.checkpoints.slices import Box, Slice, whole
from ppernie.checkpoints.store import Checkpoints

__all__ = [
    "Box",
    "Checkpoint",
    "Checkpoints",
    "Damaged",
    "Ranks",
    "Slice",
    "SlicedTensor",
    "is_complete",
    "open_checkpoint",
    "whole",
]
