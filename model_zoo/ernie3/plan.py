"""How ERNIE's weights are cut over ranks."""

from ppernie.parallel.encoder_plan import ATTENTION, BLOCKS, ENCODER, ENTRY, HEADS, SEQUENCE
from ppernie.parallel.plan import Plan

PLAN = Plan(rules=ENCODER, optional=HEADS, sequence=SEQUENCE, entry=ENTRY, blocks=BLOCKS, attention=ATTENTION)
