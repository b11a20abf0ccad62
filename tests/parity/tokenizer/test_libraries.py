"""Ids of PaddleNLP's and Hugging Face's `AutoTokenizer` on the folders that we write for them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from ppernie.data.tokenizers import ErnieTokenizer, open_tokenizer, write_tokenizer
from ppernie.data.tokenizers.files import SPECIAL_TOKENS

CASES = [("ernie3.0_base_zh", True), ("ernie3.0_base_zh", False), ("ernie2.0_en", True)]


def without_surrogates(texts: list[str]) -> list[str]:
    """Hugging Face's library raises on unpaired surrogates."""
    return [text for text in texts if not any("\ud800" <= character <= "\udfff" for character in text)]


def huggingface(tokenizer: ErnieTokenizer, folder: Path, **options: Any) -> Any:
    transformers = pytest.importorskip("transformers")
    write_tokenizer(tokenizer, folder, "huggingface", max_length=512)
    return transformers.AutoTokenizer.from_pretrained(str(folder), **options)


@pytest.mark.parametrize("name, lowercase", CASES)
def test_huggingface(
    name: str, lowercase: bool, sentences: list[str], hard_lines: list[str], shared_data: Path, tmp_path: Path
) -> None:
    ours = ErnieTokenizer.from_vocab(shared_data / "vocab" / f"{name}_vocab.txt", lowercase=lowercase)
    theirs = huggingface(ours, tmp_path)
    texts = without_surrogates(sentences[::2] + hard_lines)
    assert len(texts) > 5000
    expected = [encoding.ids for encoding in ours.encode_batch(texts)]
    assert theirs(texts)["input_ids"] == expected
    assert [theirs(text)["input_ids"] for text in texts[::10]] == expected[::10]
    pairs = list(zip(texts[::4], texts[::-4], strict=True))
    given, encodings = theirs(pairs), ours.encode_batch(pairs)
    assert given["input_ids"] == [encoding.ids for encoding in encodings]
    assert given["token_type_ids"] == [encoding.type_ids for encoding in encodings]


def test_huggingface_tensors_sizes_and_decoding(shared_data: Path, tmp_path: Path) -> None:
    ours = ErnieTokenizer.from_vocab(shared_data / "vocab" / "ernie3.0_base_zh_vocab.txt")
    for options in ({}, {"use_fast": True}, {"use_fast": False}):
        theirs = huggingface(ours, tmp_path, **options)
        assert (len(theirs), theirs.vocab_size, theirs.model_max_length) == (39980, 39980, 512)
    batch = theirs(
        ["我爱$", "我爱[MASK]北京天安门。"], padding=True, truncation=True, max_length=6, return_tensors="np"
    )
    rows = [ours.encode(text, max_length=6) for text in ("我爱$", "我爱[MASK]北京天安门。")]
    assert batch["input_ids"].tolist() == [[*rows[0].ids, ours.pad_id], rows[1].ids]
    assert batch["attention_mask"].tolist() == [[1] * 5 + [0], [1] * 6]
    specials = [
        theirs.unk_token_id,
        theirs.sep_token_id,
        theirs.pad_token_id,
        theirs.cls_token_id,
        theirs.mask_token_id,
    ]
    assert specials == [ours.vocab[token] for token in SPECIAL_TOKENS.values()]
    ids = ours.encode("我 unaffable, $5!").ids
    assert theirs.decode(ids, skip_special_tokens=True) == ours.decode(ids)


@pytest.mark.parametrize("lowercase", [True, False])
def test_huggingface_every_code_point(lowercase: bool, tmp_path: Path) -> None:
    characters = [chr(point) for point in range(sys.maxunicode + 1) if not 0xD800 <= point < 0xE000]
    # A part of them is in the vocabulary, so that what is dropped, mapped or cut wrongly changes the ids.
    pieces = [
        piece for character in characters[:0x3400] if character != "\n" for piece in (character, f"##{character}")
    ]
    tokens = dict.fromkeys([*SPECIAL_TOKENS.values(), *pieces])
    ours = ErnieTokenizer(list(tokens), lowercase=lowercase)
    theirs = huggingface(ours, tmp_path)
    for start in range(0, len(characters), 4096):
        text = "".join(f" a{character}b" for character in characters[start : start + 4096])
        assert theirs(text)["input_ids"] == ours.encode(text).ids, hex(start)


def test_huggingface_folder_saved_by_their_class_is_read_again(shared_data: Path, tmp_path: Path) -> None:
    ours = ErnieTokenizer.from_vocab(shared_data / "vocab" / "ernie3.0_base_zh_vocab.txt")
    huggingface(ours, tmp_path / "ours").save_pretrained(str(tmp_path / "theirs"))
    assert open_tokenizer(tmp_path / "theirs").tokens == ours.tokens


@pytest.mark.parametrize("gram", [False, True])
def test_paddlenlp(gram: bool, sentences: list[str], hard_lines: list[str], shared_data: Path, tmp_path: Path) -> None:
    paddlenlp = pytest.importorskip("paddlenlp")
    ours = ErnieTokenizer.from_vocab(shared_data / "vocab" / "ernie1.0_zh_vocab.txt")
    write_tokenizer(ours, tmp_path, "paddlenlp", max_length=513, gram=gram)
    theirs = paddlenlp.transformers.AutoTokenizer.from_pretrained(str(tmp_path))
    assert type(theirs).__name__ == ("ErnieGramTokenizer" if gram else "ErnieTokenizer")
    assert (theirs.model_max_length, theirs.mask_token_id) == (513, ours.mask_id)
    texts = sentences[::10] + hard_lines
    assert theirs(texts)["input_ids"] == [encoding.ids for encoding in ours.encode_batch(texts)]
    assert open_tokenizer(tmp_path).tokens == ours.tokens
