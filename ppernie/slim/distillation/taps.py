"""What a text encoder computes on the way to its answer, read from outside.

Hooks on its layers keep the tensors that distillation asks for. So no network knows of distillation, one that does
not take part pays nothing, and gradients flow through what is kept, since it is what the network itself uses. The
projection of queries, keys and values is one tensor in our encoders; attention scores are computed of it again, as
fused attention never holds them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

import paddle

from ppernie.errors import UserError
from ppernie.nn import TextEncoder


class States(NamedTuple):
    """Of the layers that were asked for, by number.

    Attributes:
        hidden: what layers return, [batch, length, width]; number 0 is what the first layer takes.
        projected: queries, keys and values, [batch, length, heads, 3, size].
    """

    hidden: Mapping[int, paddle.Tensor]
    projected: Mapping[int, paddle.Tensor]

    def detached(self) -> States:
        """The same without a way back for gradients."""
        return States(*({layer: tensor.detach() for layer, tensor in part.items()} for part in self))


class Taps:
    """Keeps states of each pass through a network, until they are taken.

    The network computes all positions in its last layer, where its head alone would have it leave some out.

    Args:
        network: a text encoder, or one with a head.
        hidden, projected: numbers of the layers.

    Raises:
        UserError: the network has no encoder that can be read.
    """

    def __init__(self, network: paddle.nn.Layer, hidden: Collection[int], projected: Collection[int]) -> None:
        encoders = (layer for layer in network.sublayers(include_self=True) if isinstance(layer, TextEncoder))
        found = next(encoders, None)
        if found is None:
            raise UserError(
                f"{type(network).__name__}: is no text encoder, whose layers can be learnt from; take soft and hard "
                "labels alone"
            )
        self._hidden: dict[int, paddle.Tensor] = {}
        self._projected: dict[int, paddle.Tensor] = {}
        if not hidden and not projected:
            return
        found.encoder.register_forward_pre_hook(self._enter(0 in hidden))
        for number, layer in enumerate(found.encoder.layers, start=1):
            if number in hidden:
                layer.register_forward_post_hook(self._keep(number))
            if number in projected:
                layer.self_attn.qkv_proj.register_forward_post_hook(self._keep_heads(number, layer.self_attn))

    def take(self) -> States:
        """The states of the last pass, which are let go of here."""
        states = States(self._hidden, self._projected)
        self._hidden, self._projected = {}, {}
        return states

    def _enter(self, keeps: bool) -> Any:
        def hook(layer: paddle.nn.Layer, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
            self.take()
            if keeps:
                self._hidden[0] = inputs[0]
            return inputs[:2]

        return hook

    def _keep(self, number: int) -> Any:
        def hook(layer: paddle.nn.Layer, inputs: Any, output: paddle.Tensor) -> None:
            self._hidden[number] = output

        return hook

    def _keep_heads(self, number: int, attention: Any) -> Any:
        def hook(layer: paddle.nn.Layer, inputs: Any, output: paddle.Tensor) -> None:
            self._projected[number] = output.reshape([0, 0, attention.num_heads, 3, attention.head_size])

        return hook
