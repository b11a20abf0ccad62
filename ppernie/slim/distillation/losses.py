"""What distillation minimises: sums over tokens, cells or texts, of float32 tensors.

``valid`` is bool [batch, length]: padding counts in none of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import paddle
from paddle.nn import functional as F

from ppernie.nn.masks import MASKED

_PARTS = {"q": 0, "k": 1, "v": 2}


def hidden_states(student: paddle.Tensor, teacher: paddle.Tensor, valid: paddle.Tensor) -> paddle.Tensor:
    """Squared differences of [batch, length, width], averaged over the width and summed over the tokens.

    Source: Jiao et al. 2020 (arXiv:1909.10351), equation 7.
    """
    squares = ((student - teacher) ** 2).mean(-1)
    return (squares * valid.astype(squares.dtype)).sum()


def attention_scores(student: paddle.Tensor, teacher: paddle.Tensor, valid: paddle.Tensor) -> paddle.Tensor:
    """Squared differences of q k^T / sqrt(size), averaged over the heads, summed over cells of two tokens.

    Source: Jiao et al. 2020, equation 6, where the scores are those before the softmax.

    Args:
        student, teacher: [batch, length, heads, 3, size]; sizes may differ.
    """
    squares = ((_scores(student) - _scores(teacher)) ** 2).mean(1)
    cells = valid.unsqueeze(2) & valid.unsqueeze(1)
    return (squares * cells.astype(squares.dtype)).sum()


def _scores(projected: paddle.Tensor) -> paddle.Tensor:
    query, key = (projected[:, :, :, part].transpose([0, 2, 1, 3]) for part in (0, 1))
    return paddle.matmul(query / math.sqrt(query.shape[-1]), key, transpose_y=True)


def relations(
    student: paddle.Tensor, teacher: paddle.Tensor, valid: paddle.Tensor, heads: int, pairs: Sequence[str]
) -> paddle.Tensor:
    """KL(teacher || student) of the tokens' relations, averaged over heads and pairs, summed over the tokens.

    Source: Wang et al. 2020 (arXiv:2012.15828), section 3.1: all heads are joined and cut anew, so neither their
    number nor their size must agree.

    Args:
        student, teacher: [batch, length, heads, 3, size].
        heads: relation heads.
        pairs: two letters of q, k and v each.
    """

    def relation(projected: paddle.Tensor, pair: str) -> paddle.Tensor:
        return _log_relations(_recut(projected, pair[0], heads), _recut(projected, pair[1], heads), valid)

    found = [_divergence(relation(student, pair), relation(teacher, pair), valid) for pair in pairs]
    return paddle.add_n(found) / len(pairs)


def sentences(student: paddle.Tensor, teacher: paddle.Tensor) -> paddle.Tensor:
    """KL(teacher || student) of the relations between texts, as ``relations`` has them, summed over the texts.

    Args:
        student, teacher: a vector a text, [batch, width]; widths may differ.
    """
    every = paddle.ones([1, student.shape[0]], dtype="bool")

    def relation(vectors: paddle.Tensor) -> paddle.Tensor:
        rows = vectors.unsqueeze([0, 1])
        return _log_relations(rows, rows, every)

    return _divergence(relation(student), relation(teacher), every)


def _recut(projected: paddle.Tensor, part: str, heads: int) -> paddle.Tensor:
    """One of the projections, [batch, heads, length, size], with other heads."""
    joined = projected[:, :, :, _PARTS[part]].flatten(2)
    return joined.reshape([0, 0, heads, joined.shape[-1] // heads]).transpose([0, 2, 1, 3])


def _log_relations(first: paddle.Tensor, second: paddle.Tensor, valid: paddle.Tensor) -> paddle.Tensor:
    """Logarithms of softmax(first second^T / sqrt(size)) over valid tokens: [batch, heads, length, length]."""
    scores = paddle.matmul(first / math.sqrt(first.shape[-1]), second, transpose_y=True)
    hidden = (~valid).astype(scores.dtype) * MASKED
    return F.log_softmax(scores + hidden.unsqueeze([1, 2]), axis=-1)


def _divergence(student: paddle.Tensor, teacher: paddle.Tensor, valid: paddle.Tensor) -> paddle.Tensor:
    rows = (teacher.exp() * (teacher - student)).sum(-1).mean(1)
    return (rows * valid.astype(rows.dtype)).sum()


def soft_labels(student: paddle.Tensor, teacher: paddle.Tensor, temperature: float) -> paddle.Tensor:
    """T^2 times the cross entropy of distributions at temperature T, logits [n, classes], summed over n."""
    target = F.softmax(teacher / temperature, axis=-1)
    return -(target * F.log_softmax(student / temperature, axis=-1)).sum() * temperature**2


def scores(student: paddle.Tensor, teacher: paddle.Tensor) -> paddle.Tensor:
    """Squared differences of scores [n], summed."""
    return ((student - teacher) ** 2).sum()
