"""How ERNIE-Gram's weights are cut over ranks."""

from ppernie.parallel.encoder_plan import ATTENTION, BLOCKS, ENCODER, ENTRY, HEADS, SEQUENCE
from ppernie.parallel.plan import PerHead, Plan, Rule

POSITIONS = "*relative_positions"

PLAN = Plan(
    rules=ENCODER,
    optional=(Rule(POSITIONS, PerHead(axis=1)), *HEADS),
    sequence=SEQUENCE,
    entry=ENTRY,
    blocks=BLOCKS,
    everywhere=(POSITIONS,),
    attention=ATTENTION,
)
