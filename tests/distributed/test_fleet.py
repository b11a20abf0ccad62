"""Fleet's schedules and optimizers over the stand-ins: a toy network learns as it does on one rank."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

CONFIG = str(Path(__file__).parents[2] / "configs/ernie3/pretrain/masked_lm.yaml")
BLOCKS, WIDTH, EXAMPLES, STEPS = 8, 8, 16, 4


def _numbers(*shape: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype("float32") * 0.5


def _learn(overrides: list[str]) -> list[float]:
    """Losses of each step, over all data ranks."""
    import paddle
    from paddle import nn
    from paddle.distributed import fleet
    from paddle.distributed.fleet import meta_parallel as parallel

    from ppernie.config import load_config
    from ppernie.parallel.start import start
    from ppernie.parallel.topology import resolve, world

    paddle.set_device("cpu")
    config = load_config(CONFIG, [f"Arch.num_hidden_layers={BLOCKS}", *overrides])
    ranks = start(resolve(config.Distributed, world()), config)
    topology = ranks.topology

    class Block(nn.Layer):
        def __init__(self, number: int) -> None:
            super().__init__()
            inner, outer = (_numbers(WIDTH, WIDTH, seed=2 * number + part) for part in (0, 1))
            if topology.mp > 1:
                self.up = parallel.ColumnParallelLinear(WIDTH, WIDTH, has_bias=False, gather_output=False)
                self.down = parallel.RowParallelLinear(WIDTH, WIDTH, has_bias=False, input_is_parallel=True)
                inner = np.split(inner, topology.mp, 1)[topology.mp_rank]
                outer = np.split(outer, topology.mp, 0)[topology.mp_rank]
            else:
                self.up, self.down = (nn.Linear(WIDTH, WIDTH, bias_attr=False) for _ in range(2))
            self.up.weight.set_value(inner)
            self.down.weight.set_value(outer)

        def forward(self, x: paddle.Tensor) -> paddle.Tensor:
            return x + self.down(paddle.tanh(self.up(x)))

    def loss_of(output: paddle.Tensor, target: paddle.Tensor) -> paddle.Tensor:
        return ((output - target) ** 2).mean()

    if topology.pp > 1:
        network: nn.Layer = parallel.PipelineLayer(
            [parallel.LayerDesc(Block, number) for number in range(BLOCKS)],
            topology=ranks.hcg.topology(),
            loss_fn=loss_of,
            seg_method="layer:Block",
            num_virtual_pipeline_stages=config.Distributed.virtual_stages,
        )
    else:
        network = nn.Sequential(*(Block(number) for number in range(BLOCKS)))
    clip = nn.ClipGradByGlobalNorm(0.1)
    optimizer = paddle.optimizer.AdamW(0.01, parameters=network.parameters(), epsilon=1e-6, grad_clip=clip)
    if topology.world > 1:
        network, optimizer = fleet.distributed_model(network), fleet.distributed_optimizer(optimizer)
    losses = []
    for examples in _numbers(STEPS, EXAMPLES, WIDTH, seed=99):
        inputs = paddle.to_tensor(np.split(examples, topology.data_world)[topology.data_rank])
        target = inputs.flip(-1)
        if topology.pp > 1:
            loss = network.train_batch((inputs, target), optimizer)
        else:
            loss = loss_of(network(inputs), target)
            loss.backward()
            optimizer.step()
            optimizer.clear_grad()
        losses.append(ranks.all_sum([float(loss)])[0] / topology.data_world)
    return losses


@pytest.fixture(scope="module")
def alone() -> list[float]:
    return _learn([])


@pytest.mark.slow
@pytest.mark.parametrize(
    "degrees",
    [
        {"dp": 2},
        {"sharding": 2},
        {"mp": 2},
        {"pp": 2, "dp": 2},
        {"pp": 2, "mp": 2},
        {"pp": 2, "sharding": 2},
        {"pp": 4},
        {"pp": 4, "virtual_stages": 2, "schedule": "interleaved"},
        {"pp": 4, "virtual_stages": 2, "schedule": "interleaved", "batches": 8},
    ],
    ids=str,
)
def test_losses_equal_those_of_one_rank(
    launch: Callable[..., Any], alone: list[float], degrees: dict[str, Any]
) -> None:
    data_world = degrees.get("dp", 1) * degrees.get("sharding", 1)
    processes = data_world * degrees.get("mp", 1) * degrees.get("pp", 1)
    batches = degrees.get("batches", 4)
    overrides = [f"Distributed.{name}={degree}" for name, degree in degrees.items() if name != "batches"]
    # A pipeline cuts the examples of each rank into batches of this size.
    overrides += [f"Train.accumulate_steps={batches}", f"Train.batch_size={EXAMPLES // batches // data_world}"]
    for losses in launch(_learn, processes, overrides).results:
        np.testing.assert_allclose(losses, alone, rtol=1e-5)
    assert alone[-1] < alone[0]
