"""What a family's plan says of adapters: where they may be, and how they are cut over ranks. Without paddle."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from ppernie.errors import UserError
from ppernie.parallel.plan import Column, Heads, PerHead, Plan, Row, Rule, Whole, matches

DOWN, UP, PREFIX = "lora_a", "lora_b", "prefix"


def is_adapter(name: str) -> bool:
    """Whether a parameter of this dotted name is an adapter's."""
    return not {DOWN, UP, PREFIX}.isdisjoint(name.split("."))


def plan_with_adapters(plan: Plan) -> Plan:
    """The plan with rules for the adapters of its layers.

    Of ``x @ a @ b`` beside a layer cut by outputs, ``b`` is cut as the layer; beside one cut by inputs, ``a`` is.
    """
    return replace(plan, optional=(*plan.optional, *_adapter_rules(plan)))


def _adapter_rules(plan: Plan) -> Iterator[Rule]:
    for pattern, kind in (*plan.rules, *plan.optional):
        if isinstance(kind, Column):
            yield Rule(f"{pattern}.{DOWN}", Whole())
            yield Rule(f"{pattern}.{UP}", kind)
        elif isinstance(kind, Row):
            yield Rule(f"{pattern}.{DOWN}", kind)
            yield Rule(f"{pattern}.{UP}", Whole())
        elif isinstance(kind, Heads):
            yield Rule(f"{pattern}.{PREFIX}", PerHead(0))
            yield Rule(f"{pattern}.{PREFIX}.table", Whole())
            yield Rule(f"{pattern}.{PREFIX}.inner", Whole())
            yield Rule(f"{pattern}.{PREFIX}.outer", Column(heads=2))


def lora_targets(names: Sequence[str], plan: Plan, patterns: Sequence[str] | None) -> list[str]:
    """Those of the layers, by dotted name, whose weights get updates: by default the linear maps inside of attention.

    Raises:
        UserError: a pattern matches no layer that the plan would cut by its inputs or outputs.
    """
    linear = [name for name in names if _is_linear(name, plan)]
    if patterns is None:
        heads = [rule.pattern for rule in (*plan.rules, *plan.optional) if isinstance(rule.kind, Heads)]
        patterns = [f"{pattern}.*" for pattern in heads]
    for pattern in patterns:
        if not any(matches(name, [pattern]) for name in linear):
            near = sorted({name.rpartition(".")[2] for name in linear})
            raise UserError(
                f"Tuning.lora.targets: {pattern!r} names no linear layer of the family's plan; it has those that end "
                f"with {', '.join(near)}"
            )
    return [name for name in linear if matches(name, patterns)]


def _is_linear(name: str, plan: Plan) -> bool:
    rule = plan.rule(name, has_parameters=True)
    return rule is not None and isinstance(rule.kind, (Column, Row))
