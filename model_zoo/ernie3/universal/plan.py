"""How the weights of ERNIE 3.0's network are cut over ranks.

The task modules are of base size whatever the trunk is, and their heads seldom divide by its ranks: of these modules
the feed-forward networks alone are cut.
"""

from ppernie.parallel.plan import Column, Heads, PerHead, Plan, Row, Rule, Vocab, VocabHead, Whole

PLAN = Plan(
    rules=(
        Rule("embeddings.word_embeddings", Vocab()),
        Rule("embeddings.*", Whole()),
        Rule("trunk.*.self_attn", Heads()),
        Rule("trunk.*.q_proj", Column(heads=1)),
        Rule("trunk.*.kv_proj", Column(heads=2)),
        Rule("trunk.*.r_proj", Column(heads=1)),
        Rule("trunk.*_bias", PerHead(axis=0)),
        Rule("trunk.*.out_proj", Row()),
        Rule("*.feed_forward.linear1", Column()),
        Rule("*.feed_forward.linear2", Row()),
        Rule("trunk.*.norm?", Whole()),
        Rule("nl?.*", Whole()),
    ),
    optional=(
        Rule("nl?_head.decoder", VocabHead()),
        Rule("nl?_head.*", Whole()),
        Rule("reordering", Whole()),
        Rule("distance", Whole()),
        Rule("classifier", Whole()),
    ),
    entry="embeddings",
    blocks=("trunk.layers.?", "trunk.layers.??", "trunk.layers.???"),
    attention=("*.self_attn",),
)
