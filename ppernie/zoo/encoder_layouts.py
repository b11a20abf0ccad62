"""How each library names a text encoder of ours (``ppernie.nn.TextEncoder``) and its heads (``ppernie.nn.heads``).

A state of ours keeps its query, key and value projections in one matrix, [hidden, heads, 3, head size], its last
three dimensions flattened; the others keep three. PaddleNLP and the ERNIE repository store matrices [in, out] as we do,
Hugging Face [out, in].
"""

from __future__ import annotations

from ppernie.zoo.layout import Head, Kind, Layout, Row

_SQUARE = ("hidden_size", "hidden_size")
_TO_HEADS = ("hidden_size", "attention_size")
_FROM_HEADS = ("attention_size", "hidden_size")
_WIDE = ("hidden_size", "intermediate_size")
_NARROW = ("intermediate_size", "hidden_size")

# fmt: off
_POOLER = Row("pooler", "pooler.dense", "pooler.dense", "pooler", "pooled_fc", "matrix", _SQUARE)
_ENCODER = (
    Row("embeddings.word_embeddings", "embeddings.word_embeddings", "embeddings.word_embeddings",
        "word_emb", "word_embedding", "table", ("vocab_size", "hidden_size")),
    Row("embeddings.position_embeddings", "embeddings.position_embeddings", "embeddings.position_embeddings",
        "pos_emb", "pos_embedding", "table", ("max_position_embeddings", "hidden_size")),
    Row("embeddings.token_type_embeddings", "embeddings.token_type_embeddings", "embeddings.token_type_embeddings",
        "sent_emb", "sent_embedding", "table", ("type_vocab_size", "hidden_size")),
    Row("embeddings.task_type_embeddings", "embeddings.task_type_embeddings", "embeddings.task_type_embeddings",
        "task_emb", "task_embedding", "table", ("task_type_vocab_size", "hidden_size")),
    Row("embeddings.layer_norm", "embeddings.layer_norm", "embeddings.LayerNorm",
        "ln", "pre_encoder_layer_norm", "norm", ("hidden_size",)),
    Row("encoder.layers.{layer}.self_attn.qkv_proj", "encoder.layers.{layer}.self_attn.{part}_proj",
        "encoder.layer.{layer}.attention.self.{part}", "encoder_stack.block.{layer}.attn.{part}",
        "encoder_layer_{layer}_multi_head_att_{part}_fc", "fused", _TO_HEADS),
    Row("encoder.layers.{layer}.self_attn.out_proj", "encoder.layers.{layer}.self_attn.out_proj",
        "encoder.layer.{layer}.attention.output.dense", "encoder_stack.block.{layer}.attn.o",
        "encoder_layer_{layer}_multi_head_att_output_fc", "matrix", _FROM_HEADS),
    Row("encoder.layers.{layer}.norm1", "encoder.layers.{layer}.norm1",
        "encoder.layer.{layer}.attention.output.LayerNorm", "encoder_stack.block.{layer}.ln1",
        "encoder_layer_{layer}_post_att_layer_norm", "norm", ("hidden_size",)),
    Row("encoder.layers.{layer}.feed_forward.linear1", "encoder.layers.{layer}.linear1",
        "encoder.layer.{layer}.intermediate.dense", "encoder_stack.block.{layer}.ffn.i",
        "encoder_layer_{layer}_ffn_fc_0", "matrix", _WIDE),
    Row("encoder.layers.{layer}.feed_forward.linear2", "encoder.layers.{layer}.linear2",
        "encoder.layer.{layer}.output.dense", "encoder_stack.block.{layer}.ffn.o",
        "encoder_layer_{layer}_ffn_fc_1", "matrix", _NARROW),
    Row("encoder.layers.{layer}.norm2", "encoder.layers.{layer}.norm2",
        "encoder.layer.{layer}.output.LayerNorm", "encoder_stack.block.{layer}.ln2",
        "encoder_layer_{layer}_post_ffn_layer_norm", "norm", ("hidden_size",)),
)
_LABELS = Row("classifier", "classifier", "classifier", "classifier", "cls_out", "matrix", ("hidden_size", "labels"))
_SPAN = Row("classifier", "classifier", "qa_outputs", "classifier", "cls_mrc_out", "matrix", ("hidden_size", 2))
_CHOICE = Row("classifier", "classifier", "classifier", "classifier", "cls_out", "matrix", ("hidden_size", 1))
_MASKED_LM = (
    Row("transform", "cls.predictions.transform", "cls.predictions.transform.dense",
        "mlm", "mask_lm_trans_fc", "matrix", _SQUARE),
    Row("layer_norm", "cls.predictions.layer_norm", "cls.predictions.transform.LayerNorm",
        "mlm_ln", "mask_lm_trans_layer_norm", "norm", ("hidden_size",)),
    Row("decoder.bias", "cls.predictions.decoder_bias", "cls.predictions.bias",
        "mlm_bias", "mask_lm_out_fc.b_0", "vector", ("vocab_size",)),
)
# fmt: on
_TIED = {
    "paddlenlp": {
        "cls.predictions.decoder.weight": "{prefix}embeddings.word_embeddings.weight",
        "cls.predictions.decoder.bias": "cls.predictions.decoder_bias",
    },
    "huggingface": {
        "cls.predictions.decoder.weight": "{prefix}embeddings.word_embeddings.weight",
        "cls.predictions.decoder.bias": "cls.predictions.bias",
    },
}
# Classes of the libraries that hold more than the network of ours that their weights fit.
_KINDS = {"ForPretraining": "ForMaskedLM", "ForPreTraining": "ForMaskedLM"}
# Encoders with more positions were trained on this many.
_LENGTH = 512


