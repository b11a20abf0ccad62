"""The places in Paddle that the stand-ins take."""

from __future__ import annotations

import logging
from typing import Any

from paddle import _C_ops
from paddle.base import core
from paddle.distributed import ParallelEnv, collective, parallel

from ppernie.parallel.gloo import kernels
from ppernie.parallel.gloo.group import SocketGroup
from ppernie.parallel.gloo.reducer import Reducer
from ppernie.parallel.gloo.transport import Transport

_LOG = logging.getLogger(__name__)

# Paddle's own, which other backends keep.
_paddles_process_group = collective._new_process_group_impl
_transport: list[Transport] = []


def install() -> None:
    """Lets fleet run on CPU processes from its start on; a second call does nothing.

    Call it before ``fleet.init``. Groups of other backends than gloo stay as they are.
    """
    if collective._new_process_group_impl is _process_group:
        return
    _LOG.info("ranks talk over Python sockets: this is for tests and small machines, not for speed")
    for place, name, stand_in in _STAND_INS:
        setattr(place, name, stand_in)


def _process_group(backend: str, store: Any, rank: int, size: int, name: str, *args: Any, **options: Any) -> Any:
    if backend != "gloo":
        return _paddles_process_group(backend, store, rank, size, name, *args, **options)
    if not _transport:
        # The first group is that of all ranks.
        _transport.append(Transport(rank, size, store))
    return SocketGroup(_transport[0], options.get("group_id", 0), rank, size)


_STAND_INS: tuple[tuple[Any, str, Any], ...] = (
    (collective, "_new_process_group_impl", _process_group),
    (parallel, "_new_process_group_impl", _process_group),
    (core, "EagerReducer", Reducer),
    # Pipeline layers ask for the number of the device, which only builds for a GPU know.
    (ParallelEnv, "_device_id", 0),
    (_C_ops, "c_identity", kernels.c_identity),
    (_C_ops, "c_concat", kernels.c_concat),
    (_C_ops, "c_split", kernels.c_split),
    (_C_ops, "c_softmax_with_cross_entropy", kernels.c_softmax_with_cross_entropy),
)
