"""Ids of GLM's tokenizers against PaddleNLP's, of folders that ours wrote, on real texts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ppernie.data.tokenizers import GlmBertTokenizer, GlmChineseTokenizer, GlmGPT2Tokenizer, GlmTokenizer
from ppernie.data.tokenizers.training import train_icetk

paddlenlp = pytest.importorskip("paddlenlp")

WRITTEN = [
    "Hello [MASK] world[gMASK]",
    "[sMASK]  [MASK]",
    " 你好，[MASK] 世界\n[gMASK] ",
    "x<|startofpiece|>y<|endofpiece|>[UNK]",
]


@pytest.fixture(scope="module")
def texts(sentences: list[str], hard_lines: list[str]) -> list[str]:
    """Real and hard lines, without the unpaired surrogates that PaddleNLP fails on."""
    return [text for text in sentences[::4] + hard_lines if not any("\ud800" <= c <= "\udfff" for c in text)]


def _theirs(kind: str, tokenizer: GlmTokenizer, folder: Path) -> Any:
    tokenizer.save(folder)
    return getattr(paddlenlp.transformers, kind).from_pretrained(str(folder))


def _assert_equal(ours: GlmTokenizer, theirs: Any, texts: list[str]) -> None:
    expected = theirs(texts)["input_ids"]
    found = [encoding.ids for encoding in ours.encode_batch(texts)]
    assert [text for text, a, b in zip(texts, found, expected, strict=True) if a != b] == []
    assert (ours.mask_id, ours.smask_id, ours.gmask_id) == tuple(theirs.mask_token_ids)
    assert (ours.sop_id, ours.eop_id, ours.eos_id, ours.pad_id, ours.cls_id, ours.sep_id) == (
        *(theirs.sop_token_id, theirs.eop_token_id, theirs.eos_token_id),
        *(theirs.pad_token_id, theirs.cls_token_id, theirs.sep_token_id),
    )


def test_chinese(shared_data: Path, texts: list[str], tmp_path: Path) -> None:
    ours = GlmChineseTokenizer.from_file(shared_data / "vocab" / "glm_cog-pretrain.model")
    _assert_equal(ours, _theirs("GLMChineseTokenizer", ours, tmp_path), texts + WRITTEN)


def test_bert(shared_data: Path, texts: list[str], tmp_path: Path) -> None:
    ours = GlmBertTokenizer.from_vocab(shared_data / "vocab" / "ernie2.0_en_vocab.txt")
    theirs = _theirs("GLMBertTokenizer", ours, tmp_path)
    assert theirs.eos_token is None
    theirs.eos_token = theirs.sep_token  # which it puts behind a text
    _assert_equal(ours, theirs, texts[::4] + [*WRITTEN[:-1], WRITTEN[-1].removesuffix("[UNK]")])


def test_gpt2(shared_data: Path, texts: list[str], tmp_path: Path) -> None:
    ours = GlmGPT2Tokenizer.from_file(shared_data / "vocab" / "gpt2-vocab.json")
    _assert_equal(ours, _theirs("GLMGPT2Tokenizer", ours, tmp_path), texts[::4] + WRITTEN)


@pytest.mark.parametrize("image_tokens", [0, 20_000])
def test_icetk(sentences: list[str], texts: list[str], tmp_path: Path, image_tokens: int) -> None:
    trained = train_icetk(sentences[::20], 5000)
    ours = type(trained)(trained.model, image_tokens=image_tokens)
    theirs = _theirs("ChatGLMTokenizer", ours, tmp_path)
    texts = [*texts, "a\n\n\tb" + " " * 85 + "c", "  x  "]
    expected = [theirs.convert_tokens_to_ids(theirs.tokenize(text)) for text in texts]
    found = [ours.encode_plain(text) for text in texts]
    # PaddleNLP takes "[MASK]" and others for tokens, wherever they are written.
    plain = [n for n, text in enumerate(texts) if not any(token in text for token in ours.special_tokens)]
    assert len(plain) > 2500
    assert [texts[n] for n in plain if found[n] != expected[n]] == []
    assert (ours.mask_id, ours.gmask_id, ours.sop_id, ours.eop_id, ours.pad_id) == (
        *(theirs.mask_token_id, theirs.gmask_token_id, theirs.bos_token_id, theirs.eos_token_id),
        theirs.pad_token_id,
    )