def _heads(column: str) -> dict[Kind, Head]:
    return {
        "Model": Head(our_prefix="", prefixed=False),
        "DualEncoder": Head(prefixed=False),
        "ForSequenceClassification": Head((_LABELS,)),
        "ForTokenClassification": Head((_LABELS,), reads_pooler=False),
        "ForQuestionAnswering": Head((_SPAN,), reads_pooler=False),
        "ForMultipleChoice": Head((_CHOICE,)),
        "ForMaskedLM": Head(_MASKED_LM, reads_pooler=False, tied=_TIED.get(column, {})),
    }


def ours(brand: str, extra: tuple[Row, ...] = ()) -> Layout:
    """Our own layout; ``extra`` are the family's own rows of the encoder."""
    return Layout(
        title="ppernie",
        column="ours",
        brand=brand,
        prefix="backbone.",
        backbone=_ENCODER + extra,
        pooler=_POOLER,
        heads=_heads("ours"),
        head_names=("classifier.", "transform.", "layer_norm.", "decoder."),
    )


def paddlenlp(brand: str, prefix: str, extra: tuple[Row, ...] = ()) -> Layout:
    """PaddleNLP's layout: ``prefix`` names the encoder in its classes with a head."""
    return Layout(
        title="PaddleNLP",
        column="paddlenlp",
        brand=brand,
        prefix=prefix,
        backbone=_ENCODER + extra,
        pooler=_POOLER,
        heads=_heads("paddlenlp"),
        head_names=("classifier.", "cls.", "linear_start.", "linear_end.", "linear_q.", "linear_k."),
        kinds=_KINDS,
        trained_length=_LENGTH,
        parts=("q", "k", "v"),
    )


def huggingface(brand: str) -> Layout:
    """Hugging Face's layout of its ERNIE classes, which are BERT's."""
    return Layout(
        title="Hugging Face",
        column="huggingface",
        brand=brand,
        prefix="ernie.",
        backbone=_ENCODER,
        pooler=_POOLER,
        heads=_heads("huggingface"),
        head_names=("classifier.", "qa_outputs.", "cls."),
        kinds=_KINDS,
        trained_length=_LENGTH,
        parts=("query", "key", "value"),
        transposed=True,
        buffers=("embeddings.position_ids", "embeddings.token_type_ids"),
    )


def repository(brand: str, extra: tuple[Row, ...] = ()) -> Layout:
    """The layout of PaddlePaddle/ERNIE's dynamic-graph archives."""
    return Layout(
        title="ERNIE repository",
        column="repository",
        brand=brand,
        prefix="",
        backbone=_ENCODER + extra,
        pooler=_POOLER,
        heads=_heads("repository"),
        head_names=("classifier.", "mlm", "nsp"),
        trained_length=_LENGTH,
        parts=("q", "k", "v"),
    )


def static(brand: str, extra: tuple[Row, ...] = ()) -> Layout:
    """The layout of PaddlePaddle/ERNIE's static-graph archives; their task heads have no fixed names."""
    return Layout(
        title="ERNIE repository (static graph)",
        column="static",
        brand=brand,
        prefix="",
        backbone=_ENCODER + extra,
        pooler=_POOLER,
        heads=_heads("static"),
        head_names=("mask_lm_", "next_sent_", "cls_"),
        trained_length=_LENGTH,
        parts=("query", "key", "value"),
        suffixes={"table": ("", ""), "matrix": (".w_0", ".b_0"), "norm": ("_scale", "_bias")},
    )
