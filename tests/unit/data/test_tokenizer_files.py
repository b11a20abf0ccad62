import io
import json
import pickletools
import time
import tracemalloc
from pathlib import Path

import pytest
import sentencepiece

from ppernie.data.tokenizers import ErnieTinyTokenizer, ErnieTokenizer, open_tokenizer, write_tokenizer
from ppernie.data.tokenizers.files import read_vocab
from ppernie.errors import UserError

TOKENS = ["[PAD]", "[CLS]", "[SEP]", "[MASK]", "[UNK]", *"我爱北京", "$", "a", "##b", "$"]


@pytest.fixture
def ernie() -> ErnieTokenizer:
    return ErnieTokenizer(TOKENS)


@pytest.fixture(scope="module")
def tiny() -> ErnieTinyTokenizer:
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["我 爱 北京"] * 4),
        model_writer=model,
        vocab_size=50,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    return ErnieTinyTokenizer([*TOKENS[:5], "\u2581我", "北京"], model.getvalue(), ["北京", "爱"])


@pytest.mark.parametrize("name", ["ErnieTokenizer", "ErnieGramTokenizer", "BertTokenizer", "BertTokenizerFast", None])
def test_classes_that_are_ernie(ernie: ErnieTokenizer, tmp_path: Path, name: str | None) -> None:
    ernie.save(tmp_path)
    config = {"do_lower_case": False, **({"tokenizer_class": name} if name else {})}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    opened = open_tokenizer(tmp_path)
    assert (type(opened), opened.lowercase, opened.tokens) == (ErnieTokenizer, False, tuple(TOKENS))


def test_tiny_is_told_by_its_class_or_its_dictionary(tiny: ErnieTinyTokenizer, tmp_path: Path) -> None:
    tiny.save(tmp_path)
    assert open_tokenizer(tmp_path).encode("我爱北京") == tiny.encode("我爱北京")
    (tmp_path / "tokenizer_config.json").unlink()
    assert isinstance(open_tokenizer(tmp_path), ErnieTinyTokenizer)
    (tmp_path / "wordseg.json").unlink()
    assert isinstance(open_tokenizer(tmp_path), ErnieTokenizer)


def test_segmentation_pickle_must_be_converted_first(tiny: ErnieTinyTokenizer, tmp_path: Path) -> None:
    write_tokenizer(tiny, tmp_path, "paddlenlp")
    with pytest.raises(UserError, match="cannot read .*wordseg.json"):
        open_tokenizer(tmp_path)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ('{"tokenizer_class": "GPTTokenizer"}', "'GPTTokenizer' is not supported"),
        ('{"tokenizer_class": 3}', "tokenizer_class must be a name"),
        ('{"strip_accents": false}', "strip_accents is False"),
        ('{"tokenize_chinese_chars": false}', "tokenize_chinese_chars must be true"),
        ('{"added_tokens_decoder": [1]}', "added tokens are neither"),
        ('{"additional_special_tokens": [{"content": "<x>"}]}', "put <x> into vocab.txt"),
        ('{"mask_token": {"x": 1}}', "mask_token is"),
        ("[" * 100_000, "broken JSON"),
        ("\xff", "broken JSON"),
    ],
)
def test_configurations_that_are_not_supported(
    ernie: ErnieTokenizer, tmp_path: Path, config: str, message: str
) -> None:
    ernie.save(tmp_path)
    (tmp_path / "tokenizer_config.json").write_bytes(config.encode("latin-1"))
    with pytest.raises(UserError, match=message):
        open_tokenizer(tmp_path)


