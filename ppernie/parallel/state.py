"""A network's state over all ranks: which rectangles of it this rank owns, and the whole of it on the first."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ppernie.checkpoints import Checkpoint, Slice
from ppernie.parallel.cut import Cut
from ppernie.parallel.placement import Placement
from ppernie.parallel.ranks import Fleet, Ranks
from ppernie.zoo.layout import Tensor

if TYPE_CHECKING:
    from paddle.distributed.communication.group import Group

    from ppernie.parallel.network import Share


def owned_slices(
    prefix: str, tensors: Mapping[str, Any], placement_of: Callable[[str, tuple[int, ...]], Placement]
) -> Iterator[Slice]:
    """The slices of a checkpoint that this rank writes: of each element, over the ranks of all placements, one.

    Args:
        prefix: before the names, such as ``model/``.
        tensors: this rank's parts by name.
        placement_of: the place of the tensor of a name, and of a shape if all have it whole.
    """
    for name, tensor in tensors.items():
        placement = placement_of(name, tuple(tensor.shape))
        if not placement.is_first:
            continue
        array = tensor.numpy() if hasattr(tensor, "numpy") else tensor
        for place, here in placement.rectangles():
            yield Slice(
                f"{prefix}{name}", placement.whole_shape, place.offset, np.ascontiguousarray(array[here.where()])
            )


def read_parts(
    checkpoint: Checkpoint,
    group: str,
    placement_of: Callable[[str, tuple[int, ...]], Placement],
    wanted: Callable[[str], bool] = lambda name: True,
) -> Mapping[str, Tensor]:
    """This rank's parts of the wanted tensors of a checkpoint's group; no other bytes are read."""
    parts: dict[str, Tensor] = {}
    for name, tensor in checkpoint.group(group).items():
        if not wanted(name):
            continue
        placement = placement_of(name, tensor.shape)
        if placement.is_whole:
            parts[name] = tensor
            continue
        part = np.empty(placement.shape, np.float32)
        for place, here in placement.rectangles():
            tensor.read_part(place.offset, part[here.where()])
        parts[name] = part
    return parts


def whole_weights(share: Share, ranks: Ranks, but: Collection[str] = ()) -> dict[str, np.ndarray]:
    """The whole network's weights, on the first rank; all ranks must call it, and the others get nothing.

    Args:
        but: names of weights that nobody needs.
    """
    parameters = dict(share.network.named_parameters())
    weights: dict[str, np.ndarray] = {}
    topology = share.topology
    # What sharding ranks have some rows of, they bring together; what they have whole, the first has.
    if topology.dp_rank == 0 and (share.shards or topology.sharding_rank == 0):
        for name, cut in share.cuts.items():
            if name in but:
                continue
            array = _joined(parameters[name], share.rows.get(name), cut, ranks) if share.is_home(name) else None
            if topology.mp_rank == 0:
                array = _on_first_stage(array, cut.shape, share.home(name), ranks)
            if ranks.topology.rank == 0:
                assert array is not None
                weights[name] = array
    return weights


def _joined(parameter: Any, rows: Cut | None, cut: Cut, ranks: Ranks) -> np.ndarray:
    array = parameter.numpy()
    if rows is not None:
        assert isinstance(ranks, Fleet)
        array = rows.join(_gathered(array, ranks.sharding_group))
    if cut.axis is not None and ranks.topology.mp > 1:
        assert isinstance(ranks, Fleet)
        array = cut.join(_gathered(array, ranks.mp_group))
    return array


def _gathered(array: np.ndarray, group: Group) -> list[np.ndarray]:
    """The arrays of all ranks of a group."""
    import paddle
    from paddle import distributed

    parts: list[Any] = []
    distributed.all_gather(parts, paddle.to_tensor(array), group=group)
    return [part.numpy() for part in parts]


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
