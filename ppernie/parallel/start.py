"""Brings the ranks of a run together."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from ppernie.parallel.ranks import Alone, Fleet, Ranks

if TYPE_CHECKING:
    from ppernie.config.sections import Config
    from ppernie.parallel.topology import Topology

logger = logging.getLogger("ppernie")


def start(topology: Topology, config: Config, streams: int = 1) -> Ranks:
    """Brings the ranks together; ``use_device`` has selected the device.

    A step has ``Train.accumulate_steps`` batches of each of ``streams`` kinds. On one rank nothing of
    ``paddle.distributed`` is imported or started, and nothing is seeded.
    """
    if topology.world == 1:
        return Alone(topology)
    batches = config.Train.accumulate_steps * streams
    if topology.pp > 1:
        _report_bubble(topology.pp, config.Distributed.virtual_stages, batches)
    return Fleet(topology, config, batches)


def _report_bubble(stages: int, virtual: int, batches: int) -> None:
    idle = (stages - 1) / (batches * virtual + stages - 1)
    advice = "; raise Train.accumulate_steps" if batches < 4 * stages else ""
    logger.info(
        "a pipeline of %d stages over %d batches a step is idle for %.0f%% of it%s", stages, batches, 100 * idle, advice
    )
