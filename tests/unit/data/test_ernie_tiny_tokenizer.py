import copy
import io
import json
import pickle
from pathlib import Path

import pytest
import sentencepiece

from ppernie.data.tokenizers import ErnieTinyTokenizer
from ppernie.errors import UserError

SPECIAL = ["[PAD]", "[UNK]", "[MASK]", "[CLS]", "[SEP]"]
WORDS = ["北京", "天安门", "北京天安门", "我们", "爱", "nlp", "e\u0301", "一二三四五六"]
LINES = ["我们 爱 北京 天安门", "北京天安门 。", "我们 爱 nlp", "( 株 )", "é x", ". . ."]
SPACE = "\u2581"


@pytest.fixture(scope="module")
def model() -> bytes:
    """A SentencePiece model whose normal form is NFKC, as that of ernie-tiny."""
    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(LINES * 8),
        model_writer=written,
        vocab_size=200,
        hard_vocab_limit=False,
        minloglevel=2,
        user_defined_symbols=[f"{SPACE}{word}" for word in ("我们", "爱", "北京", "天安门", "北京天安门", "nlp")],
    )
    return written.getvalue()


@pytest.fixture(scope="module")
def tokenizer(model: bytes) -> ErnieTinyTokenizer:
    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    pieces = [processor.IdToPiece(index) for index in range(3, processor.GetPieceSize())]
    return ErnieTinyTokenizer([*SPECIAL, *pieces], model, WORDS)


def pieces(tokenizer: ErnieTinyTokenizer, text: str) -> list[tuple[str, str]]:
    """Each token but [CLS] and [SEP], and the characters that its offsets name."""
    encoding = tokenizer.encode(text)
    named = [text[start:end] for start, end in encoding.offsets]
    return list(zip(encoding.tokens, named, strict=True))[1:-1]


def test_longest_words_first_up_to_five_characters(tokenizer: ErnieTinyTokenizer) -> None:
    assert tokenizer.encode("我们爱北京天安门").tokens[1:-1] == [f"{SPACE}我们", f"{SPACE}爱", f"{SPACE}北京天安门"]
    assert tokenizer.encode("北京 天安门").tokens[1:-1] == [f"{SPACE}北京", f"{SPACE}天安门"]
    # The dictionary holds it, but the window is five characters wide.
    assert tokenizer.encode("一二三四五六").tokens[1:-1] == [SPACE, "[UNK]"] * 6


def test_single_and_pair(tokenizer: ErnieTinyTokenizer) -> None:
    encoding = tokenizer.encode("我们", "北京NLP")
    assert encoding.tokens == ["[CLS]", f"{SPACE}我们", "[SEP]", f"{SPACE}北京", f"{SPACE}nlp", "[SEP]"]
    assert encoding.ids == [tokenizer.token_to_id(token) for token in encoding.tokens]
    assert encoding.type_ids == [0, 0, 0, 1, 1, 1]
    assert encoding.sequence_ids == [None, 0, None, 1, 1, None]
    assert encoding.special_tokens_mask == [1, 0, 1, 0, 0, 1]
    assert tokenizer.encode("").ids == [tokenizer.cls_id, tokenizer.sep_id]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("我们 爱\u3000NLP", ["我们", "爱", "NLP"]),
        ("㈱", ["", "㈱", "㈱", "㈱"]),
        ("爱e\u0301爱", ["爱", "", "e\u0301", "爱"]),
        ("爱\ud800北京", ["爱", "北京"]),
        (" 爱[MASK]\x85 北京 ", ["爱", "[MASK]", "北京"]),
        ("鱻爱", ["", "鱻", "爱"]),
        ("爱\u3000\u3000", ["爱"]),
    ],
)
def test_offsets_are_those_of_the_text_as_given(tokenizer: ErnieTinyTokenizer, text: str, expected: list[str]) -> None:
    assert [span for _, span in pieces(tokenizer, text)] == expected


def test_a_letter_that_becomes_two_keeps_its_place(tokenizer: ErnieTinyTokenizer) -> None:
    text = "İ爱"  # in lower case an i and a dot above it
    named = [text[start:end] for start, end in tokenizer.encode(text).offsets[1:-1]]
    assert [span for span in named if span] == ["İ", "İ", "爱"]


def test_empty_pieces_stand_before_their_word(tokenizer: ErnieTinyTokenizer) -> None:
    assert tokenizer.encode("爱鱻[MASK]鱻").offsets == [(0, 0), (0, 1), (1, 1), (1, 2), (2, 8), (8, 8), (8, 9), (0, 0)]


def test_batch_equals_single_calls(tokenizer: ErnieTinyTokenizer) -> None:
    items = ["我们爱北京", ("北京", "我们爱nlp"), "", ("", "爱")]
    for options in ({}, {"max_length": 5}):
        single = [tokenizer.encode(*((item,) if isinstance(item, str) else item), **options) for item in items]
        assert tokenizer.encode_batch(items, **options) == single


