"""Networks whose linear layers and tables keep their weights as a file has them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import paddle
from paddle import nn

from ppernie.errors import UserError
from ppernie.nn.layers import TiedDecoder
from ppernie.slim.weight_only.layers import HalfDecoder, HalfEmbedding, WeightOnlyLinear
from ppernie.slim.weight_only.tensors import QuantizedTensor
from ppernie.zoo.formats import StoredTensor
from ppernie.zoo.layout import Tensor
from ppernie.zoo.weights import allocate


def lay_stored(
    network: nn.Layer, tensors: Mapping[str, Tensor], place: str, *, dequantize: bool = False
) -> dict[str, Tensor]:
    """Gives a network what it keeps as it is stored, and its parameters their memory.

    Args:
        network: built lazily.
        tensors: by the names of its parameters.
        place: of the tensors, for messages.
        dequantize: every weight is to be float.

    Returns:
        The tensors that are left to be loaded into parameters.

    Raises:
        UserError: as ``put_quantized``.
    """
    quantized = {} if dequantize else put_quantized(network, tensors, place)
    tables = put_half_tables(network, tensors, _half_embedding, HalfDecoder) if quantized else []
    allocate(network.parameters())
    for name, layer in quantized.items():
        tensor = tensors[name]
        assert isinstance(tensor, QuantizedTensor)
        layer.weight, layer.weight_scale = mapped(tensor.weight), mapped(tensor.scale)
        layer.arrange()
    return {name: tensor for name, tensor in tensors.items() if name not in quantized and name not in tables}


def put_quantized(network: nn.Layer, tensors: Mapping[str, Tensor], place: str) -> dict[str, WeightOnlyLinear]:
    """Puts a layer without a weight yet in the place of each whose weight is quantised.

    Args:
        network: built lazily, so that what is replaced was never in memory.
        tensors: by the names of the network's parameters.
        place: of the tensors, for messages.

    Returns:
        The layers by the names of their weights.

    Raises:
        UserError: a quantised weight is none of a linear layer, or of another shape.
    """
    found: dict[str, WeightOnlyLinear] = {}
    layers = dict(network.named_sublayers())
    for name, tensor in tensors.items():
        if not isinstance(tensor, QuantizedTensor):
            continue
        path, _, parameter = name.rpartition(".")
        plain = layers.get(path)
        if not isinstance(plain, nn.Linear) or parameter != "weight":
            raise UserError(f"{place} does not fit the model: {name} is quantised, and no weight of a linear layer")
        shape = list(plain.weight.shape)
        if shape != list(tensor.shape):
            raise UserError(f"{place} does not fit the model: {name} has shape {list(tensor.shape)}, the model {shape}")
        found[name] = WeightOnlyLinear(plain, tensor.scheme)
        replace(network, path, found[name])
    return found


def put_half_tables(
    network: nn.Layer,
    tensors: Mapping[str, Tensor],
    embedding: Callable[[StoredTensor], nn.Layer],
    decoder: Callable[[paddle.Tensor | None], nn.Layer],
) -> list[str]:
    """Leaves tables that are stored in half precision in their file, and returns their names.

    Only those that a decoder shares are as large as that is worth.

    Args:
        embedding: makes a layer over a table.
        decoder: makes a layer of a bias; the network gives it the embedding's ``weight`` with its input.
    """
    decoders = {path: layer for path, layer in network.named_sublayers() if isinstance(layer, TiedDecoder)}
    sizes = {decoder.vocab_size for decoder in decoders.values()}
    names = []
    for path, layer in list(network.named_sublayers()):
        tensor = tensors.get(f"{path}.weight")
        shared = isinstance(layer, nn.Embedding) and layer.weight.shape[0] in sizes
        if shared and isinstance(tensor, StoredTensor) and tensor.dtype == "float16":
            replace(network, path, embedding(tensor))
            names.append(f"{path}.weight")
    if names:
        for path, layer in decoders.items():
            replace(network, path, decoder(layer.bias))
    return names


def _half_embedding(table: StoredTensor) -> HalfEmbedding:
    return HalfEmbedding(mapped(table))


def mapped(tensor: StoredTensor) -> paddle.Tensor:
    """A tensor in the file's own pages on the CPU; where that cannot be, read."""
    array = tensor.map() if paddle.get_device() == "cpu" else None
    return in_place(tensor.read() if array is None else array)


def in_place(array: np.ndarray) -> paddle.Tensor:
    """A tensor on the current device, on the CPU in the array's own memory."""
    if paddle.get_device() != "cpu":
        return paddle.to_tensor(array)
    return paddle.from_dlpack(array)  # type: ignore[arg-type]


def replace(network: nn.Layer, path: str, layer: nn.Layer) -> None:
    """Puts a layer in the place of the one with that dotted name."""
    parent, _, name = path.rpartition(".")
    setattr(network if not parent else dict(network.named_sublayers())[parent], name, layer)
