"""Prompts as they are published: what is put around a text, and where its tokens stand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from model_zoo.glm.generation.prompts import context_ids, lay_out, mask_id
from ppernie.data.tokenizers import GlmTokenizer
from ppernie.data.tokenizers.glm import Cut
from ppernie.errors import UserError

PAD, SOP, MASK, GMASK, CLS, END, A, B = range(8)


class Framed(GlmTokenizer):
    """[CLS] and the end stand around texts of the letters a and b, as in the smaller GLMs."""

    def __init__(self) -> None:
        tokens = ["<pad>", "<sop>", "[MASK]", "[gMASK]", "[CLS]", "<end>", "a", "b", "<eop>", "<unk>"]
        special = {"pad_token": "<pad>", "sop_token": "<sop>", "mask_token": "[MASK]", "gmask_token": "[gMASK]"}
        special |= {"cls_token": "[CLS]", "sep_token": "<end>", "eos_token": "<end>", "eop_token": "<eop>"}
        super().__init__(tokens, special | {"unk_token": "<unk>"}, ["[CLS]"], ["<end>"], strips=False)

    def save(self, folder: Any) -> None:
        raise NotImplementedError

    def _cut(self, texts: Any) -> list[Cut]:
        return [([self.vocab[c] for c in text], [(n, n + 1) for n in range(len(text))]) for text in texts]

    _cut_unspaced = _cut

    def _join_text(self, tokens: list[str]) -> str:
        return "".join(tokens)


def test_the_smaller_glms_frame_every_text() -> None:
    tokenizer = Framed()
    assert context_ids([A, B], tokenizer, GMASK) == [CLS, A, B, GMASK, END]
    assert context_ids([A, MASK, B], tokenizer, GMASK) == [CLS, A, MASK, B, END]
    assert context_ids([A, MASK], tokenizer, GMASK) == [CLS, A, MASK, END]


def test_glm_130b_ends_only_what_goes_on_behind_its_mask(icetk: GlmTokenizer) -> None:
    a, mask, gmask, end = icetk.encode_plain("cat")[0], icetk.mask_id, icetk.gmask_id, icetk.eos_id
    assert context_ids([a], icetk, gmask) == [a, gmask]
    assert context_ids([a, mask], icetk, gmask) == [a, mask]
    assert context_ids([a, mask, a], icetk, gmask) == [a, mask, a, end]
    assert context_ids([], icetk, gmask) == [gmask]


def test_positions_run_on_behind_gmask_and_stay_behind_mask() -> None:
    ids = np.asarray([[PAD, PAD, A, GMASK, SOP, B], [A, MASK, B, END, SOP, B]])
    layout = lay_out(ids, Framed(), 1)
    assert layout.position_ids.tolist() == [[[0, 0, 0, 1, 2, 3]], [[0, 1, 2, 3, 1, 1]]]
    assert layout.visible.tolist() == [[[2] * 6, [4] * 6, [2] * 6], [[0] * 6, [4] * 6, [0] * 6]]
    assert layout.moves.tolist() == [[1], [0]]


def test_two_rows_of_positions_count_the_places_of_the_blank() -> None:
    ids = np.asarray([[PAD, PAD, A, GMASK, SOP, B], [A, MASK, B, END, SOP, B]])
    layout = lay_out(ids, Framed(), 2)
    assert layout.position_ids[0].tolist() == [[0, 0, 0, 1, 1, 1], [0, 0, 0, 0, 1, 2]]
    assert layout.position_ids[1].tolist() == [[0, 1, 2, 3, 1, 1], [0, 0, 0, 0, 1, 2]]
    assert layout.moves.tolist() == [[0, 1]] * 2


@pytest.mark.parametrize("ids", [[A, B, SOP], [A, MASK, B], [A, SOP, MASK]])
def test_a_prompt_needs_a_mask_and_the_start_behind_it(ids: list[int]) -> None:
    with pytest.raises(UserError, match="prompt 1: a mask"):
        lay_out(np.asarray([[A, MASK, SOP], ids]), Framed(), 1)


def test_a_mask_that_the_tokenizer_lacks_is_refused() -> None:
    with pytest.raises(UserError, match="no smask"):
        mask_id(Framed(), "smask")


def test_generation_goes_on_as_pretraining_has_it(icetk: GlmTokenizer, make_task: Callable[..., Any]) -> None:
    """An instruction's sample and a prompt with its target are laid out alike."""
    from model_zoo.glm.pretraining.blanks import Blanks

    text, target = icetk.encode_plain("the cat sat"), icetk.encode_plain("on the mat")
    ids = np.asarray([[*text, icetk.mask_id, icetk.sop_id, *target]])
    for rows in (1, 2):
        sample = Blanks(icetk, rows).target(np.asarray(text), np.asarray([*target, icetk.eop_id]))
        layout = lay_out(ids, icetk, rows)
        assert sample.tokens.tolist() == ids[0].tolist()
        assert layout.position_ids[0].tolist() == sample.positions.tolist()
        assert layout.visible[0, 1, 0] == sample.context
