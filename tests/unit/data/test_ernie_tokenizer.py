import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ppernie.data.tokenizers import ErnieTokenizer
from ppernie.errors import UserError

SPECIAL = ["[PAD]", "[CLS]", "[SEP]", "[MASK]", "[UNK]"]
PLAIN = [
    *SPECIAL,
    *"我爱北京天安门abce。×",
    "un",
    "##aff",
    "##able",
    "caf",
    "##e",
    "ᄒ",
    "##\u1161",
    "##\u11ab",
]


@pytest.fixture
def tokenizer() -> ErnieTokenizer:
    return ErnieTokenizer(PLAIN)


def write_vocab(path: Path, lines: list[str]) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def test_single_and_pair(tokenizer: ErnieTokenizer) -> None:
    single = tokenizer.encode("我爱 Unaffable。")
    assert single.tokens == ["[CLS]", "我", "爱", "un", "##aff", "##able", "。", "[SEP]"]
    assert single.type_ids == [0] * 8
    pair = tokenizer.encode("我", "北京")
    assert pair.tokens == ["[CLS]", "我", "[SEP]", "北", "京", "[SEP]"]
    assert pair.type_ids == [0, 0, 0, 1, 1, 1]
    assert pair.sequence_ids == [None, 0, None, 1, 1, None]
    assert tokenizer.encode("").ids == [tokenizer.cls_id, tokenizer.sep_id]


def test_batch_equals_single_calls(tokenizer: ErnieTokenizer) -> None:
    items = ["我爱北京", ("我爱北京天安门", "unaffable"), "", ("", "a b c e"), "\ud800我"]
    for options in ({}, {"max_length": 7}):
        batch = tokenizer.encode_batch(items, **options)
        single = [tokenizer.encode(*((item,) if isinstance(item, str) else item), **options) for item in items]
        assert [(e.ids, e.type_ids, e.offsets) for e in batch] == [(e.ids, e.type_ids, e.offsets) for e in single]


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("Café cafe\u0301", ["Caf", "é", "caf", "e"]),
        ("\ufeff我\u200b爱\x00b", ["我", "爱", "b"]),
        ("a\u200bb×😀。", ["a\u200bb", "×", "😀", "。"]),
        ("我[MASK]爱", ["我", "[MASK]", "爱"]),
        ("\u3000我\t爱\n", ["我", "爱"]),
        ("\ud83d我", ["我"]),
        ("한", ["한", "한", "한"]),
    ],
)
def test_offsets_are_those_of_the_text_as_given(tokenizer: ErnieTokenizer, text: str, pieces: list[str]) -> None:
    encoding = tokenizer.encode(text)
    assert [text[start:end] for start, end in encoding.offsets[1:-1]] == pieces


def test_cased_vocabulary_keeps_case_and_accents() -> None:
    cased = ErnieTokenizer([*SPECIAL, "A", "É", "a", "e"], lowercase=False)
    assert cased.encode("A É a e").tokens[1:-1] == ["A", "É", "a", "e"]
    assert ErnieTokenizer([*SPECIAL, "a", "e"]).encode("A É").tokens[1:-1] == ["a", "e"]


def test_ids_tokens_and_decode(tokenizer: ErnieTokenizer) -> None:
    assert (tokenizer.pad_id, tokenizer.cls_id, tokenizer.sep_id, tokenizer.mask_id, tokenizer.unk_id) == (
        0,
        1,
        2,
        3,
        4,
    )
    assert tokenizer.vocab_size == len(PLAIN)
    assert tokenizer.token_to_id("我") == PLAIN.index("我")
    assert tokenizer.token_to_id("absent") == tokenizer.unk_id
    assert tokenizer.id_to_token(5) == "我"
    ids = tokenizer.encode("我 unaffable").ids
    assert tokenizer.decode(ids) == "我 unaffable"
    assert tokenizer.decode(ids, skip_special_tokens=False) == "[CLS] 我 unaffable [SEP]"


def test_last_of_two_equal_tokens_is_produced_and_both_are_saved(tmp_path: Path) -> None:
    tokenizer = ErnieTokenizer([*SPECIAL, "$", "a", "$"])
    assert tokenizer.encode("$").ids[1:-1] == [7]
    assert (tokenizer.vocab_size, tokenizer.id_to_token(5)) == (8, "$")
    tokenizer.save(tmp_path)
    assert ErnieTokenizer.from_folder(tmp_path).id_to_token(7) == "$"