def test_truncation_and_windows(tokenizer: ErnieTinyTokenizer) -> None:
    text = "我们爱北京爱天安门爱nlp"
    words = [token.removeprefix(SPACE) for token in tokenizer.encode(text).tokens[1:-1]]
    encoding = tokenizer.encode("爱", text, max_length=7, truncate="second", stride=1)
    windows = [encoding, *encoding.overflowing]
    assert [[t.removeprefix(SPACE) for t in window.tokens[3:-1]] for window in windows] == [
        words[:3],
        words[2:5],
        words[4:],
    ]
    for window in windows:
        assert window.tokens[:3] == ["[CLS]", f"{SPACE}爱", "[SEP]"]
        assert window.type_ids == [0, 0, 0] + [1] * (len(window) - 3)
        assert [text[start:end].lower() for start, end in window.offsets[3:-1]] == [
            token.removeprefix(SPACE) for token in window.tokens[3:-1]
        ]
    pair = tokenizer.encode(text, text, max_length=8)
    assert (pair.sequence_ids.count(0), pair.sequence_ids.count(1), pair.overflowing) == (3, 2, [])
    with pytest.raises(UserError, match="leaves no room"):
        tokenizer.encode("爱", "爱", max_length=4)


def test_words_keep_their_indices(tokenizer: ErnieTinyTokenizer) -> None:
    encoding = tokenizer.encode_words(["我们", " ", "爱北京", "", "\ud800", "[MASK]", "爱"])
    assert encoding.tokens[1:-1] == [f"{SPACE}我们", f"{SPACE}爱", f"{SPACE}北京", "[MASK]", f"{SPACE}爱"]
    assert encoding.word_ids == [None, 0, 2, 2, 5, 6, None]
    assert encoding.offsets[2:4] == [(0, 1), (1, 3)]
    cut = tokenizer.encode_words(["我们", "爱北京", "爱"], max_length=4)
    assert cut.word_ids == [None, 0, 1, None]


def test_ids_tokens_and_decode(tokenizer: ErnieTinyTokenizer) -> None:
    assert (tokenizer.pad_id, tokenizer.unk_id, tokenizer.mask_id, tokenizer.cls_id, tokenizer.sep_id) == (
        0,
        1,
        2,
        3,
        4,
    )
    assert tokenizer.token_to_id("absent") == tokenizer.unk_id
    assert tokenizer.id_to_token(tokenizer.token_to_id(f"{SPACE}北京")) == f"{SPACE}北京"
    assert tokenizer.decode(tokenizer.encode("我们爱NLP").ids) == "我们 爱 nlp"


def test_text_that_is_no_string_is_refused(tokenizer: ErnieTinyTokenizer) -> None:
    for wrong in (None, 3, ["爱"]):
        with pytest.raises(TypeError):
            tokenizer.encode(wrong)


def test_save_and_load(tokenizer: ErnieTinyTokenizer, tmp_path: Path) -> None:
    tokenizer.save(tmp_path / "new")
    loaded = ErnieTinyTokenizer.from_folder(tmp_path / "new")
    assert (loaded.tokens, loaded.words, loaded.model) == (tokenizer.tokens, tokenizer.words, tokenizer.model)
    assert loaded.encode("我们爱北京") == tokenizer.encode("我们爱北京")
    assert json.loads((tmp_path / "new" / "wordseg.json").read_text(encoding="utf-8")) == sorted(WORDS)


def test_a_copy_for_another_process_is_equal(tokenizer: ErnieTinyTokenizer) -> None:
    for other in (copy.deepcopy(tokenizer), pickle.loads(pickle.dumps(tokenizer))):
        assert other.encode("我们爱北京") == tokenizer.encode("我们爱北京")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("wordseg.json", b'{"a": 1}', "expected a JSON list of words"),
        ("wordseg.json", b'["a", 1]', "expected a JSON list of words"),
        ("wordseg.json", b"[" * 100_000, "wordseg.json: broken JSON"),
        ("wordseg.json", b"\x80\x02}q\x00.", "wordseg.json: broken JSON"),
        ("wordseg.json", None, "cannot read .*wordseg.json"),
        ("spm_cased_simp_sampled.model", b"", "SentencePiece model"),
        ("spm_cased_simp_sampled.model", b"garbage", "SentencePiece model"),
        ("spm_cased_simp_sampled.model", None, "cannot read .*spm_cased_simp_sampled.model"),
        ("tokenizer_config.json", b'{"do_lower_case": false}', "do_lower_case must be true"),
    ],
)
def test_folders_that_are_broken(
    tokenizer: ErnieTinyTokenizer, tmp_path: Path, name: str, content: bytes | None, message: str
) -> None:
    tokenizer.save(tmp_path)
    (tmp_path / name).unlink()
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message):
        ErnieTinyTokenizer.from_folder(tmp_path)


def test_pieces_for_bytes_are_refused() -> None:
    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(LINES),
        model_writer=written,
        vocab_size=300,
        byte_fallback=True,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    with pytest.raises(UserError, match="pieces for bytes"):
        ErnieTinyTokenizer(SPECIAL, written.getvalue(), WORDS)
