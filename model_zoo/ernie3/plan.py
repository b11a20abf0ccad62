"""How ERNIE's weights are cut over tensor-parallel ranks."""

from ppernie.parallel.encoder_plan import ATTENTION, BLOCKS, ENCODER, HEADS, SEQUENCE
from ppernie.parallel.plan import Plan

PLAN = Plan(ENCODER, HEADS, SEQUENCE, BLOCKS, ATTENTION)
