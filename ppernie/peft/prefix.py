"""Prefixes: keys and values of no token, which every token sees (P-tuning v2: Liu et al. 2021, section 3)."""

from __future__ import annotations

from typing import Any

import paddle
from paddle import nn

from ppernie.errors import UserError
from ppernie.nn import Linear
from ppernie.parallel.plan import Heads, Plan
from ppernie.peft.plan import PREFIX
from ppernie.peft.settings import Prefix


class LayerPrefix(nn.Layer):
    """The prefix of one layer, learnt as it is; ``weight`` is [heads, 2, tokens, head size]: keys and values."""

    def __init__(self, heads: int, head_size: int, tokens: int) -> None:
        super().__init__()
        self.weight = self.create_parameter([heads, 2, tokens, head_size])

    def forward(self) -> tuple[paddle.Tensor, paddle.Tensor]:
        """Keys and values, [1, heads, tokens, head size] each."""
        key, value = self.weight.unbind(1)
        return key.unsqueeze(0), value.unsqueeze(0)


class ProjectedPrefix(nn.Layer):
    """The prefix of one layer, made of a table [tokens, hidden] by two linear maps with tanh between them.

    The maps are Li and Liang's (2021, arXiv:2101.00190, section 4.3); here each layer has table and maps of its own, so
    that ranks and stages have what their layers need.
    """

    def __init__(self, heads: int, head_size: int, tokens: int, width: int) -> None:
        super().__init__()
        self.head_size = head_size
        self.table = nn.Embedding(tokens, heads * head_size)
        self.inner = Linear(heads * head_size, width)
        self.outer = Linear(width, 2 * heads * head_size)

    def forward(self) -> tuple[paddle.Tensor, paddle.Tensor]:
        """As ``LayerPrefix``; the columns of ``outer`` are laid out per head as (key, value)."""
        made = self.outer(paddle.tanh(self.inner(self.table.weight)))
        key, value = made.reshape([made.shape[0], -1, 2, self.head_size]).transpose([2, 1, 0, 3]).unbind(0)
        return key.unsqueeze(0), value.unsqueeze(0)


def add_prefixes(network: paddle.nn.Layer, plan: Plan, prefix: Prefix) -> None:
    """Gives every attention of a network its prefix.

    Raises:
        UserError: the network's attention takes none.
    """
    found = False
    for name, layer in network.named_sublayers():
        rule = plan.rule(name, has_parameters=False)
        if rule is None or not isinstance(rule.kind, Heads) or not hasattr(layer, PREFIX):
            continue
        found = True
        setattr(layer, PREFIX, _made(layer, prefix))
    if not found:
        raise UserError("Tuning.prefix: the attention of this network takes no prefixes; use Tuning.lora")


def _made(attention: Any, prefix: Prefix) -> nn.Layer:
    heads, head_size = attention.num_heads, attention.head_size
    if prefix.projection is None:
        return LayerPrefix(heads, head_size, prefix.tokens)
    return ProjectedPrefix(heads, head_size, prefix.tokens, prefix.projection)


@paddle.no_grad()
def settle_prefixes(network: paddle.nn.Layer) -> None:
    """Puts in the place of projected prefixes what their maps make, which then cost nothing more."""
    for layer in network.sublayers():
        projected = getattr(layer, PREFIX, None)
        if isinstance(projected, ProjectedPrefix):
            key, value = projected()
            _, heads, tokens, head_size = key.shape
            settled = LayerPrefix(heads, head_size, tokens)
            settled.weight.set_value(paddle.stack([key[0], value[0]], axis=1))
            setattr(layer, PREFIX, settled)