def test_truncation_takes_from_the_text_that_is_named(tokenizer: ErnieTokenizer) -> None:
    def lengths(truncate: str, first: str = "我爱北京天", second: str = "天安门") -> tuple[int, int]:
        encoding = tokenizer.encode(first, second, max_length=8, truncate=truncate)
        assert len(encoding) == 8
        return encoding.sequence_ids.count(0), encoding.sequence_ids.count(1)

    assert lengths("longest_first") == (3, 2)
    assert lengths("longest_first", "天安门", "我爱北京天") == (3, 2)
    assert lengths("longest_first", "我", "我爱北京天") == (1, 4)
    assert lengths("first") == (2, 3)
    assert lengths("second", "天安门", "我爱北京天") == (3, 2)
    assert tokenizer.encode("我爱北京", max_length=4).tokens == ["[CLS]", "我", "爱", "[SEP]"]
    assert len(tokenizer.encode("我爱北京", max_length=6)) == 6


def test_a_syllable_may_be_cut_between_its_letters(tokenizer: ErnieTokenizer) -> None:
    encoding = tokenizer.encode("한 한", "한 한", max_length=8)
    assert encoding.tokens == ["[CLS]", "ᄒ", "##\u1161", "##\u11ab", "[SEP]", "ᄒ", "##\u1161", "[SEP]"]


def test_windows_share_stride_tokens(tokenizer: ErnieTokenizer) -> None:
    text = "我爱北京天安门"
    encoding = tokenizer.encode("a", text, max_length=8, truncate="second", stride=1)
    windows = [encoding, *encoding.overflowing]
    assert [window.tokens[3:-1] for window in windows] == [list("我爱北京"), list("京天安门")]
    for window in windows:
        assert window.tokens[:3] == ["[CLS]", "a", "[SEP]"]
        assert window.type_ids == [0, 0, 0, 1, 1, 1, 1, 1]
        assert [text[start:end] for start, end in window.offsets[3:-1]] == window.tokens[3:-1]


def test_a_single_text_has_windows_too(tokenizer: ErnieTokenizer) -> None:
    encoding = tokenizer.encode("我爱北京", max_length=4)
    assert [window.tokens for window in encoding.overflowing] == [["[CLS]", "北", "京", "[SEP]"]]
    assert encoding.type_ids == encoding.overflowing[0].type_ids == [0, 0, 0, 0]


def test_a_pair_cut_longest_first_leaves_no_windows(tokenizer: ErnieTokenizer) -> None:
    encoding = tokenizer.encode("我" * 200, "爱" * 200, max_length=9)
    assert encoding.tokens == ["[CLS]", *"我我我", "[SEP]", *"爱爱爱", "[SEP]"]
    assert encoding.overflowing == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_length": 4}, "leaves no room"),
        ({"max_length": 8, "truncate": "second"}, "cut the other text"),
        ({"max_length": 9, "truncate": "second", "stride": 2}, "stride 2"),
        ({"max_length": 8, "stride": 1}, "longest_first"),
    ],
)
def test_lengths_that_leave_no_room(tokenizer: ErnieTokenizer, options: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        tokenizer.encode("我爱北京天", "天安门", **options)


def test_words_keep_their_indices(tokenizer: ErnieTokenizer) -> None:
    words = ["我", " ", "unaffable", "\x00", "", "\ud800", "[MASK]", "京"]
    encoding = tokenizer.encode_words(words)
    assert encoding.tokens == ["[CLS]", "我", "un", "##aff", "##able", "[MASK]", "京", "[SEP]"]
    assert encoding.word_ids == [None, 0, 2, 2, 2, 6, 7, None]
    assert tokenizer.encode_words(words, max_length=5).word_ids == [None, 0, 2, 2, None]
    assert tokenizer.encode_words([]).ids == tokenizer.encode("").ids


def test_text_that_is_no_string_is_refused(tokenizer: ErnieTokenizer) -> None:
    for wrong in (None, 3, ["我"]):
        with pytest.raises(TypeError):
            tokenizer.encode(wrong)


def test_threads_with_different_lengths_do_not_disturb_each_other(tokenizer: ErnieTokenizer) -> None:
    lengths = [3, 4, 5, 6, 7, 8, None] * 60
    with ThreadPoolExecutor(4) as pool:
        encodings = pool.map(lambda length: tokenizer.encode("我爱北京天安门", max_length=length), lengths)
        assert [len(encoding) for encoding in encodings] == [length or 9 for length in lengths]


def test_forked_worker_encodes_after_a_batch(tokenizer: ErnieTokenizer) -> None:
    tokenizer.encode_batch(["我爱北京"] * 100)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, json.dumps(tokenizer.encode_batch(["我爱"] * 100)[99].ids).encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert json.loads(os.read(reader, 1000)) == tokenizer.encode("我爱").ids
    os.close(reader)
    os.close(writer)


def test_needs_no_paddle() -> None:
    code = "import sys, ppernie.data.tokenizers; sys.exit('paddle' in sys.modules or 'paddlenlp' in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)


def test_lines_with_ids_in_any_order(tmp_path: Path) -> None:
    lines = [f"{token}\t{index}" for index, token in enumerate(PLAIN)]
    tokenizer = ErnieTokenizer.from_vocab(write_vocab(tmp_path / "vocab", lines[::-1]))
    assert tokenizer.encode("我爱").ids == ErnieTokenizer(PLAIN).encode("我爱").ids
    assert tokenizer.id_to_token(0) == "[PAD]"


def test_windows_line_ends_and_odd_characters_in_tokens(tmp_path: Path) -> None:
    path = tmp_path / "vocab.txt"
    path.write_bytes("\r\n".join([*SPECIAL, "\u2028", "\x85", "我"]).encode())
    assert ErnieTokenizer.from_vocab(path).encode("我").ids == [1, 7, 2]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "empty"),
        (["[PAD]", "", "[CLS]"], "line 2: there is no token"),
        (["[PAD]", "a\t7"], "line 2: every line or none"),
        (["[PAD]\t0", "a"], "line 2: every line or none"),
        (["[PAD]\t0", "a\tx"], "line 2: 'x' is not an id"),
        (["[PAD]\t0", "a\t-1"], "line 2: '-1' is not an id"),
        (["[PAD]\t0", "a\t" + "9" * 9000], "line 2: '9999"),
        (["[PAD]\t0", "a\t0"], r"line 2: id 0 is taken already, by '\[PAD\]'"),
        (["[PAD]\t0", "a\t2"], "no line has id 1"),
        (SPECIAL[:4], r"must hold \[UNK\] once, and holds it 0 times"),
        ([*SPECIAL, "[MASK]"], r"must hold \[MASK\] once, and holds it 2 times"),
    ],
)
def test_unsound_vocabularies(tmp_path: Path, lines: list[str], message: str) -> None:
    path = write_vocab(tmp_path / "vocab.txt", lines)
    with pytest.raises(UserError, match=message) as error:
        ErnieTokenizer.from_vocab(path)
    assert str(path) in str(error.value)


