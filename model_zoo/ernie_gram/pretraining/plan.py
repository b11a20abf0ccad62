"""How the weights of ERNIE-Gram's pretraining are cut over ranks.

The generator's layers are cut like the encoder's. What else pretraining adds is small, and whole on every rank. Every
stage of a pipeline has the generator, whose samples it must know, and makes the same ones.
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
    entry="backbone.embeddings",
    everywhere=(POSITIONS, "identities", "queries", "ngram_projection", "generator", "generator.*"),
    blocks=tuple(f"backbone.encoder.layers.{digits}" for digits in ("?", "??", "???")),
    attention=ATTENTION,
)
