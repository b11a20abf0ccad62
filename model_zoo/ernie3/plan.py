"""How ERNIE's weights are cut over tensor-parallel ranks."""

from ppernie.parallel.encoder_plan import ENCODER, HEADS, RECOMPUTE
from ppernie.parallel.plan import Plan

PLAN = Plan(ENCODER, HEADS, "*encoder", RECOMPUTE)