def test_vocabulary_that_is_no_text_or_too_long_or_absent(tmp_path: Path) -> None:
    path = tmp_path / "vocab.txt"
    with pytest.raises(UserError, match="cannot read .*vocab.txt"):
        ErnieTokenizer.from_vocab(path)
    path.write_bytes("[PAD]\n我\n".encode("gb18030"))
    with pytest.raises(UserError, match="line 2: not UTF-8"):
        ErnieTokenizer.from_vocab(path)
    path.write_bytes(b"a\n" * 1_000_001)
    with pytest.raises(UserError, match="more than 1,000,000 lines"):
        ErnieTokenizer.from_vocab(path)


@pytest.mark.parametrize("lowercase", [True, False])
def test_save_and_load(tmp_path: Path, lowercase: bool) -> None:
    ErnieTokenizer(PLAIN, lowercase=lowercase).save(tmp_path / "new" / "folder")
    loaded = ErnieTokenizer.from_folder(tmp_path / "new" / "folder")
    assert (loaded.lowercase, loaded.vocab) == (lowercase, ErnieTokenizer(PLAIN).vocab)
    config = json.loads((tmp_path / "new" / "folder" / "tokenizer_config.json").read_text())
    assert (config["tokenizer_class"], config["do_lower_case"]) == ("ErnieTokenizer", lowercase)
    assert config["mask_token"] == "[MASK]"


def test_folder_without_configuration_is_lower_case(tmp_path: Path) -> None:
    write_vocab(tmp_path / "vocab.txt", PLAIN)
    assert ErnieTokenizer.from_folder(tmp_path).lowercase


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("{", "cannot read"),
        ("[]", "expected a JSON object"),
        ('{"tokenizer_class": "GPTTokenizer"}', "'GPTTokenizer' is not supported"),
        ('{"mask_token": "<mask>"}', "mask_token is '<mask>'"),
        ('{"pad_token": {"content": "<pad>"}}', "pad_token"),
        ('{"added_tokens_decoder": {"9": {"content": "<ner>"}}}', "put <ner> into vocab.txt"),
        ('{"additional_special_tokens": ["<ner>"]}', "put <ner> into vocab.txt"),
        ('{"do_lower_case": "yes"}', "do_lower_case must be true or false"),
    ],
)
def test_configurations_that_are_not_supported(tmp_path: Path, config: str, message: str) -> None:
    write_vocab(tmp_path / "vocab.txt", PLAIN)
    (tmp_path / "tokenizer_config.json").write_text(config)
    with pytest.raises(UserError, match=message):
        ErnieTokenizer.from_folder(tmp_path)
