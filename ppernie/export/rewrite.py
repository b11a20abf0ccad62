"""The form in which a network runs fastest when it is only run forward."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import paddle
from paddle import nn
from paddle.nn import functional as F

from ppernie.nn import SelfAttention

# Layers of the form, and the layer of the plain network that each is a part of.
_PARTS = {"query": "qkv_proj", "key": "qkv_proj", "value": "qkv_proj"}


class _InferenceAttention(nn.Layer):
    """``SelfAttention`` without dropout, as three projections.

    The runtime reads the operands of a product through a reshape and a transpose without copying them, but not
    through the split of one fused projection; the scale of the scores goes into the query's weights.
    """

    def __init__(self, attention: SelfAttention) -> None:
        super().__init__()
        self.num_heads, self.head_size = attention.num_heads, attention.head_size
        self.hidden_size = self.num_heads * self.head_size
        weight = attention.qkv_proj.weight.reshape([-1, self.num_heads, 3, self.head_size])
        bias = attention.qkv_proj.bias.reshape([self.num_heads, 3, self.head_size])
        scale = 1.0 / math.sqrt(self.head_size)
        self.query = _linear(weight[:, :, 0] * scale, bias[:, 0] * scale)
        self.key = _linear(weight[:, :, 1], bias[:, 1])
        self.value = _linear(weight[:, :, 2], bias[:, 2])
        self.out_proj = attention.out_proj

    def forward(self, x: paddle.Tensor, mask: paddle.Tensor | None = None, queries: int | None = None) -> paddle.Tensor:
        query = self.query(x if queries is None else x[:, :queries])
        scores = paddle.matmul(self._heads(query), self._heads(self.key(x)), transpose_y=True)
        if mask is not None:
            scores = scores + (mask if queries is None else mask[:, :, :queries])
        context = paddle.matmul(F.softmax(scores, axis=-1), self._heads(self.value(x)))
        return self.out_proj(context.transpose([0, 2, 1, 3]).reshape([0, 0, self.hidden_size]))

    def _heads(self, x: paddle.Tensor) -> paddle.Tensor:
        return x.reshape([0, 0, self.num_heads, self.head_size]).transpose([0, 2, 1, 3])


def _linear(weight: paddle.Tensor, bias: paddle.Tensor) -> nn.Linear:
    """A layer with weight [in, heads, head size] and bias [heads, head size], both flattened."""
    weight, bias = weight.flatten(1), bias.flatten()
    rows, columns = weight.shape
    assign = nn.initializer.Assign
    return nn.Linear(rows, columns, weight_attr=assign(weight), bias_attr=assign(bias))


@contextmanager
def inference_form(model: nn.Layer) -> Iterator[None]:
    """Inside, the model is in eval mode and its attention layers have the faster form; afterwards all is as before."""
    training = {layer: layer.training for layer in model.sublayers(include_self=True)}
    replaced = [
        (parent, name, child)
        for parent in training
        for name, child in parent.named_children()
        if isinstance(child, SelfAttention)
    ]
    try:
        with paddle.no_grad():
            for parent, name, child in replaced:
                setattr(parent, name, _InferenceAttention(child))
        model.eval()
        yield
    finally:
        for parent, name, child in replaced:
            setattr(parent, name, child)
        for layer, mode in training.items():
            layer.training = mode


def weights_by_origin(model: nn.Layer) -> dict[str, list[str]]:
    """Inside ``inference_form``: the parameters that a layer's weight became, by the layer's name in the plain network.

    They are told by the names that Paddle gives them, which a graph keeps.
    """
    layers = dict(model.named_sublayers())
    found: dict[str, list[str]] = {}
    for name, layer in layers.items():
        if not isinstance(layer, (nn.Linear, nn.Embedding)):
            continue
        path, dot, last = name.rpartition(".")
        inside = isinstance(layers.get(path), _InferenceAttention)
        origin = f"{path}{dot}{_PARTS.get(last, last) if inside else last}"
        found.setdefault(origin, []).append(layer.weight.name)
    return found
