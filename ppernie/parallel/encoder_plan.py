"""Rules for text encoders (``ppernie.nn.TextEncoder``) and their heads: Shoeybi et al. 2019, section 3."""

from __future__ import annotations

from ppernie.parallel.plan import Column, Heads, Row, Rule, Vocab, VocabHead, Whole

ENCODER = (
    Rule("*embeddings.word_embeddings", Vocab()),
    Rule("*embeddings.*", Whole()),
    Rule("*.self_attn", Heads()),
    Rule("*.self_attn.qkv_proj", Column(heads=3)),
    Rule("*.self_attn.out_proj", Row()),
    Rule("*.feed_forward.linear1", Column()),
    Rule("*.feed_forward.linear2", Row()),
    Rule("*.norm?", Whole()),
    Rule("*pooler", Whole()),
)
HEADS = (
    Rule("classifier", Whole()),
    Rule("transform", Whole()),
    Rule("layer_norm", Whole()),
    Rule("decoder", VocabHead()),
)
SEQUENCE = "*encoder"
ENTRY = "*embeddings"
BLOCKS = ("*encoder.layers.?", "*encoder.layers.??", "*encoder.layers.???")
# Whose memory grows with the square of the length (Korthikanti et al. 2022, section 5).
ATTENTION = ("*.self_attn",)
