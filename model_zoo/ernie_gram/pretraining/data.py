"""Samples of ERNIE-Gram's pretraining (arXiv:2010.12148, section 3): which units are hidden, and what stands for them.

A sample is ``[CLS] text [SEP]``. Positions are those of the whole text, however much shorter the input became.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from model_zoo.ernie_gram.pretraining.segmentation import Units
from ppernie.data.collate import pad_rows

if TYPE_CHECKING:
    from ppernie.data.tokenizers import Tokenizer
    from ppernie.tasks.base import Batch, Features


def choose_units(count: int, rate: float, rng: np.random.Generator) -> np.ndarray:
    """Indices of the share ``rate`` of all units, at least one of them, in order."""
    chosen = min(max(1, round(count * rate)), count)
    return np.sort(rng.choice(count, chosen, replace=False))


def mask_tokens(tokens: np.ndarray, units: Units, chosen: np.ndarray, tokenizer: Tokenizer) -> Features:
    """Contiguous masking: one [MASK] for every token of the chosen units.

    Returns:
        ``input_ids``, the ``masked_positions`` in them, and the ``tokens`` there.
    """
    hidden = _hidden(units, chosen)
    text = np.where(hidden, tokenizer.mask_id, tokens)
    return {
        "input_ids": np.concatenate([[tokenizer.cls_id], text, [tokenizer.sep_id]]),
        "masked_positions": 1 + np.flatnonzero(hidden),
        "tokens": tokens[hidden],
    }


def mask_units(tokens: np.ndarray, units: Units, chosen: np.ndarray, tokenizer: Tokenizer) -> Features:
    """Explicit masking: one [MASK] for every chosen unit, in the place of its first token.

    Returns:
        ``input_ids`` with their ``position_ids``; the ``masked_positions`` in them and the ``identities`` of the
        units there.
    """
    hidden = _hidden(units, chosen)
    first = np.zeros(units.length, bool)
    first[units.starts] = True
    kept = np.flatnonzero(first | ~hidden)
    text = np.where(hidden, tokenizer.mask_id, tokens)[kept]
    return {
        "input_ids": np.concatenate([[tokenizer.cls_id], text, [tokenizer.sep_id]]),
        "position_ids": np.concatenate([[0], 1 + kept, [1 + units.length]]),
        "masked_positions": 1 + np.flatnonzero(hidden[kept]),
        "identities": units.identities[chosen],
    }


def query_tokens(tokens: np.ndarray, units: Units, chosen: np.ndarray) -> Features:
    """What comprehensive prediction asks for besides ``mask_units``: every token of the chosen units.

    Returns:
        ``query_ids``, each token's place in its unit, from 1; ``query_position_ids``, its place in the sample; and
        the ``tokens``.
    """
    places = np.flatnonzero(_hidden(units, chosen))
    return {
        "query_ids": 1 + places - np.repeat(units.starts, units.sizes)[places],
        "query_position_ids": 1 + places,
        "tokens": tokens[places],
    }


def collate(features: Sequence[Features], tokenizer: Tokenizer) -> Batch:
    """The batch of a micro-batch's samples, as ``ErnieGramForPretraining.forward`` takes it, and its labels.

    Texts are padded to the longest, and so are the queries, which stand after them as [MASK].
    """
    texts = pad_rows([f["input_ids"] for f in features], tokenizer.pad_id)
    batch = {"input_ids": texts, "masked_positions": _flat([f["masked_positions"] for f in features], texts.shape[1])}
    if "position_ids" in features[0]:
        batch["position_ids"] = pad_rows([f["position_ids"] for f in features], 0)
    if "query_ids" in features[0]:
        queries = pad_rows([f["query_ids"] for f in features], 0)
        places = pad_rows([f["query_position_ids"] for f in features], 0)
        symbols = np.where(queries == 0, tokenizer.pad_id, tokenizer.mask_id)
        batch["input_ids"] = np.concatenate([texts, symbols], axis=1)
        batch["position_ids"] = np.concatenate([batch["position_ids"], places], axis=1)
        batch |= {"query_ids": queries, "query_positions": np.flatnonzero(queries)}
    for name in ("identities", "tokens", "draws"):
        if name in features[0]:
            batch[name] = np.concatenate([f[name] for f in features])
    return batch


def _hidden(units: Units, chosen: np.ndarray) -> np.ndarray:
    """Whether a token is in one of the chosen units, bool [length]."""
    is_chosen = np.zeros(len(units.starts), bool)
    is_chosen[chosen] = True
    return np.repeat(is_chosen, units.sizes)


def _flat(positions: Sequence[np.ndarray], width: int) -> np.ndarray:
    return np.concatenate([row * width + own for row, own in enumerate(positions)])
