from __future__ import annotations

import pytest

from ppernie.errors import UserError
from ppernie.optim.groups import decays, layer_scales

NAMES = [
    "backbone.embeddings.word_embeddings.weight",
    "backbone.embeddings.layer_norm.bias",
    "backbone.relative_positions.weight",
    "backbone.encoder.layers.0.norm1.weight",
    "backbone.encoder.layers.1.self_attn.qkv_proj.weight",
    "backbone.encoder.layers.10.feed_forward.linear1.bias",
    "backbone.encoder.layers.11.feed_forward.linear1.weight",
    "backbone.pooler.weight",
    "classifier.bias",
]


def test_biases_and_norms_do_not_decay() -> None:
    assert [decays(name, ["bias", "norm"]) for name in NAMES] == [1, 0, 1, 0, 1, 0, 1, 1, 0]
    assert all(decays(name, []) for name in NAMES)


def test_each_layer_down_learns_slower() -> None:
    scales = layer_scales(NAMES, 0.5)
    powers = [13, 13, 13, 12, 11, 2, 1, 0, 0]
    assert [scales[name] for name in NAMES] == [0.5**power for power in powers]


BRANCHED = {
    "embeddings.word_embeddings.weight": 5,
    "trunk.layers.0.norm1.weight": 4,
    "trunk.layers.1.norm1.weight": 3,
    "one.bridge.weight": 2,
    "one.layers.0.norm1.weight": 2,
    "one.layers.1.norm1.weight": 1,
    "other.bridge.weight": 2,
    "other.layers.0.norm1.weight": 2,
    "one_head.bias": 0,
}


@pytest.mark.parametrize("reverse", [False, True])
def test_branches_stand_on_the_trunk(reverse: bool) -> None:
    names = sorted(BRANCHED, reverse=reverse)
    scales = layer_scales(names, 0.5, [["trunk"], ["one", "other"]])
    assert scales == {name: 0.5**power for name, power in BRANCHED.items()}
    # With one branch alone, too, and where the trunk does not learn and is not there.
    alone = [name for name in names if not name.startswith("one")]
    assert layer_scales(alone, 0.5, [["trunk"], ["one", "other"]])["trunk.layers.0.norm1.weight"] == 0.5**3
    above = [name for name in names if name.startswith("one")]
    assert layer_scales(above, 0.5, [["trunk"], ["one", "other"]]) == {name: scales[name] for name in above}


def test_without_layer_decay_all_learn_alike() -> None:
    assert set(layer_scales(NAMES, 1.0).values()) == {1.0}
    assert layer_scales(["classifier.weight"], 1.0) == {"classifier.weight": 1.0}


def test_layer_decay_needs_layers() -> None:
    with pytest.raises(UserError, match=r"Optimizer\.layer_decay"):
        layer_scales(["classifier.weight"], 0.9)
