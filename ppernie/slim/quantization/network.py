"""Which layers of a network become INT8, and putting those in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from typing import Any

from paddle import nn

from ppernie.errors import UserError
from ppernie.slim.quantization.layers import Int8Embedding, Int8Linear
from ppernie.slim.quantization.settings import Int8
from ppernie.slim.weight_only.network import replace

# Rows of the smallest table that is worth the trouble.
_SMALLEST_TABLE = 256


def linear_names(network: nn.Layer, float_layers: Sequence[str]) -> list[str]:
    """The linear layers that become INT8. Raises UserError where a pattern matches none, or no layer is left."""
    names = [name for name, layer in network.named_sublayers() if isinstance(layer, nn.Linear)]
    return _but(names, float_layers, [*names, *_tables(network)])


def table_names(network: nn.Layer, float_layers: Sequence[str]) -> list[str]:
    """The embeddings that become INT8; small ones do not."""
    return [name for name in _tables(network) if not _matches(name, float_layers)]


def _tables(network: nn.Layer) -> list[str]:
    return [
        name
        for name, layer in network.named_sublayers()
        if isinstance(layer, nn.Embedding) and layer.weight.shape[0] >= _SMALLEST_TABLE
    ]


def _but(names: Sequence[str], patterns: Sequence[str], known: Iterable[str]) -> list[str]:
    known = list(known)
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in known):
            raise UserError(f"Slim.quantization.float_layers: {pattern} is no layer; there are {', '.join(known)}")
    left = [name for name in names if not _matches(name, patterns)]
    if not left:
        raise UserError("Slim.quantization.float_layers: leaves no linear layer to quantise; name fewer")
    return left


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def put_int8(network: nn.Layer, int8: Int8) -> None:
    """Puts layers that compute as INT8 in the place of those that ``int8`` names.

    Raises:
        UserError: the network has no such layer.
    """
    check_layers(network, int8)
    layers: dict[str, Any] = dict(network.named_sublayers())
    for name, largest in int8.ranges.items():
        replace(network, name, Int8Linear(layers[name], largest, int8.weight_bits))
    for name in int8.tables:
        replace(network, name, Int8Embedding(layers[name], int8.table_scales))


@contextmanager
def rounding(network: nn.Layer, int8: Int8) -> Iterator[None]:
    """Inside, a network in float computes as INT8. Raises UserError as ``put_int8``."""
    plain = dict(network.named_sublayers())
    put_int8(network, int8)
    try:
        yield
    finally:
        for name in (*int8.ranges, *int8.tables):
            replace(network, name, plain[name])


def check_layers(network: nn.Layer, int8: Int8) -> None:
    """Raises UserError where a network in float lacks a layer that ``int8`` names."""
    layers = dict(network.named_sublayers())
    for names, kind in ((int8.ranges, nn.Linear), (int8.tables, nn.Embedding)):
        for name in names:
            if not isinstance(layers.get(name), kind):
                raise UserError(
                    f"is quantised in {name}, which is no {kind.__name__} of its network; quantise it again"
                )
