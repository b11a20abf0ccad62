"""A network's state over all ranks: which rectangles of it this rank owns, and the whole of it on the first."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ppernie.checkpoints import Checkpoint, Slice
from ppernie.parallel.cut import Cut
from ppernie.parallel.ranks import Fleet, Ranks
from ppernie.parallel.topology import Topology
from ppernie.zoo.layout import Tensor

if TYPE_CHECKING:
    from ppernie.parallel.network import Share


def owned_slices(
    prefix: str, tensors: Mapping[str, Any], cut_of: Callable[[str], Cut | None], topology: Topology
) -> Iterator[Slice]:
    """The slices of a checkpoint that this rank writes: of each element, over the tensor-parallel ranks, one.

    Args:
        prefix: before the names, such as ``model/``.
        tensors: this rank's parts by name.
        cut_of: the layout of the tensor of a name; None for one that every rank has whole.
    """
    for name, tensor in tensors.items():
        array = tensor.numpy() if hasattr(tensor, "numpy") else tensor
        cut = cut_of(name) or Cut(array.shape)
        if cut.axis is None and topology.mp_rank:
            continue
        for offset, inside in cut.offsets(topology.mp, topology.mp_rank):
            yield Slice(f"{prefix}{name}", cut.shape, offset, np.ascontiguousarray(array[inside]))


def read_parts(
    checkpoint: Checkpoint,
    group: str,
    cut_of: Callable[[str], Cut | None],
    topology: Topology,
    wanted: Callable[[str], bool] = lambda name: True,
) -> Mapping[str, Tensor]:
    """This rank's parts of the wanted tensors of a checkpoint's group; no other bytes are read."""
    tensors = {name: tensor for name, tensor in checkpoint.group(group).items() if wanted(name)}
    if topology.mp == 1:
        return tensors
    parts = {}
    for name, tensor in tensors.items():
        cut = cut_of(name) or Cut(tensor.shape)
        part = np.empty(cut.local_shape(topology.mp), np.float32)
        for offset, inside in cut.offsets(topology.mp, topology.mp_rank):
            tensor.read_part(offset, part[inside])
        parts[name] = part
    return parts


def whole_weights(share: Share, ranks: Ranks) -> dict[str, np.ndarray]:
    """The whole network's weights, on the first rank; all ranks must call it, and the others get nothing."""
    parameters = dict(share.network.named_parameters())
    weights: dict[str, np.ndarray] = {}
    if share.topology.data_rank == 0:
        for name, cut in share.cuts.items():
            array = _joined(parameters[name], cut, ranks) if share.is_home(name) else None
            if share.topology.mp_rank == 0:
                array = _on_first_stage(array, cut.shape, share.home(name), ranks)
            if ranks.topology.rank == 0:
                assert array is not None
                weights[name] = array
    return weights


def _joined(parameter: Any, cut: Cut, ranks: Ranks) -> np.ndarray:
    if cut.axis is None or ranks.topology.mp == 1:
        return parameter.numpy()
    from paddle import distributed

    assert isinstance(ranks, Fleet)
    parts: list[Any] = []
    distributed.all_gather(parts, parameter, group=ranks.mp_group)
    return cut.join([part.numpy() for part in parts])


def _on_first_stage(array: np.ndarray | None, shape: tuple[int, ...], home: int, ranks: Ranks) -> np.ndarray | None:
    """The array of the stage ``home``, on the first; the stages between have nothing to do with it."""
    here = ranks.topology.pp_rank
    if home == 0 or here not in (0, home):
        return array
    import paddle
    from paddle import distributed

    assert isinstance(ranks, Fleet)
    if array is not None:
        distributed.send(paddle.to_tensor(array), ranks.rank_of_stage(0), ranks.pp_group)
        return None
    received = paddle.empty(shape, "float32")
    distributed.recv(received, ranks.rank_of_stage(home), ranks.pp_group)
    return received.numpy()
