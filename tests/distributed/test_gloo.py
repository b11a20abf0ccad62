"""The stand-ins for Paddle's CPU backend: every collective against NumPy, and fleet's layers against plain ones."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

CONFIG = str(Path(__file__).parents[2] / "configs/ernie3/pretrain/masked_lm.yaml")


def _started(**degrees: int) -> Any:
    """The ranks of this job, on the CPU."""
    import paddle

    from ppernie.config import load_config
    from ppernie.parallel.start import start
    from ppernie.parallel.topology import resolve, world

    paddle.set_device("cpu")
    config = load_config(CONFIG, [f"Distributed.{name}={degree}" for name, degree in degrees.items()])
    return start(resolve(config.Distributed, world()), config)


def _exchanges() -> list[dict[str, Any]]:
    _started()
    return [_collectives(), _messages()]


def _collectives() -> dict[str, Any]:
    """Each rank has ``values + rank``."""
    import paddle
    import paddle.distributed as dist

    rank, size = dist.get_rank(), dist.get_world_size()
    values = np.arange(1, 2 * size + 1)

    def own(dtype: str = "float32") -> paddle.Tensor:
        return paddle.to_tensor(values + rank).astype(dtype)

    found: dict[str, Any] = {}
    for dtype in ("float32", "float64", "float16", "bfloat16", "int64"):
        tensor = own(dtype)
        dist.all_reduce(tensor)
        found[f"sum {dtype}"] = tensor.astype("float64").tolist()
    for name, op in (("max", dist.ReduceOp.MAX), ("min", dist.ReduceOp.MIN), ("prod", dist.ReduceOp.PROD)):
        tensor = own("float64")
        dist.all_reduce(tensor, op=op)
        found[name] = tensor.tolist()
    parts: list[paddle.Tensor] = []
    dist.all_gather(parts, own())
    found["all_gather"] = [part.tolist() for part in parts]
    tensor = own()
    dist.broadcast(tensor, src=size - 1)
    found["broadcast"] = tensor.tolist()
    tensor = own()
    dist.reduce(tensor, dst=1)
    found["reduce"] = tensor.tolist()
    tensor = paddle.zeros([2])
    dist.reduce_scatter(tensor, list(own().split(size)))
    found["reduce_scatter"] = tensor.tolist()
    tensor = paddle.zeros([2])
    dist.stream.reduce_scatter(tensor, own())
    found["reduce_scatter whole"] = tensor.tolist()
    tensor = paddle.zeros([2])
    dist.scatter(tensor, list(own().split(size)) if rank == 1 else None, src=1)
    found["scatter"] = tensor.tolist()
    objects: list[Any] = []
    dist.all_gather_object(objects, {"rank": rank, "text": "x" * rank})
    found["objects"] = objects
    dist.barrier()
    return found


def _messages() -> dict[str, Any]:
    """A ring: all send first, all receive first, in a batch, and in shares of a tensor."""
    import paddle
    import paddle.distributed as dist

    rank, size = dist.get_rank(), dist.get_world_size()
    following, previous = (rank + 1) % size, (rank - 1) % size
    # Larger than what a socket holds, so a send that waited for its receiver would wait for ever.
    tensor = paddle.full([1 << 20], float(rank))
    found = {}
    received = paddle.zeros_like(tensor)
    dist.send(tensor, following)
    dist.recv(received, previous)
    found["send first"] = [float(received.min()), float(received.max())]
    received = paddle.zeros_like(tensor)
    task = dist.irecv(received, previous)
    dist.isend(tensor + 10, following).wait()
    task.wait()
    found["receive first"] = [float(received.min()), float(received.max())]
    received = paddle.zeros_like(tensor)
    operations = [dist.P2POp(dist.irecv, received, previous), dist.P2POp(dist.isend, tensor + 20, following)]
    for task in dist.batch_isend_irecv(operations):
        task.wait()
    found["batch"] = [float(received.min()), float(received.max())]
    group = dist.get_group().process_group
    received = paddle.full([4], -1.0)
    group.send_partial(paddle.arange(4.0) + rank, following, 2, 1)
    group.recv_partial(received, previous, 2, 1)
    found["share"] = received.tolist()
    return found


@pytest.mark.parametrize("size", [2, 4])
def test_exchanges_equal_numpy(launch: Callable[..., Any], size: int) -> None:
    results = launch(_exchanges, size).results
    _check_collectives([collectives for collectives, _ in results])
    _check_messages([messages for _, messages in results])


def _check_collectives(found: list[dict[str, Any]]) -> None:
    size = len(found)
    values = [np.arange(1.0, 2 * size + 1) + rank for rank in range(size)]
    total = sum(values)
    for rank, ours in enumerate(found):
        for dtype in ("float32", "float64", "float16", "bfloat16", "int64"):
            np.testing.assert_array_equal(ours[f"sum {dtype}"], total, dtype)
        np.testing.assert_array_equal(ours["max"], np.max(values, axis=0))
        np.testing.assert_array_equal(ours["min"], np.min(values, axis=0))
        np.testing.assert_array_equal(ours["prod"], np.prod(values, axis=0))
        np.testing.assert_array_equal(ours["all_gather"], values)
        np.testing.assert_array_equal(ours["broadcast"], values[-1])
        np.testing.assert_array_equal(ours["reduce"], total if rank == 1 else values[rank])
        np.testing.assert_array_equal(ours["reduce_scatter"], total[2 * rank : 2 * rank + 2])
        np.testing.assert_array_equal(ours["reduce_scatter whole"], total[2 * rank : 2 * rank + 2])
        np.testing.assert_array_equal(ours["scatter"], values[1][2 * rank : 2 * rank + 2])
        assert ours["objects"] == [{"rank": other, "text": "x" * other} for other in range(size)]


def _check_messages(found: list[dict[str, Any]]) -> None:
    for rank, ours in enumerate(found):
        previous = float((rank - 1) % len(found))
        assert ours["send first"] == [previous, previous]
        assert ours["receive first"] == [previous + 10, previous + 10]
        assert ours["batch"] == [previous + 20, previous + 20]
        assert ours["share"] == [-1, -1, 2 + previous, 3 + previous]


def _tensor_parallel() -> dict[str, float]:
    """Differences between fleet's layers, cut in two, and plain ones with the same weights."""
    topology = _started(mp=2).topology
    import paddle
    import paddle.nn.functional as F
    from paddle.distributed.fleet import meta_parallel as parallel

    paddle.seed(3)
    table, inner, outer, head = (paddle.randn(shape) * 0.3 for shape in ([12, 8], [8, 6], [6, 8], [8, 12]))
    bias = paddle.randn([6])
    ids = paddle.randint(0, 12, [3, 5])
    labels = paddle.randint(0, 12, [3, 5])
    labels[0, :2] = -100
    weights = paddle.rand([3, 5])

    def plain() -> list[paddle.Tensor]:
        for weight in (table, inner, bias, outer, head):
            weight.stop_gradient = False
        hidden = F.gelu(paddle.matmul(F.embedding(ids, table), inner) + bias)
        logits = paddle.matmul(paddle.matmul(hidden, outer), head)
        loss = F.cross_entropy(logits, labels, reduction="none", ignore_index=-100).reshape([3, 5])
        (loss * weights).sum().backward()
        return [loss, *(weight.grad for weight in (table, inner, bias, outer, head))]

    def share(tensor: paddle.Tensor, axis: int) -> paddle.Tensor:
        return tensor.detach().split(2, axis)[topology.mp_rank]

    embedding = parallel.VocabParallelEmbedding(12, 8)
    column = parallel.ColumnParallelLinear(8, 6, has_bias=True, gather_output=False)
    row = parallel.RowParallelLinear(6, 8, has_bias=False, input_is_parallel=True)
    scores = parallel.ColumnParallelLinear(8, 12, has_bias=False, gather_output=False)
    gathered = parallel.ColumnParallelLinear(8, 12, has_bias=False, gather_output=True)
    ours = [
        (embedding.weight, table, 0),
        (column.weight, inner, 1),
        (column.bias, bias, 0),
        (row.weight, outer, 0),
        (scores.weight, head, 1),
    ]
    for weight, whole, axis in ours:
        weight.set_value(share(whole, axis))
    gathered.weight.set_value(share(head, 1))
    output = row(F.gelu(column(embedding(ids))))
    loss = parallel.ParallelCrossEntropy(ignore_index=-100)(scores(output), labels.unsqueeze(-1)).squeeze(-1)
    (loss * weights).sum().backward()
    expected = plain()
    differences = {"loss": float((loss - expected[0]).abs().max())}
    for (weight, whole, axis), gradient in zip(ours, expected[1:], strict=True):
        differences[f"{whole.shape}"] = float((weight.grad - share(gradient, axis)).abs().max())
    everything = gathered(output.detach())
    differences["gathered"] = float((everything - paddle.matmul(output.detach(), head)).abs().max())
    (everything * everything.detach()).sum().backward()
    by_hand = paddle.matmul(output.detach().reshape([-1, 8]), everything.detach().reshape([-1, 12]), transpose_x=True)
    differences["gathered gradient"] = float((gathered.weight.grad - share(by_hand, 1)).abs().max())
    return differences


