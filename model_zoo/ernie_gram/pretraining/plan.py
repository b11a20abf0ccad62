"""How the weights of ERNIE-Gram's pretraining are cut over ranks.

The generator's layers are cut like the encoder's. What else pretraining adds is small, and whole on every rank.
"""

from ppernie.parallel.encoder_plan import ATTENTION, ENCODER
from ppernie.parallel.plan import PerHead, Plan, Rule, Whole

POSITIONS = "*relative_positions"

PLAN = Plan(
    rules=ENCODER,
    optional=(
        Rule(POSITIONS, PerHead(axis=1)),
        Rule("identities", Whole()),
        Rule("tokens", Whole()),
        Rule("queries", Whole()),
        Rule("detector", Whole()),
        Rule("ngram_projection", Whole()),
        Rule("*_head.*", Whole()),
        Rule("generator.*", Whole()),
    ),
    blocks=tuple(f"backbone.encoder.layers.{digits}" for digits in ("?", "??", "???")),
    attention=ATTENTION,
)
