"""Ids of the ernie-tiny tokenizer against PaddleNLP's, on a model trained here and the words of jieba."""

from __future__ import annotations

import io
import random
import unicodedata
from pathlib import Path
from typing import Any

import pytest

from ppernie.data.tokenizers import ErnieTinyTokenizer, write_tokenizer
from ppernie.data.tokenizers.files import SPECIAL_TOKENS

paddlenlp = pytest.importorskip("paddlenlp")
Pair = tuple[ErnieTinyTokenizer, Any]


@pytest.fixture(scope="module")
def texts(sentences: list[str], hard_lines: list[str]) -> list[str]:
    """Real and hard lines, without the unpaired surrogates that PaddleNLP fails on."""
    return [text for text in sentences[::4] + hard_lines if not any("\ud800" <= c <= "\udfff" for c in text)]


@pytest.fixture(scope="module")
def both(sentences: list[str], tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """Our tokenizer, and PaddleNLP's of the folder that ours wrote."""
    import jieba
    import sentencepiece

    lines = Path(jieba.__file__).with_name("dict.txt").read_text(encoding="utf-8").splitlines()
    words = [line.split(" ")[0] for line in lines]
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(" ".join(jieba.cut(text)).lower() for text in sentences[::20]),
        model_writer=model,
        vocab_size=6000,
        character_coverage=0.995,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    processor = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    pieces = [processor.IdToPiece(index) for index in range(processor.GetPieceSize())]
    random.Random(0).shuffle(pieces)
    # Some pieces are in no vocabulary, and the ids are not those of the model.
    ours = ErnieTinyTokenizer([*SPECIAL_TOKENS.values(), *pieces[300:]], model.getvalue(), words)
    folder = tmp_path_factory.mktemp("tiny")
    write_tokenizer(ours, folder, "paddlenlp", max_length=600)
    return ours, paddlenlp.transformers.ErnieTinyTokenizer.from_pretrained(str(folder))


def test_ids(both: Pair, texts: list[str]) -> None:
    ours, theirs = both
    assert len(texts) > 2500
    expected = theirs(texts)["input_ids"]
    encodings = ours.encode_batch(texts)
    assert [text for text, encoding, ids in zip(texts, encodings, expected, strict=True) if encoding.ids != ids] == []
    known = [index for ids in expected for index in ids if index not in (ours.unk_id, ours.cls_id, ours.sep_id)]
    assert len(set(known)) > 3000


def test_offsets_give_the_pieces_back(both: Pair, texts: list[str]) -> None:
    ours, _ = both
    for text in texts:
        encoding = ours.encode(text)
        for token, (start, end) in list(zip(encoding.tokens, encoding.offsets, strict=True))[1:-1]:
            source = unicodedata.normalize("NFKC", text[start:end].lower()).replace(" ", "").lower()
            piece = token.replace("\u2581", "")
            if token in SPECIAL_TOKENS.values():
                assert token in ("[UNK]", text[start:end])
            elif piece != source:
                # A part of one character: "..." of an ellipsis.
                assert end - start == 1 and piece and piece in source, (text, token, start, end)


def test_pairs_and_truncation(both: Pair, texts: list[str]) -> None:
    ours, theirs = both
    pairs = list(zip(texts[::8], reversed(texts[::8]), strict=True))
    for max_length in (8, 31, 64):
        expected = theirs(pairs, max_length=max_length, truncation=True)
        encodings = ours.encode_batch(pairs, max_length=max_length)
        assert [encoding.ids for encoding in encodings] == expected["input_ids"]
        assert [encoding.type_ids for encoding in encodings] == expected["token_type_ids"]


def test_words(both: Pair, texts: list[str]) -> None:
    ours, theirs = both
    for text in texts[::8]:
        for words in (list(text), text.split(" ")):
            if text:
                assert ours.encode_words(words).ids == theirs(words, is_split_into_words=True)["input_ids"]
