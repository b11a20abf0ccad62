"""The batches of a run, from its config."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ppernie.data.batches import Batches, TrainingBatches
from ppernie.data.streams import StreamBatches
from ppernie.engine.progressive import shapes

if TYPE_CHECKING:
    from ppernie.config.sections import Config
    from ppernie.engine.assemble import Parts
    from ppernie.parallel.topology import Topology


def training_batches(config: Config, parts: Parts, topology: Topology) -> Batches:
    """This rank's part of the batches."""
    train, seed, workers = config.Train, config.Global.seed, config.Data.workers
    place = topology.data_rank, topology.data_world
    if not parts.streams:
        return TrainingBatches(parts.task, parts.train, train.batch_size, seed, workers, *place)
    assert train.max_steps is not None, "the config's checks ask for it"
    found = shapes(train, config.Data.max_length, train.max_steps, topology.data_world)
    return StreamBatches(parts.task, parts.streams, found, seed, workers, *place)
