"""Prompts as the GLMs read them: a context with a mask, and [sop], behind which the mask's text is written.

Without paddle, for workers and servers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from ppernie.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ppernie.data.tokenizers import GlmTokenizer

Mask = Literal["gmask", "mask", "smask"]


def mask_ids(tokenizer: GlmTokenizer) -> list[int]:
    """The tokens that stand for a blank."""
    ids = (tokenizer.gmask_id, tokenizer.mask_id, tokenizer.smask_id)
    return [index for index in ids if index is not None]


def mask_id(tokenizer: GlmTokenizer, mask: Mask) -> int:
    """The token of a kind of mask. Raises UserError where the tokenizer has none of that kind."""
    index = {"gmask": tokenizer.gmask_id, "mask": tokenizer.mask_id, "smask": tokenizer.smask_id}[mask]
    if index is None:
        raise UserError(f"Task.mask: the tokenizer has no {mask}; choose another mask")
    return index


def first_mask(ids: Sequence[int], tokenizer: GlmTokenizer) -> int | None:
    """Where the first mask stands; None where there is none."""
    masks = mask_ids(tokenizer)
    return next((place for place, index in enumerate(ids) if index in masks), None)


def check_text(ids: Sequence[int], tokenizer: GlmTokenizer, where: str) -> None:
    """Raises UserError where [sop] or padding is written out in a text: they say where its parts stand."""
    for index in (tokenizer.sop_id, tokenizer.pad_id):
        # The smaller GLMs pad with the end of a text, which may stand in one.
        if index in ids and index != tokenizer.eos_id:
            token = tokenizer.id_to_token(index)
            raise UserError(
                f"{where}: the prompt holds {token}, which is put around prompts, not into them; take it out"
            )


def context_ids(text: Sequence[int], tokenizer: GlmTokenizer, appended: int) -> list[int]:
    """The context made of a text's ids: with a mask, and framed as its network has learnt it.

    The mask ``appended`` is put behind a text without one. The smaller GLMs have [CLS] before and the end behind every
    text; GLM-130B and ChatGLM-6B have the end behind those alone that do not end with a mask (GLM-130B's generate.py).
    """
    *before, end = tokenizer.encode("").ids
    ids = [*text] if first_mask(text, tokenizer) is not None else [*text, appended]
    return [*before, *ids] if not before and ids[-1] in mask_ids(tokenizer) else [*before, *ids, end]


class Layout(NamedTuple):
    """Where the tokens of a batch of prompts stand, as the network takes it.

    Attributes:
        position_ids: int64 [batch, rows, length].
        visible: int64 [batch, 3, length].
        moves: int64 [batch, rows], by how much the positions grow from a new token to the next.
    """

    position_ids: np.ndarray
    visible: np.ndarray
    moves: np.ndarray


def lay_out(ids: np.ndarray, tokenizer: GlmTokenizer, rows: int) -> Layout:
    """Positions of prompts, int64 [batch, length]; shorter ones are padded, on the left or behind all their tokens.

    The context is seen from everywhere, and [sop] and all behind it by what comes later. With one row of positions they
    run on behind [gMASK], while after [MASK] and [sMASK] all from [sop] on have the mask's (GLM-130B's generate.py);
    with two, all have the mask's whichever it is, and count their places from 1.

    Raises:
        UserError: a prompt lacks [sop], or a mask before it.
    """
    numbers = np.arange(ids.shape[1])
    pads = np.cumprod(ids == tokenizer.pad_id, axis=1).sum(1, keepdims=True)
    begun = np.cumsum(ids == tokenizer.sop_id, axis=1) > 0
    masks = np.isin(ids, mask_ids(tokenizer)) & ~begun
    if not (masks.any(1) & begun.any(1)).all():
        row = int(np.flatnonzero(~(masks.any(1) & begun.any(1)))[0])
        raise UserError(f"prompt {row}: a mask, and behind it the token that starts a text, are needed; add them")
    context, mask = begun.argmax(1)[:, None], masks.argmax(1)[:, None]
    own = np.maximum(numbers - pads, 0)
    if rows == 1:
        moves = (np.take_along_axis(ids, mask, 1) == tokenizer.gmask_id).astype(np.int64)
        positions = np.where(begun & (moves == 0), mask - pads, own)[:, None]
    else:
        moves = np.tile(np.asarray([0, 1]), (len(ids), 1))
        positions = np.stack([np.where(begun, mask - pads, own), np.where(begun, numbers - context + 1, 0)], axis=1)
    visible = np.stack([np.broadcast_to(part, ids.shape) for part in (pads, context, pads)], axis=1)
    return Layout(positions, visible, moves)
