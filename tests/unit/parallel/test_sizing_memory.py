"""The estimates of memory beside what Paddle's allocator counts on small encoders."""

from __future__ import annotations

import functools
import gc
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import paddle
import pytest
from paddle.base import core
from paddle.distributed.fleet.utils import recompute

from ppernie import registry
from ppernie.config.sections import OptimizerSection
from ppernie.nn import kernels
from ppernie.optim.adamw import AdamW
from ppernie.parallel.sizing import Degrees, describe
from ppernie.parallel.sizing.memory import Memory, Widths, memory
from ppernie.parallel.sizing.stages import stages

BATCH, LENGTH, PREDICTED = 4, 64, 0.25
ERNIE = "ernie3/ErnieForMaskedLM"
ONE = Degrees(1, 1, 1, 1, 1, 1, False, "none", BATCH, 1)


@pytest.fixture(autouse=True)
def plain_operations(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Without the C kernels, which keep less than Paddle's own operations do."""
    monkeypatch.setattr(kernels, "usable", lambda *tensors: False)
    paddle.set_device("cpu")
    yield


@dataclass
class Measured:
    parameters: int
    activations: int
    gradients: int
    moments: int
    peak: int


def architecture(**changes: Any) -> Any:
    fields = {
        "vocab_size": 1000,
        "hidden_size": 128,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "intermediate_size": 512,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "attention_probs_dropout_prob": 0.1,
        "max_position_embeddings": LENGTH,
        "type_vocab_size": 2,
        "task_type_vocab_size": 3,
        "initializer_range": 0.02,
        "layer_norm_eps": 1e-12,
        "pad_token_id": 0,
    }
    return registry.arch_config(ERNIE)(**(fields | changes))


def allocated() -> int:
    gc.collect()
    return core.host_memory_stat_current_value("Allocated", 0)


def measured(arch: Any, kind: str) -> Measured:
    """Bytes of the second step, in which everything has its place."""
    gc.collect()
    model = registry.arch_class(ERNIE)(arch)
    parameters = sum(4 * p.size for p in model.parameters())
    if kind == "full":
        for layer in model.backbone.encoder.layers:
            layer.forward = functools.partial(recompute, layer.forward)
    ids = paddle.randint(1, arch.vocab_size, [BATCH, LENGTH])
    positions = paddle.arange(int(BATCH * LENGTH * PREDICTED))
    labels = paddle.zeros_like(positions)
    optimizer = AdamW(model, OptimizerSection(learning_rate=1e-3))
    for _ in range(2):
        start = allocated()
        core.host_memory_stat_reset_peak_value("Allocated", 0)
        logits = model(ids, masked_positions=positions)
        loss = paddle.nn.functional.cross_entropy(logits, labels, reduction="sum")
        del logits
        activations = allocated() - start
        loss.backward()
        peak = core.host_memory_stat_peak_value("Allocated", 0) - start
        del loss
        gradients = sum(4 * p.grad.size for p in model.parameters() if p.grad is not None)
        optimizer.step(1e-3)
        optimizer.clear_grad()
    moments = sum(value.nbytes for name, value in optimizer.state_dict().items() if "moment" in name)
    return Measured(parameters, activations, gradients, moments, parameters + moments + peak)


def estimated(arch: Any, kind: Any) -> Memory:
    network = describe(arch, LENGTH, fused_attention=False, predicted=PREDICTED)
    degrees = replace(ONE, recompute=kind)
    (stage,) = stages(network, degrees)
    return memory(network, degrees, stage, Widths.of("float32"))


@pytest.mark.parametrize("kind", ["none", "full"])
@pytest.mark.parametrize(
    "changes",
    [{}, {"num_hidden_layers": 2, "hidden_size": 64, "intermediate_size": 96}, {"vocab_size": 5000}],
    ids=["square", "narrow", "many words"],
)
def test_memory_is_as_measured(changes: dict[str, Any], kind: str) -> None:
    arch = architecture(**changes)
    found, expected = measured(arch, kind), estimated(arch, kind)
    assert expected.parameters == found.parameters
    assert expected.gradients == found.gradients
    assert expected.optimizer == found.moments
    assert expected.activations == pytest.approx(found.activations, rel=0.01)
    assert found.peak <= expected.total <= 1.3 * found.peak


def test_a_model_without_task_types_has_no_table_of_them() -> None:
    arch = architecture(task_type_vocab_size=0)
    assert estimated(arch, "none").parameters == sum(4 * p.size for p in registry.arch_class(ERNIE)(arch).parameters())


@pytest.mark.parametrize(
    ("name", "changes"),
    [(ERNIE, {}), ("ernie_gram/ErnieGramForMaskedLM", {"rel_pos_size": 33, "task_type_vocab_size": 0})],
)
def test_a_rank_holds_what_the_plan_gives_it(name: str, changes: dict[str, Any]) -> None:
    arch = registry.arch_config(name)(**(architecture().model_dump() | changes))
    with paddle.LazyGuard():
        model = registry.arch_class(name)(arch)
    cuts = registry.family_plan(name.partition("/")[0]).cuts(model, arch, 4)
    (stage,) = stages(describe(arch, LENGTH, fused_attention=True, predicted=PREDICTED), ONE)
    for mp in (1, 4):
        shares = (math.prod(cut.shape) // (1 if cut.axis is None else mp) for cut in cuts.values())
        assert stage.parameters(mp) == sum(shares)
