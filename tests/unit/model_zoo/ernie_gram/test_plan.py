"""The plan names every weight of the network for pretraining, whichever parts it has."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from ppernie import registry

PLAN = registry.arch_plan("ernie_gram/ErnieGramForPretraining")


@pytest.mark.parametrize(
    ("prediction", "generator"),
    [("contiguous", False), ("explicit", False), ("explicit", True), ("comprehensive", False), ("comprehensive", True)],
)
@pytest.mark.parametrize("rel_pos_size", [0, 33])
def test_every_weight_is_named(prediction: str, generator: bool, rel_pos_size: int, gram: SimpleNamespace) -> None:
    model = gram.build(prediction, generator, rel_pos_size)
    cuts = PLAN.cuts(model, gram.config(rel_pos_size), 1)
    assert {name: cut.shape for name, cut in cuts.items()} == {
        name: tuple(parameter.shape) for name, parameter in model.named_parameters()
    }
    if generator:  # as many cut weights in a layer of the generator as in one of the encoder
        layers = ("generator.layers.0.", "backbone.encoder.layers.0.")
        cut = [{n.removeprefix(own): c.axis for n, c in cuts.items() if n.startswith(own)} for own in layers]
        assert cut[0] == cut[1]
        assert sum(axis is not None for axis in cut[0].values()) == 6


def test_every_optional_rule_serves_some_network(gram: SimpleNamespace) -> None:
    names = [name for name, _ in gram.build("comprehensive", True, 33).named_sublayers()]
    for rule in PLAN.optional:
        assert any(PLAN.rule(name, True) == rule for name in names), rule