def test_tensor_parallel_layers_equal_plain_ones(launch: Callable[..., Any]) -> None:
    for differences in launch(_tensor_parallel, 2).results:
        assert len(differences) == 8
        assert max(differences.values()) < 1e-5, differences


def _data_parallel() -> Any:
    """The gradients that ``paddle.DataParallel`` leaves, twice accumulated, when each rank has a row of its own."""
    _started()
    import paddle
    from paddle.distributed import fleet

    network = paddle.nn.Linear(3, 2)
    network.weight.set_value(paddle.ones([3, 2]))
    wrapped = fleet.distributed_model(network)
    rows = paddle.to_tensor([[1.0, 2, 3], [4, 5, 6]])
    row = rows[paddle.distributed.get_rank()]
    with wrapped.no_sync():
        wrapped(row).sum().backward()
    before = network.weight.grad.tolist()
    wrapped(row).sum().backward()
    return before, network.weight.grad.tolist()


def test_data_parallel_averages_what_was_accumulated(launch: Callable[..., Any]) -> None:
    rows = np.array([[1.0, 2, 3], [4, 5, 6]])
    for rank, (before, after) in enumerate(launch(_data_parallel, 2).results):
        np.testing.assert_array_equal(before, np.stack([rows[rank]] * 2, axis=1))
        np.testing.assert_array_equal(after, np.stack([rows.mean(0) * 2] * 2, axis=1))


def test_a_second_installation_does_nothing() -> None:
    program = """
import logging
logging.basicConfig(level=logging.INFO, format="%(message)s")
from ppernie.parallel import gloo
gloo.install()
gloo.install()
from paddle.distributed.fleet.layers.mpu import mp_ops
import paddle
assert mp_ops._C_ops.c_identity(paddle.ones([2]), 0, True, True).tolist() == [1, 1]
"""
    output = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stderr
    assert output.count("for tests and small machines") == 1
