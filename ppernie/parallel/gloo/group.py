"""A process group over sockets, with the interface of Paddle's own."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import paddle
from paddle.base.core import ReduceOp
from paddle.distributed import collective

from ppernie.parallel.gloo.transport import Channel, Transport

_HALF = (paddle.float16, paddle.bfloat16)
_REDUCE: dict[Any, Callable[[paddle.Tensor, paddle.Tensor], paddle.Tensor]] = {
    ReduceOp.SUM: paddle.add,
    ReduceOp.AVG: paddle.add,
    ReduceOp.MAX: paddle.maximum,
    ReduceOp.MIN: paddle.minimum,
    ReduceOp.PRODUCT: paddle.multiply,
}


class Task:
    """What a call returns in place of a result; a receive happens when it is waited for."""

    def __init__(self, action: Callable[[], None] | None = None) -> None:
        self._action = action

    def wait(self, *_: Any) -> bool:
        action, self._action = self._action, None
        if action is not None:
            action()
        return True

    synchronize = is_completed = wait


class SocketGroup:
    """Collectives and messages among the ranks of a group; tensors lie in the memory of the CPU.

    Each rank sends the others what they need and reduces in the order of ranks, so all ranks get the same bits.
    Methods are named and called as Paddle's are: receivers first, ``sync_op`` last, ranks counted within the group.
    """

    def __init__(self, transport: Transport, group_id: int, rank: int, size: int) -> None:
        self._transport = transport
        self._id = group_id
        self._rank = rank
        self._size = size
        self._deferred: list[Callable[[], None]] | None = None

    def name(self) -> str:
        """The backend, under whose name Paddle knows the group."""
        return "GLOO"

    def rank(self) -> int:
        """This rank within the group."""
        return self._rank

    def size(self) -> int:
        """Number of ranks."""
        return self._size

    # Collectives

    @paddle.no_grad()
    def barrier(self, *_: Any) -> Task:
        self._gathered(paddle.zeros([1]))
        return Task()

    @paddle.no_grad()
    def all_reduce(self, tensor: paddle.Tensor, op: Any = ReduceOp.SUM, sync_op: bool = True) -> Task:
        _write(tensor, _reduced(self._gathered(tensor), op))
        return Task()

    @paddle.no_grad()
    def reduce(self, tensor: paddle.Tensor, root: int, op: Any, sync_op: bool = True) -> Task:
        parts = self._collected(tensor, root)
        if self._rank == root:
            _write(tensor, _reduced(parts, op))
        return Task()

    @paddle.no_grad()
    def broadcast(self, tensor: paddle.Tensor, root: int, sync_op: bool = True) -> Task:
        _write(tensor, self._dealt([tensor] * self._size, tensor, root))
        return Task()

    @paddle.no_grad()
    def all_gather(self, *arguments: Any) -> Task:
        """``(list, tensor, sync_op)``, or ``(tensor, result)`` as Paddle's older interface has it."""
        if len(arguments) == 2 and isinstance(arguments[1], paddle.Tensor) and not isinstance(arguments[0], list):
            tensor, result = arguments
            return self.all_gather_into_tensor(result, tensor)
        results, tensor = arguments[:2]
        for result, part in zip(results, self._gathered(tensor), strict=True):
            _write(result, part)
        return Task()

    @paddle.no_grad()
    def all_gather_into_tensor(self, result: paddle.Tensor, tensor: paddle.Tensor, sync_op: bool = True) -> Task:
        _write(result, paddle.stack(self._gathered(tensor)))
        return Task()

    @paddle.no_grad()
    def gather(self, tensor: paddle.Tensor, results: list[paddle.Tensor], root: int, *_: Any) -> Task:
        parts = self._collected(tensor, root)
        if self._rank == root:
            for result, part in zip(results, parts, strict=True):
                _write(result, part)
        return Task()

    @paddle.no_grad()
    def scatter(self, result: paddle.Tensor, parts: list[paddle.Tensor], root: int, sync_op: bool = True) -> Task:
        _write(result, self._dealt(parts, result, root))
        return Task()

    @paddle.no_grad()
    def scatter_tensor(self, result: paddle.Tensor, tensor: paddle.Tensor, root: int, sync_op: bool = True) -> Task:
        return self.scatter(result, self._cut(tensor) if self._rank == root else [], root)

    @paddle.no_grad()
    def reduce_scatter(self, result: paddle.Tensor, parts: list[paddle.Tensor], op: Any, sync_op: bool = True) -> Task:
        _write(result, _reduced(self._exchanged(parts), op))
        return Task()

    @paddle.no_grad()
    def reduce_scatter_tensor(
        self, result: paddle.Tensor, tensor: paddle.Tensor, op: Any, sync_op: bool = True
    ) -> Task:
        return self.reduce_scatter(result, self._cut(tensor), op)

    # Messages

    def send(self, tensor: paddle.Tensor, receiver: int, sync_op: bool = True) -> Task:
        self._send(tensor, receiver, ("direct", self._id))
        return Task()

    def recv(self, tensor: paddle.Tensor, sender: int, sync_op: bool = True) -> Task:
        @paddle.no_grad()
        def receive() -> None:
            _write(tensor, self._receive(tensor, sender, ("direct", self._id)))

        if self._deferred is not None:
            self._deferred.append(receive)
            return Task()
        task = Task(receive)
        if sync_op:
            task.wait()
        return task

    def send_partial(self, tensor: paddle.Tensor, receiver: int, parts: int, part: int, sync_op: bool = True) -> Task:
        """Sends one of several equal parts of the flat tensor."""
        return self.send(tensor.detach().flatten().split(parts)[part], receiver)

    def recv_partial(self, tensor: paddle.Tensor, sender: int, parts: int, part: int, sync_op: bool = True) -> Task:
        """Receives one of several equal parts of the flat tensor; the others keep their values."""
        flat = tensor.detach().flatten().split(parts)

        @paddle.no_grad()
        def receive() -> None:
            flat[part] = self._receive(flat[part], sender, ("direct", self._id))
            _write(tensor, paddle.concat(flat))

        if self._deferred is not None:
            self._deferred.append(receive)
        else:
            receive()
        return Task()

    def all_gather_partial(self, result: paddle.Tensor, tensor: paddle.Tensor, parts: int, part: int) -> Task:
        """Gives every rank all parts of a tensor of which each has one."""
        return self.all_gather_into_tensor(result, tensor.detach().flatten().split(parts)[part])

    def _start_coalescing(self) -> None:
        self._deferred = []

    def _end_coalescing(self, tasks: Sequence[Task] = ()) -> None:
        """Receives what was asked for since the start; everything was sent at once."""
        deferred, self._deferred = self._deferred or [], None
        for receive in deferred:
            receive()

    # On a GPU these run in order with the computation, as everything does here.
    all_reduce_on_calc_stream = all_reduce
    reduce_on_calc_stream = reduce
    broadcast_on_calc_stream = broadcast
    all_gather_on_calc_stream = all_gather
    all_gather_into_tensor_on_calc_stream = all_gather_into_tensor
    scatter_on_calc_stream = scatter
    scatter_tensor_on_calc_stream = scatter_tensor
    reduce_scatter_on_calc_stream = reduce_scatter
    reduce_scatter_tensor_on_calc_stream = reduce_scatter_tensor
    send_on_calc_stream = send
    recv_on_calc_stream = recv
    send_partial_on_calc_stream = send_partial
    recv_partial_on_calc_stream = recv_partial
    all_gather_partial_on_calc_stream = all_gather_partial

    # Exchanges, of which the collectives are made

    def _exchanged(self, parts: Sequence[paddle.Tensor]) -> list[paddle.Tensor]:
        """Sends part i to rank i; returns what each rank sent here."""
        for peer in self._others():
            self._send(parts[peer], peer, ("collective", self._id))
        own = parts[self._rank]
        received = {peer: self._receive(own, peer, ("collective", self._id)) for peer in self._others()}
        return [received.get(peer, own) for peer in range(self._size)]

    def _gathered(self, tensor: paddle.Tensor) -> list[paddle.Tensor]:
        return self._exchanged([tensor] * self._size)

    def _collected(self, tensor: paddle.Tensor, root: int) -> list[paddle.Tensor]:
        """The tensors of all ranks on ``root``, nothing on the others."""
        if self._rank != root:
            self._send(tensor, root, ("collective", self._id))
            return []
        received = {peer: self._receive(tensor, peer, ("collective", self._id)) for peer in self._others()}
        return [received.get(peer, tensor) for peer in range(self._size)]

    def _dealt(self, parts: Sequence[paddle.Tensor], like: paddle.Tensor, root: int) -> paddle.Tensor:
        """The part of this rank, of those that ``root`` has."""
        if self._rank != root:
            return self._receive(like, root, ("collective", self._id))
        for peer in self._others():
            self._send(parts[peer], peer, ("collective", self._id))
        return parts[root]

    def _cut(self, tensor: paddle.Tensor) -> list[paddle.Tensor]:
        return paddle.split(tensor, self._size, axis=0)

    def _others(self) -> list[int]:
        return [peer for peer in range(self._size) if peer != self._rank]

    def _send(self, tensor: paddle.Tensor, receiver: int, channel: Channel) -> None:
        array: Any = np.ascontiguousarray(tensor.detach().numpy()).reshape(-1)
        self._transport.send(self._ranks[receiver], channel, memoryview(array.view(np.uint8)))

    def _receive(self, like: paddle.Tensor, sender: int, channel: Channel) -> paddle.Tensor:
        message = self._transport.receive(self._ranks[sender], channel)
        dtype = like.detach().numpy().dtype
        shape = list(like.shape)
        expected = math.prod(shape) * dtype.itemsize
        if len(message) != expected:
            raise ValueError(
                f"rank {self._ranks[sender]} sent {len(message)} bytes where rank {self._ranks[self._rank]} expects "
                f"{expected} ({like.dtype}, shape {shape}); the ranks are not at the same place of the program"
            )
        return paddle.to_tensor(np.frombuffer(message, dtype).reshape(shape) if message else np.empty(shape, dtype))

    @functools.cached_property
    def _ranks(self) -> list[int]:
        """Ranks of the job by rank of the group, which Paddle knows only once the group is made."""
        return collective._get_group_map()[self._id].ranks


def _reduced(parts: Sequence[paddle.Tensor], op: Any) -> paddle.Tensor:
    """Reduces part by part; half precision in float32, which the last cast rounds once."""
    wide = [part.astype("float32") for part in parts] if parts[0].dtype in _HALF else parts
    result = functools.reduce(_REDUCE[op], wide)
    return result / len(parts) if op == ReduceOp.AVG else result


def _write(result: paddle.Tensor, value: paddle.Tensor) -> None:
    """Writes into the memory of ``result``, which others may share."""
    if result.size:
        paddle.assign(value.reshape(result.shape).astype(result.dtype), result)
