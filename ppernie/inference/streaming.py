"""Networks larger than memory: a block's weights are read from the disk when its turn comes.

While a block computes, a thread reads the weights of the next, and during the last those of the first: two sets of
arrays take turns, and nothing else of the blocks is in memory. Weights that are quantised in the folder stay so; of the
others the blocks hold float32. Tables of half precision stay in their file (``ppernie.inference.tables``).

On a GPU the whole numbers become float before each product. Paddle's own weight-only products take them in another
order, and a weight that serves one product in its turn is not worth that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import paddle
from paddle import nn

from ppernie import registry
from ppernie.errors import UserError
from ppernie.inference.tables import FileDecoder, FileEmbedding
from ppernie.parallel.plan import Plan
from ppernie.slim.weight_only.layers import WeightOnlyLinear
from ppernie.slim.weight_only.network import in_place, put_half_tables, put_quantized, replace
from ppernie.slim.weight_only.selection import block_of
from ppernie.slim.weight_only.tensors import QuantizedTensor
from ppernie.zoo.description import ModelDescription
from ppernie.zoo.folder import read_stored
from ppernie.zoo.formats import StoredTensor
from ppernie.zoo.weights import allocate, check_fit, fill, lazy_network


class Seat(NamedTuple):
    """A place of a block that a tensor takes for its turn.

    Attributes:
        tensor: in its file.
        dtype: in memory.
        put: takes the tensor and, after the turn, None.
    """

    tensor: StoredTensor
    dtype: str
    put: Callable[[paddle.Tensor | None], None]


class StreamedBlocks(nn.LayerList):
    """Blocks of a network that have weights only while it is their turn in an iteration.

    Args:
        blocks: as many as there are seats.
        seats: of each block.
    """

    def __init__(self, blocks: Sequence[nn.Layer], seats: Sequence[Sequence[Seat]]) -> None:
        super().__init__(blocks)
        self._seats = seats
        self._pool = ThreadPoolExecutor(1, "weights")
        self._arrays: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
        self._turn = 0
        self._coming: tuple[int, Future[list[np.ndarray]]] | None = None

    def __iter__(self) -> Iterator[nn.Layer]:
        for number, block in enumerate(super().__iter__()):
            arrays = self._take(number)
            self._start((number + 1) % len(self._seats))
            seats = self._seats[number]
            for seat, array in zip(seats, arrays, strict=True):
                seat.put(in_place(array))
            try:
                yield block
            finally:
                for seat in seats:
                    seat.put(None)

    def wait(self) -> None:
        """Returns when the weights that are read ahead are there. Raises UserError where they cannot be read."""
        if self._coming is not None:
            self._coming[1].result()

    def _take(self, number: int) -> list[np.ndarray]:
        """The weights of a block, which are on their way unless an iteration was broken off."""
        if self._coming is None or self._coming[0] != number:
            self._start(number)
        assert self._coming is not None
        _, future = self._coming
        self._coming = None
        return future.result()

    def _start(self, number: int) -> None:
        """Begins to read the weights of a block, into the arrays of the one before the last."""
        self._turn = 1 - self._turn
        self._coming = number, self._pool.submit(_read, self._seats[number], self._arrays[self._turn])


def _read(seats: Sequence[Seat], arrays: list[np.ndarray]) -> list[np.ndarray]:
    """Fills the arrays, which are made anew where they do not fit."""
    if [(array.shape, array.dtype) for array in arrays] != [(seat.tensor.shape, seat.dtype) for seat in seats]:
        arrays[:] = [np.empty(seat.tensor.shape, seat.dtype) for seat in seats]
    for seat, array in zip(seats, arrays, strict=True):
        seat.tensor.read_into(array)
    return arrays


def stream_built(folder: Path, description: ModelDescription, build: Callable[[], nn.Layer]) -> nn.Layer:
    """What ``build`` makes, with a folder's weights, those of its blocks streamed; for prediction alone.

    Raises:
        UserError: the folder is damaged, holds adapters, or its weights do not fit; or the network has no blocks.
    """
    if description.tuning is not None:
        raise UserError(f"{folder}: has adapters, which are not streamed; leave --stream")
    tensors = read_stored(folder, description)
    network = lazy_network(build)
    place = str(folder)
    quantized = put_quantized(network, tensors, place)
    tables = put_half_tables(network, tensors, FileEmbedding, FileDecoder)
    plain = {name: tensor for name, tensor in tensors.items() if name not in quantized and name not in tables}
    parameters = dict(network.named_parameters())
    check_fit(parameters, plain, place)
    plan = registry.arch_plan(description.arch["name"])
    outside = [name for name in plain if block_of(name, plan) is None]
    allocate(parameters[name] for name in outside)
    fill(parameters, {name: plain[name] for name in outside})
    inside = {name: tensor for name, tensor in tensors.items() if block_of(name, plan) is not None}
    _stream_blocks(network, _seats(inside, quantized, parameters, plan), place)
    return network


def _seats(
    tensors: Mapping[str, StoredTensor],
    quantized: Mapping[str, WeightOnlyLinear],
    parameters: Mapping[str, paddle.Tensor],
    plan: Plan,
) -> dict[str, list[Seat]]:
    """The seats of each block by its name."""
    seats: dict[str, list[Seat]] = {}
    for name, tensor in tensors.items():
        block = block_of(name, plan)
        assert block is not None
        found = seats.setdefault(block, [])
        if isinstance(tensor, QuantizedTensor):
            found.append(Seat(tensor.weight, "int8", partial(setattr, quantized[name], "weight")))
            found.append(Seat(tensor.scale, "float16", partial(setattr, quantized[name], "weight_scale")))
        else:
            found.append(Seat(tensor, "float32", partial(_lend, parameters[name])))
    return seats


def _lend(parameter: paddle.Tensor, tensor: paddle.Tensor | None) -> None:
    if tensor is None:
        parameter._clear_data()
    else:
        tensor._share_buffer_to(parameter)


def _stream_blocks(network: nn.Layer, seats: Mapping[str, list[Seat]], place: str) -> None:
    """Puts streamed blocks in the place of the network's list of blocks."""
    layers = dict(network.named_sublayers())
    paths = {name.rpartition(".")[0] for name in seats}
    blocks = [name for path in paths for name in layers if name.rpartition(".")[0] == path]
    if len(paths) != 1 or set(blocks) != set(seats):
        raise UserError(f"{place}: its network is not one row of blocks, which streaming needs; leave --stream")
    replace(network, paths.pop(), StreamedBlocks([layers[name] for name in blocks], [seats[name] for name in blocks]))
