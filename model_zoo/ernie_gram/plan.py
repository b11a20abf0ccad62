"""How ERNIE-Gram's weights are cut over tensor-parallel ranks."""

from ppernie.parallel.encoder_plan import ENCODER, HEADS, RECOMPUTE
from ppernie.parallel.plan import PerHead, Plan, Rule

PLAN = Plan(ENCODER, (Rule("*relative_positions", PerHead(axis=1)), *HEADS), "*encoder", RECOMPUTE)
