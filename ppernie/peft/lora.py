"""LoRA: a frozen weight W [in, out], to which ``alpha / rank * A @ B`` is added (Hu et al. 2021, section 4.1).

A [in, rank] and B [rank, out] are the weights of two linear layers without biases inside of the layer itself, so that
its own names stay. They are laid beside the layer, not into its weight, until they are merged
(``ppernie.peft.weights.merged``). A joint projection of queries, keys and values is one weight: the three share A, and
each has columns of B of its own.
"""

from __future__ import annotations

from typing import Any

import paddle

from ppernie.errors import UserError
from ppernie.nn import Linear, functional
from ppernie.parallel.plan import Plan
from ppernie.peft.plan import DOWN, UP, lora_targets
from ppernie.peft.settings import Lora


def add_lora(network: paddle.nn.Layer, plan: Plan, lora: Lora) -> None:
    """Gives the targets of a network their A and B; nothing computes with them before ``connect_lora``.

    Raises:
        UserError: a pattern of the targets matches nothing.
    """
    layers = dict(network.named_sublayers())
    targets = lora_targets(list(layers), plan, lora.targets)
    if not targets:
        raise UserError("Tuning.lora: this network has no attention that the family's plan names; name the targets")
    for name in targets:
        layer: Any = layers[name]
        inputs, outputs = layer.weight.shape
        setattr(layer, DOWN, Linear(inputs, lora.rank, bias_attr=False))
        setattr(layer, UP, Linear(lora.rank, outputs, bias_attr=False))


def connect_lora(network: paddle.nn.Layer, lora: Lora) -> None:
    """Has the layers with A and B compute with them, whatever has taken the plain layers' places meanwhile."""
    scale = lora.alpha / lora.rank

    def add_update(layer: Any, inputs: tuple[paddle.Tensor, ...], output: paddle.Tensor) -> paddle.Tensor:
        x = functional.dropout(inputs[0], lora.dropout, layer.training)
        return output + getattr(layer, UP)(getattr(layer, DOWN)(x)) * scale

    for layer in network.sublayers():
        if hasattr(layer, UP):
            layer.register_forward_post_hook(add_update)  # type: ignore[arg-type]
