"""A network cut into the stages of a pipeline, all of them in one process."""

from __future__ import annotations

from typing import Any

import numpy as np
import paddle
import pytest

from model_zoo.ernie3.modeling import ErnieForMaskedLM, ErnieForSequenceClassification
from model_zoo.ernie_gram.modeling import ErnieGramForMaskedLM
from ppernie import registry
from ppernie.errors import UserError
from ppernie.parallel.plan import Plan
from ppernie.parallel.stages import Stages
from ppernie.parallel.topology import Topology, runs_of

WIDTH = 8


@pytest.mark.parametrize(
    ("blocks", "count", "sizes"),
    [
        (70, 8, [8, 9, 9, 9, 9, 9, 9, 8]),
        (4, 2, [2, 2]),
        (4, 4, [1, 1, 1, 1]),
        (5, 4, [1, 2, 1, 1]),
        (24, 4, [6, 6, 6, 6]),
        (3, 1, [3]),
    ],
)
def test_runs(blocks: int, count: int, sizes: list[int]) -> None:
    runs = runs_of(blocks, count)
    assert [len(run) for run in runs] == sizes
    assert [block for run in runs for block in run] == list(range(blocks))


@pytest.mark.parametrize("count", range(1, 9))
def test_no_run_is_empty_and_none_is_two_longer_than_another(count: int) -> None:
    for blocks in range(count, 40):
        sizes = [len(run) for run in runs_of(blocks, count)]
        assert min(sizes) >= 1
        inner = sizes[1:-1] or sizes
        assert max(inner) - min(inner) <= 1


def _network(kind: Any, layers: int, **fields: Any) -> paddle.nn.Layer:
    family = kind.__module__.split(".")[1]
    config = registry.arch_config(f"{family}/{kind.__name__}")(
        vocab_size=30,
        hidden_size=WIDTH,
        num_hidden_layers=layers,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=16,
        type_vocab_size=2,
        task_type_vocab_size=0,
        hidden_act="gelu",
        hidden_dropout_prob=0.1,
        attention_probs_dropout_prob=0.1,
        initializer_range=0.5,
        layer_norm_eps=1e-5,
        pad_token_id=0,
        **fields,
    )
    return kind(config, num_labels=3) if kind is ErnieForSequenceClassification else kind(config)


def _plan(network: paddle.nn.Layer) -> Plan:
    return registry.family_plan(type(network).__module__.split(".")[1])


@pytest.mark.parametrize(("stages", "virtual", "layers"), [(2, 1, 3), (3, 1, 3), (2, 2, 5)])
@pytest.mark.parametrize("kind", [ErnieForMaskedLM, ErnieForSequenceClassification, ErnieGramForMaskedLM])
def test_the_runs_one_after_the_other_compute_what_the_whole_does(
    kind: Any, stages: int, virtual: int, layers: int
) -> None:
    whole = _network(kind, layers, **({"rel_pos_size": 33} if kind is ErnieGramForMaskedLM else {}))
    whole.eval()
    whole.reset_parameters()
    inputs = {"input_ids": paddle.to_tensor([[1, 5, 7, 2, 0], [1, 9, 8, 6, 2]])}
    if kind is not ErnieForSequenceClassification:
        inputs["masked_positions"] = paddle.to_tensor([1, 2, 7])
    expected = whole(**inputs).numpy()

    parts, held = [], set()
    for rank in range(stages):
        part = _network(kind, layers, **({"rel_pos_size": 33} if kind is ErnieGramForMaskedLM else {}))
        part.set_state_dict(whole.state_dict())
        part.eval()
        parts.append(Stages(part, _plan(part), WIDTH, Topology(pp=stages, rank=rank), virtual))
        own = {name for name, _ in part.named_parameters()}
        assert own == {name for name, holders in parts[-1].holders.items() if rank in holders}
        held |= own
    assert held == {name for name, _ in whole.named_parameters()}

    x = None
    for run in range(stages * virtual):
        x = parts[run % stages].forward(run, x, inputs)
        if run < stages * virtual - 1:
            # As a message arrives: flat, and longer than it need be.
            x = paddle.concat([x.reshape([-1]), paddle.zeros([3])])
    np.testing.assert_array_equal(x.numpy(), expected)


def test_a_tied_table_is_on_both_ends_and_a_shared_bias_on_all() -> None:
    network = _network(ErnieGramForMaskedLM, 3, rel_pos_size=33)
    holders = Stages(network, _plan(network), WIDTH, Topology(pp=3), 1).holders
    several = {name: stages for name, stages in holders.items() if len(stages) > 1}
    assert several == {
        "backbone.embeddings.word_embeddings.weight": (0, 2),
        "backbone.relative_positions.weight": (0, 1, 2),
    }
    classifier = _network(ErnieForSequenceClassification, 3)
    holders = Stages(classifier, _plan(classifier), WIDTH, Topology(pp=3), 1).holders
    assert all(len(stages) == 1 for stages in holders.values())


def test_more_stages_than_blocks_are_refused() -> None:
    network = _network(ErnieForMaskedLM, 2)
    with pytest.raises(UserError, match="2 blocks are fewer than 3 stages"):
        Stages(network, _plan(network), WIDTH, Topology(pp=3), 1)


def test_a_plan_without_blocks_is_refused() -> None:
    network = _network(ErnieForMaskedLM, 2)
    with pytest.raises(UserError, match="names no blocks"):
        Stages(network, Plan(()), WIDTH, Topology(pp=2), 1)
