"""Adapters in a network: made, drawn, connected; and what is frozen around them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any

import paddle

from ppernie.parallel.plan import Plan
from ppernie.peft.lora import add_lora, connect_lora
from ppernie.peft.plan import DOWN, PREFIX, UP
from ppernie.peft.prefix import add_prefixes

if TYPE_CHECKING:
    from ppernie.config.sections import TuningSection
    from ppernie.peft.settings import Adapters


def add_adapters(network: Any, plan: Plan, tuning: TuningSection | Adapters) -> None:
    """Gives a plain network the adapters of a run; its ``draw`` knows them from then on.

    Raises:
        UserError: they do not fit the network.
    """
    if tuning.lora is not None:
        add_lora(network, plan, tuning.lora)
    if tuning.prefix is not None:
        add_prefixes(network, plan, tuning.prefix)
    network.draw = functools.partial(_draw, network.draw)


def connect_adapters(network: paddle.nn.Layer, tuning: TuningSection) -> None:
    """Has the network, its layers cut or not, compute with them."""
    if tuning.lora is not None:
        connect_lora(network, tuning.lora)


def freeze(network: paddle.nn.Layer, names: Collection[str]) -> None:
    """Takes the parameters of these names from what learns."""
    for name, parameter in network.named_parameters():
        if name in names:
            parameter.stop_gradient = True


def _draw(draw_own: Callable[[str, Sequence[int]], paddle.Tensor], name: str, shape: Sequence[int]) -> paddle.Tensor:
    """Values to start a parameter with.

    LoRA's B begins with 0, A with a normal distribution of the variance that its authors' code has, 1 / (3 in).
    Prefixes begin with a standard deviation of 0.02, whether maps make them or not.
    """
    parts = name.split(".")
    if UP in parts or (PREFIX in parts and parts[-1] == "bias"):
        return paddle.zeros(shape)
    if DOWN in parts:
        return paddle.normal(0.0, (3 * shape[0]) ** -0.5, shape)
    if PREFIX in parts:
        is_map = parts[-2] in ("inner", "outer")
        return paddle.normal(0.0, shape[0] ** -0.5 if is_map else 0.02, shape)
    return draw_own(name, shape)
