"""Activations that are computed again on the way back instead of kept (Chen et al. 2016)."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from ppernie.errors import UserError
from ppernie.parallel.plan import layers_of

if TYPE_CHECKING:
    import paddle

    from ppernie.parallel.plan import Plan


def recompute_regions(network: paddle.nn.Layer, plan: Plan, mode: str) -> None:
    """Lets the plan's regions of a mode, ``full`` or ``selective``, keep their inputs alone.

    Raises:
        UserError: the network has no such region.
    """
    if mode == "none":
        return
    from paddle.distributed.fleet.utils import recompute

    patterns = plan.blocks if mode == "full" else plan.attention
    regions = layers_of(network, patterns)
    if not regions:
        raise UserError(
            f"Distributed.recompute = {mode}: the network has no region of the plan's: {', '.join(patterns)}"
        )
    for region in regions:
        region.forward = functools.partial(recompute, region.forward)  # type: ignore[method-assign]