def test_huggingface_files(ernie: ErnieTokenizer, tmp_path: Path) -> None:
    write_tokenizer(ernie, tmp_path / "new", "huggingface", max_length=513)
    assert read_vocab(tmp_path / "new" / "vocab.txt") == TOKENS
    config = json.loads((tmp_path / "new" / "tokenizer_config.json").read_text())
    assert (config["tokenizer_class"], config["model_max_length"]) == ("PreTrainedTokenizerFast", 513)
    content = json.loads((tmp_path / "new" / "tokenizer.json").read_text(encoding="utf-8"))
    assert (content["truncation"], content["padding"]) == (None, None)
    ids = content["model"]["vocab"]
    assert sorted(ids.values()) == list(range(len(TOKENS)))
    assert (ids["$"], ids["$ 9"]) == (12, 9)
    (tmp_path / "new" / "vocab.txt").unlink()  # as in a folder that Hugging Face's class saved
    assert open_tokenizer(tmp_path / "new").tokens == tuple(TOKENS)


@pytest.mark.parametrize("part", ["normalizer", "pre_tokenizer", "added_tokens"])
def test_another_tokenizer_of_the_rust_library_is_refused(ernie: ErnieTokenizer, tmp_path: Path, part: str) -> None:
    write_tokenizer(ernie, tmp_path, "huggingface")
    path = tmp_path / "tokenizer.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**content, part: {"type": "Other"}}))
    with pytest.raises(UserError, match=f"its {part} is not that of ERNIE"):
        open_tokenizer(tmp_path)
    path.unlink()
    with pytest.raises(UserError, match="cannot read .*tokenizer.json"):
        open_tokenizer(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[]", "no WordPiece vocabulary"),
        ('{"model": {"vocab": ["a"]}}', "no WordPiece vocabulary"),
        ('{"model": {"vocab": {"a": 1}}}', "no WordPiece vocabulary"),
        ('{"model": {"vocab": {"a": [0]}}}', "no WordPiece vocabulary"),
        ('{"model": {"vocab": {"a": 0, "[PAD]": 1}}}', r"must hold \[CLS\], \[MASK\]"),
    ],
)
def test_rust_files_without_a_sound_vocabulary(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "tokenizer_config.json").write_text('{"tokenizer_class": "TokenizersBackend"}')
    (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(UserError, match=message):
        open_tokenizer(tmp_path)


def test_huggingface_has_no_tiny(tiny: ErnieTinyTokenizer, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="Hugging Face has no tokenizer"):
        write_tokenizer(tiny, tmp_path / "new", "huggingface")
    assert not (tmp_path / "new").exists()


def test_paddlenlp_files(ernie: ErnieTokenizer, tmp_path: Path) -> None:
    write_tokenizer(ernie, tmp_path, "paddlenlp", gram=True)
    config = json.loads((tmp_path / "tokenizer_config.json").read_text())
    assert config["tokenizer_class"] == "ErnieGramTokenizer" and "model_max_length" not in config
    assert json.loads((tmp_path / "special_tokens_map.json").read_text())["mask_token"] == "[MASK]"


def test_pickled_words_are_plain_data(tiny: ErnieTinyTokenizer, tmp_path: Path) -> None:
    write_tokenizer(tiny, tmp_path, "paddlenlp")
    codes = [code.name for code, _, _ in pickletools.genops((tmp_path / "dict.wordseg.pickle").read_bytes())]
    assert not {"GLOBAL", "STACK_GLOBAL", "REDUCE", "INST", "OBJ", "NEWOBJ", "BUILD"} & set(codes)
    assert codes.count("BINUNICODE") == 2


@pytest.mark.parametrize(
    ("lines", "line", "message"),
    [(10_000_000, "a\n", "more than 1,000,000 lines"), (10_000_000, "12345678\n", "90,000,000 bytes")],
)
def test_huge_vocabularies_are_refused_at_once(tmp_path: Path, lines: int, line: str, message: str) -> None:
    path = tmp_path / "vocab.txt"
    path.write_text(line * lines)
    tracemalloc.start()
    start = time.perf_counter()
    with pytest.raises(UserError, match=message):
        read_vocab(path)
    assert time.perf_counter() - start < 1
    assert tracemalloc.get_traced_memory()[1] < 40 * 2**20
    tracemalloc.stop()
