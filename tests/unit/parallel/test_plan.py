"""The families' plans against their networks, and what a plan refuses."""

from __future__ import annotations

from typing import Any

import paddle
import pytest

from ppernie import registry
from ppernie.errors import UserError
from ppernie.parallel.plan import Column, Plan, Row, Rule, Whole

FAMILIES = {"ernie3": {"task_type_vocab_size": 3}, "ernie_gram": {"rel_pos_size": 33, "task_type_vocab_size": 0}}


def network(family: str, name: str, arch: dict[str, Any]) -> tuple[paddle.nn.Layer, Any]:
    config_class = registry.family_config(family)
    assert config_class is not None
    config = config_class(**(arch | FAMILIES[family]))
    head = {"num_labels": 3} if name.endswith(("SequenceClassification", "TokenClassification")) else {}
    with paddle.LazyGuard():
        return registry.network_class(family, name)(config, **head), config


# Those beside a family's own have plans, and tests, of their own.
NETWORKS = [
    (family, name.partition("/")[2])
    for name in registry.arch_names()
    if (family := name.partition("/")[0]) in FAMILIES and registry.arch_plan(name) is registry.family_plan(family)
]


@pytest.mark.parametrize(("family", "name"), NETWORKS)
def test_every_weight_is_named(family: str, name: str, arch: dict[str, Any]) -> None:
    model, config = network(family, name, arch | {"vocab_size": 40})
    cuts = registry.family_plan(family).cuts(model, config, 2)
    assert {name: cut.shape for name, cut in cuts.items()} == {
        name: tuple(parameter.shape) for name, parameter in model.named_parameters()
    }
    share = sum(cut.axis is not None for cut in cuts.values())
    assert share >= 6 * config.num_hidden_layers + 1


@pytest.mark.parametrize("family", FAMILIES)
def test_every_optional_rule_serves_some_network(family: str, arch: dict[str, Any]) -> None:
    plan = registry.family_plan(family)
    layers = [
        name for own, head in NETWORKS if own == family for name, _ in network(family, head, arch)[0].named_sublayers()
    ]
    for rule in plan.optional:
        assert any(plan.rule(name, True) == rule for name in layers), rule


def test_what_a_plan_must_not_leave_open(arch: dict[str, Any]) -> None:
    model, config = network("ernie3", "ErnieModel", arch)
    plan = registry.family_plan("ernie3")
    with pytest.raises(UserError, match=r"no rule for pooler\.weight, pooler\.bias"):
        Plan(tuple(rule for rule in plan.rules if "pooler" not in rule.pattern)).cuts(model, config, 1)
    with pytest.raises(UserError, match=r"match nothing: \*\.gate"):
        Plan((*plan.rules, Rule("*.gate", Column()))).cuts(model, config, 1)
    with pytest.raises(UserError, match=r"word_embeddings.weight: .* do not divide by Distributed.mp = 2"):
        plan.cuts(network("ernie3", "ErnieModel", arch | {"vocab_size": 41})[0], config, 2)


def test_the_first_rule_that_matches_holds() -> None:
    plan = Plan((Rule("a.*", Row()), Rule("*", Whole())))
    assert plan.rule("a.b", True) == Rule("a.*", Row())
    assert plan.rule("b", True) == Rule("*", Whole())
    assert plan.rule("b", False) is None
