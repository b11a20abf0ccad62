"""Weights and moments of a run on this rank, into checkpoints and out of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ppernie.checkpoints import Checkpoint, Slice
from ppernie.parallel.state import owned_slices, read_parts
from ppernie.zoo.weights import load_weights

if TYPE_CHECKING:
    from ppernie.optim.adamw import AdamW
    from ppernie.parallel.network import Share


class Snapshot:
    """What a checkpoint holds of a network and its optimizer, whatever the topology that wrote it."""

    def __init__(self, share: Share, optimizer: AdamW) -> None:
        self._share, self._optimizer = share, optimizer

    def slices(self) -> list[Slice]:
        """What this rank writes: over all ranks, each number once."""
        share = self._share
        if share.topology.dp_rank:
            return []
        parameters = {name: p for name, p in share.network.named_parameters() if share.is_home(name)}
        moments = self._optimizer.state_dict()
        moments = {name: moment for name, moment in moments.items() if share.is_home(_parameter(name))}
        return [
            *owned_slices("model/", parameters, share.placement),
            *owned_slices("optimizer/", moments, share.moment_placement),
        ]

    def load(self, checkpoint: Checkpoint) -> None:
        """Takes this rank's parts. Raises UserError where the checkpoint is damaged, or another network's."""
        share = self._share
        weights = read_parts(checkpoint, "model", share.placement, share.is_here)
        load_weights(share.network, weights, str(checkpoint.path))
        moments = read_parts(checkpoint, "optimizer", share.moment_placement, self._is_own)
        self._optimizer.load_state_dict({name: np.asarray(tensor) for name, tensor in moments.items()})

    def _is_own(self, moment: str) -> bool:
        return _parameter(moment) in self._optimizer.own


def _parameter(moment: str) -> str:
    """The parameter that a number of the optimizer's belongs to."""
    return moment.rpartition(".")[0]
