"""The losses of ERNIE-Gram's pretraining (arXiv:2010.12148, equations of section 3), each a sum over its units."""

from __future__ import annotations

from collections.abc import Mapping

import paddle
from paddle.nn import functional as F


def losses(
    outputs: Mapping[str, paddle.Tensor], batch: Mapping[str, paddle.Tensor], pad_id: int
) -> dict[str, paddle.Tensor]:
    """Sums of the objectives that the network has, by name.

    Args:
        outputs: of ``ErnieGramForPretraining``.
        batch: its inputs, with the labels ``tokens`` int64 [tokens] and ``identities`` int64 [units].
    """
    labels = {"tokens": "tokens", "identities": "identities", "generator": "identities"}
    sums = {
        name: F.cross_entropy(outputs[name], batch[label], reduction="sum")
        for name, label in labels.items()
        if name in outputs
    }
    if "original" in outputs:
        sums["original"] = _original(outputs, batch, pad_id)
    return sums


def is_original(
    text: paddle.Tensor, masked_positions: paddle.Tensor, sampled: paddle.Tensor, identities: paddle.Tensor
) -> paddle.Tensor:
    """1.0 where a symbol is the text's own, [batch, length]: everywhere but where a proposal missed its target."""
    labels = paddle.ones([text.shape[0] * text.shape[1]])
    hit = (sampled == identities).astype(labels.dtype)
    return paddle.scatter(labels, masked_positions, hit).reshape(text.shape)


def _original(outputs: Mapping[str, paddle.Tensor], batch: Mapping[str, paddle.Tensor], pad_id: int) -> paddle.Tensor:
    scores = outputs["original"]
    text = batch["input_ids"][:, : scores.shape[1]]
    labels = is_original(text, batch["masked_positions"], outputs["sampled"], batch["identities"])
    read = (text != pad_id).astype(scores.dtype)
    return F.binary_cross_entropy_with_logits(scores, labels.astype(scores.dtype), weight=read, reduction="sum")
