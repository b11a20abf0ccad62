"""How ERNIE-Gram's weights are cut over tensor-parallel ranks."""

from ppernie.parallel.encoder_plan import ATTENTION, BLOCKS, ENCODER, HEADS, SEQUENCE
from ppernie.parallel.plan import PerHead, Plan, Rule

PLAN = Plan(ENCODER, (Rule("*relative_positions", PerHead(axis=1)), *HEADS), SEQUENCE, BLOCKS, ATTENTION)
