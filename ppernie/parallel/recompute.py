"""Activations that are computed again on the way back instead of kept (Chen et al. 2016)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

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
        region.forward = _recomputed(region, recompute)  # type: ignore[method-assign]


def _recomputed(region: paddle.nn.Layer, recompute: Callable[..., Any]) -> Callable[..., Any]:
    plain = region.forward

    def forward(x: paddle.Tensor, *arguments: Any, **named: Any) -> Any:
        if x.stop_gradient and any(not parameter.stop_gradient for parameter in region.parameters()):
            # fleet gives no gradients to a region whose inputs take none, as behind frozen embeddings.
            x = x.detach()
            x.stop_gradient = False
        return recompute(plain, x, *arguments, **named)

    return forward
