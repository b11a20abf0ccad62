"""What this package's networks take of other weights to start from."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ppernie.errors import UserError
from ppernie.zoo.layout import Fit, Tensor, fit
from ppernie.zoo.sources import Source, check_architecture

if TYPE_CHECKING:
    from model_zoo.ernie3.universal.config import UniversalConfig

logger = logging.getLogger("ppernie")

_WORDS = "embeddings.word_embeddings.weight"
_HEADS = ("nlu_head.", "nlg_head.", "reordering.", "distance.", "classifier.")


def start_from(
    source: Source, shapes: Mapping[str, tuple[int, ...]], arch: UniversalConfig, *, new_head: bool = False
) -> Fit:
    """The stored tensors for a network's parameters; of the others it draws its own.

    From a network of this package comes all that both have. A released encoder is of another architecture: from it
    come the tables of words and of types and their norm, where they are as large, and for the trunk as many layers as
    both have, where these are as large. A layer of the trunk has besides what tells the distances apart, and draws it.
    The log says what came.

    Args:
        shapes: of the network's parameters, by name.
        new_head: leave what heads are stored.

    Raises:
        UserError: the shapes of what both networks have differ, the encoder is of another width or vocabulary, or the
            feed-forward networks have another activation.
    """
    if source.architecture["hidden_act"] != arch.hidden_act:
        raise UserError(
            f"{source.place}: has {source.architecture['hidden_act']} in its layers, and Arch.hidden_act is "
            f"{arch.hidden_act}; set Arch.hidden_act={source.architecture['hidden_act']}"
        )
    is_own = source.kind is not None and source.kind.startswith("Universal")
    return _from_network(source, shapes, new_head) if is_own else _from_encoder(source, shapes)


def _from_network(source: Source, shapes: Mapping[str, tuple[int, ...]], new_head: bool) -> Fit:
    taken = {
        name: tensor
        for name, tensor in source.tensors.items()
        if name in shapes and not (new_head and name.startswith(_HEADS))
    }
    _check(source, taken, shapes)
    return Fit(taken, [name for name in source.tensors if name not in taken])


def _from_encoder(source: Source, shapes: Mapping[str, tuple[int, ...]]) -> Fit:
    config = check_architecture(source.family, source.architecture, str(source.place))
    encoder = fit(source.tensors, config, source.layout, "Model", new_head=True, place=str(source.place)).tensors
    _check(source, {_WORDS: encoder[_WORDS]}, shapes)
    tables = {
        name: tensor
        for name, tensor in encoder.items()
        if name.startswith("embeddings.") and tuple(tensor.shape) == shapes.get(name)
    }
    layers = _trunk(encoder, dict(config)["num_attention_heads"], shapes)
    count = len({name.split(".")[2] for name in layers})
    logger.info(
        "From %s, a network of another architecture, come %s, and for the trunk %s; all else is drawn",
        source.place,
        ", ".join(tables),
        f"layers 0 to {count - 1}" if layers else "no layers, as its heads or its feed-forward networks are others",
    )
    return Fit({**tables, **layers}, [])


def _check(source: Source, stored: Mapping[str, Tensor], shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Raises UserError where stored tensors are of other shapes than the network's."""
    unequal = [
        f"{name} is {list(tensor.shape)} there and {list(shapes[name])} here"
        for name, tensor in stored.items()
        if tuple(tensor.shape) != shapes[name]
    ]
    if unequal:
        more = f" and {len(unequal) - 10} more" if len(unequal) > 10 else ""
        raise UserError(
            f"{source.place}: does not fit Arch: {'; '.join(unequal[:10])}{more}; choose its sizes"
            + (" (Global.new_head makes a head anew)" if unequal[0].startswith(_HEADS) else "")
        )


def _trunk(encoder: Mapping[str, Tensor], heads: int, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """An encoder's layers by the names of the trunk's, as many as both have; none where theirs are of other sizes."""
    layers: dict[str, Tensor] = {}
    for name, tensor in encoder.items():
        before, qkv, after = name.replace("encoder.", "trunk.", 1).partition("qkv_proj")
        if qkv:
            layers[f"{before}q_proj{after}"] = _Columns(tensor, heads, 0, 1)
            layers[f"{before}kv_proj{after}"] = _Columns(tensor, heads, 1, 3)
        else:
            layers[before] = tensor
    both = {name: tensor for name, tensor in layers.items() if name.startswith("trunk.") and name in shapes}
    as_large = all(tuple(tensor.shape) == shapes[name] for name, tensor in both.items())
    return both if as_large and shapes["trunk.layers.0.self_attn.content_bias.weight"][0] == heads else {}


class _Columns(NamedTuple):
    """Parts [first, last) of every head's queries, keys and values, which an encoder's matrix or bias has in a row."""

    tensor: Tensor
    heads: int
    first: int
    last: int

    @property
    def shape(self) -> tuple[int, ...]:
        *lead, columns = self.tensor.shape
        return (*lead, columns // 3 * (self.last - self.first))

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        array = np.asarray(self.tensor)
        by_head = array.reshape(*array.shape[:-1], self.heads, 3, -1)
        return by_head[..., self.first : self.last, :].reshape(self.shape)
