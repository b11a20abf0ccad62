"""How the weights of a GLM are cut over ranks (arXiv:2210.02414, section 2.3: tensor parallelism 4, pipeline 8)."""

from ppernie.parallel.plan import Column, Heads, Plan, Row, Rule, Vocab, VocabHead, Whole

PLAN = Plan(
    rules=(
        Rule("embeddings.word_embeddings", Vocab()),
        Rule("*.attention", Heads()),
        Rule("*.attention.qkv_proj", Column(heads=3)),
        Rule("*.attention.out_proj", Row()),
        Rule("*.feed_forward.linear1", Column(gated=True)),
        Rule("*.feed_forward.linear2", Row()),
        Rule("*.norm?", Whole()),
        Rule("final_norm", Whole()),
        Rule("decoder", VocabHead()),
    ),
    optional=(Rule("embeddings.*", Whole()),),
    entry="embeddings",
    blocks=("layers.?", "layers.??", "layers.???"),
    attention=("*.attention",),
)
