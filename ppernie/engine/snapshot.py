"""Weights and moments of a run on this rank, into checkpoints and out of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ppernie.checkpoints import Checkpoint, Slice
from ppernie.errors import UserError
from ppernie.parallel.state import owned_slices, read_parts
from ppernie.peft import Adapters, Base
from ppernie.peft.weights import check_base
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
        parameters = {name: p for name, p in share.network.named_parameters() if self._is_written(name)}
        moments = self._optimizer.state_dict()
        moments = {name: moment for name, moment in moments.items() if share.is_home(_parameter(name))}
        return [
            *owned_slices("model/", parameters, share.placement),
            *owned_slices("optimizer/", moments, share.moment_placement),
        ]

    def load(self, checkpoint: Checkpoint) -> None:
        """Takes this rank's parts. Raises UserError where the checkpoint is damaged, or another network's."""
        share = self._share
        if share.base is not None:
            check_base(_base_of(checkpoint), share.base.checksum, str(checkpoint.path))
        weights = read_parts(checkpoint, "model", share.placement, share.is_here)
        load_weights(share.network, weights, str(checkpoint.path), but=share.frozen)
        moments = read_parts(checkpoint, "optimizer", share.moment_placement, self._is_own)
        self._optimizer.load_state_dict({name: np.asarray(tensor) for name, tensor in moments.items()})

    def _is_written(self, name: str) -> bool:
        return self._share.is_home(name) and name not in self._share.frozen

    def _is_own(self, moment: str) -> bool:
        return _parameter(moment) in self._optimizer.own


def _base_of(checkpoint: Checkpoint) -> Base:
    """What the parameters in a checkpoint have learnt beside. Raises UserError where that is nothing."""
    stored = (checkpoint.state.get("description") or {}).get("tuning")
    if stored is None or Adapters(**stored).base is None:
        raise UserError(f"{checkpoint.path}: holds no adapters; leave Tuning out, or start from its model")
    return Base(**stored["base"])


def _parameter(moment: str) -> str:
    """The parameter that a number of the optimizer's belongs to."""
    return moment.rpartition(".")[0]
