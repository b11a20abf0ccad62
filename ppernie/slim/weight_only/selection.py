"""Which weights are quantised, told by the family's plan: the matrices of its blocks that ranks would cut.

Embeddings, the head, norms and biases stay as they are (arXiv:2210.02414, appendix B.7).
"""

from __future__ import annotations

from collections.abc import Iterable

from ppernie.parallel.plan import Column, Plan, Row, matches


def block_of(name: str, plan: Plan) -> str | None:
    """The dotted name of the block that a parameter lies in, such as ``layers.3``; None outside of all blocks."""
    parts = name.split(".")
    prefixes = (".".join(parts[:count]) for count in range(1, len(parts)))
    return next((prefix for prefix in prefixes if matches(prefix, plan.blocks)), None)


def quantized_weights(names: Iterable[str], plan: Plan) -> list[str]:
    """Those of the parameters that are quantised, in their order."""
    return [name for name in names if block_of(name, plan) is not None and _is_cut_matrix(name, plan)]


def _is_cut_matrix(name: str, plan: Plan) -> bool:
    layer, _, parameter = name.rpartition(".")
    rule = plan.rule(layer, has_parameters=True)
    return parameter == "weight" and rule is not None and isinstance(rule.kind, (Column, Row))
