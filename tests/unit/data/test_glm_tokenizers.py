"""GLM's tokenizers: ids of the published schemes, commands in texts, white space, offsets, folders."""

from __future__ import annotations

import copy
import json
import pickle
import re
from itertools import groupby
from pathlib import Path

import pytest
from sentencepiece.sentencepiece_model_pb2 import ModelProto
from tokenizers import pre_tokenizers

from ppernie.config.sections import TokenizerSection
from ppernie.data.tokenizers import (
    GlmBertTokenizer,
    GlmChineseTokenizer,
    GlmGPT2Tokenizer,
    GlmTokenizer,
    IcetkTokenizer,
    open_tokenizer,
    write_tokenizer,
)
from ppernie.data.tokenizers.icetk import BLANKS, BYTES, COMMANDS, TAB
from ppernie.data.tokenizers.settings import tokenizer_of
from ppernie.data.tokenizers.training import FIXED_PIECES, train_icetk
from ppernie.errors import UserError
from ppernie.zoo.tokenizer import has_tokenizer

LINES = ["The cat sat on the mat.", "天地玄黄，宇宙洪荒。", "def f(x):", "日月盈昃，辰宿列张。", "A cat and a dog sat."]
HARD = [
    "",
    " ",
    "a",
    " a",
    "  a",
    "a\n\n\tb ",
    "天 地",
    "鱻a",
    "<n>",
    "a [MASK] b",
    "\U00020000\ud800b",
    " " * 85 + "x",
]


@pytest.fixture(scope="module")
def icetk() -> IcetkTokenizer:
    return train_icetk(LINES * 4, FIXED_PIECES + 40)


@pytest.fixture(scope="module")
def gpt2() -> GlmGPT2Tokenizer:
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {token: number for number, token in enumerate([*letters, "ca", "cat", "<|endoftext|>"])}
    return GlmGPT2Tokenizer(vocab, [("c", "a"), ("ca", "t")])


@pytest.fixture(scope="module")
def chinese(icetk: IcetkTokenizer) -> GlmChineseTokenizer:
    return GlmChineseTokenizer(
        _model({0: "<unk>", 1: "<s>", 2: "</s>", 3: "<n>", 4: "▁", 5: "天", 6: "地", 7: "▁天"}, 8)
    )


@pytest.fixture(scope="module")
def bert() -> GlmBertTokenizer:
    words = ["the", "cat", "sat", "a", "dog", "##s", "x", "n", "m", "##ask", "mask", "[", "]", "<", ">", "，", "。"]
    return GlmBertTokenizer(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words, "天", "地"])


@pytest.fixture(params=["icetk", "gpt2", "chinese", "bert"])
def tokenizer(request: pytest.FixtureRequest) -> GlmTokenizer:
    found: GlmTokenizer = request.getfixturevalue(request.param)
    return found


def _model(named: dict[int, str], size: int) -> bytes:
    """A SentencePiece model of so many pieces, some of them with these names."""
    proto = ModelProto()
    kinds = {"<unk>": 2, "<s>": 3, "</s>": 3, "<n>": 4, **dict.fromkeys(COMMANDS, 3), **dict.fromkeys(BYTES, 6)}
    for index in range(size):
        name = named.get(index, f"piece{index}")
        proto.pieces.add(piece=name, score=-1.0 - index / size, type=kinds.get(name, 1))
    proto.trainer_spec.model_type = 1
    return bytes(proto.SerializeToString())


def test_ids_of_glm_130b() -> None:
    """130,000 pieces behind 20,000 images; commands, spaces and bytes from 150,000 on (spec of icetk)."""
    file = {0: "<unk>", 1: "<s>", 2: "</s>", 3: "<pad>", 4: "<n>", 5: "▁", 6: "天", 129_999: "地"}
    tokenizer = IcetkTokenizer(_model(file, 130_000))
    assert [tokenizer.vocab[name] for name in COMMANDS] == list(range(150_000, 150_008))
    assert (tokenizer.mask_id, tokenizer.gmask_id, tokenizer.smask_id) == (150_000, 150_001, 150_002)
    assert (tokenizer.sop_id, tokenizer.eop_id, tokenizer.eos_id, tokenizer.pad_id) == (150_004, 150_005, 20_002, 0)
    assert tokenizer.vocab[TAB] == 150_008
    assert [tokenizer.vocab[name] for name in BLANKS] == [150_007 + count for count in range(2, 81)]
    assert tokenizer.vocab_size == 150_088 + 256
    assert tokenizer.encode_plain("天\n地\t  é") == [
        20_005,
        20_006,
        20_004,
        149_999,
        150_008,
        150_009,
        150_283,
        150_257,
    ]
    assert tokenizer.encode("天[MASK]").ids == [20_005, 20_006, 150_000, 20_002]
    assert tokenizer.decode(tokenizer.encode_plain("天\n地\t  é")) == "天\n地\t  é"
    assert tokenizer.decode([0, 20_006, 150_001, 150_004, 149_999, 150_005, 20_002]) == "天地"


def test_ids_of_chatglm_6b() -> None:
    """Its file holds the commands itself, and no images come before it."""
    names = ["[MASK]", "[gMASK]", "[sMASK]", "<unused_0>", "<sop>", "<eop>", "<ENC>", "<dBLOCK>"]
    file = {0: "<unk>", 1: "<s>", 2: "</s>", 3: "<pad>", 4: "<n>", 5: "▁", 6: "天"}
    model = _model(file | dict(enumerate(names, 130_000)), 130_344)
    tokenizer = IcetkTokenizer(model)
    assert (tokenizer.mask_id, tokenizer.gmask_id, tokenizer.sop_id, tokenizer.eop_id, tokenizer.pad_id) == (
        *(130_000, 130_001, 130_004, 130_005),
        3,
    )
    assert tokenizer.vocab_size == 130_344 and tokenizer.encode_plain("天\n") == [5, 6, 4]
    assert IcetkTokenizer(model, image_tokens=20_000).mask_id == 150_000


def test_trained_model_is_small_and_holds_all(icetk: IcetkTokenizer) -> None:
    assert (icetk.vocab_size, icetk.image_tokens) == (FIXED_PIECES + 40, 0)
    assert all(name in icetk.vocab for name in (*COMMANDS, "<n>", TAB, *BLANKS, *BYTES))
    assert icetk.pad_id == icetk.vocab["<pad>"] and icetk.eos_id == icetk.vocab["</s>"]


@pytest.mark.parametrize("text", [*LINES, *HARD, "x" + " " * 81 + "y", "\t\t", "a\r\nb\u3000é①😀", "end  "])
def test_icetk_gives_text_back(icetk: IcetkTokenizer, text: str) -> None:
    expected = text.replace("\ud800", "\ufffd").replace("<n>", "\n")
    assert icetk.decode(icetk.encode_plain(text)) == expected


def test_runs_of_spaces_take_one_token_up_to_80(icetk: IcetkTokenizer) -> None:
    names = [icetk.tokens[index] for index in icetk.encode_plain("x" + " " * 83 + "y" + " " * 2 + "x y")]
    assert [name for name in names if "blank" in name] == ["<|blank_80|>", "<|blank_3|>", "<|blank_2|>"]


def test_any_model_of_sentencepiece(shared_data: Path) -> None:
    for name, size in (("glm_cog-pretrain.model", 50_000), ("spm_test_model.model", 1000)):
        tokenizer = IcetkTokenizer.from_file(shared_data / "vocab" / name)
        assert (tokenizer.mask_id, tokenizer.vocab["<0x00>"]) == (20_000 + size, 20_000 + size + 88)
        text = "a cat\nand 鱻鱻 cats"
        assert tokenizer.decode(tokenizer.encode_plain(text)) == text


@pytest.mark.parametrize("text", [*LINES, *HARD])
def test_offsets_name_the_characters(tokenizer: GlmTokenizer, text: str) -> None:
    encoding = tokenizer.encode(text)
    inside = [span for span, special in zip(encoding.offsets, encoding.special_tokens_mask, strict=True) if not special]
    assert all(0 <= start <= end <= len(text) for start, end in inside)
    assert inside == sorted(inside)
    letters = "".join(text[start:end] for start, end in inside)
    if tokenizer.unk_id not in encoding.ids and not isinstance(tokenizer, GlmGPT2Tokenizer):
        assert letters.replace(" ", "").replace("\n", "") == text.replace(" ", "").replace("\n", "")


def test_pieces_stand_where_their_letters_do(icetk: IcetkTokenizer) -> None:
    text = "cat\n\tcat   [gMASK]鱻 cat"
    encoding = icetk.encode(text)
    named = {icetk.tokens[i]: text[a:b] for i, (a, b) in zip(encoding.ids, encoding.offsets, strict=True)}
    assert named["<n>"] == "\n" and named[TAB] == "\t" and named["<|blank_3|>"] == "   "
    assert named["[gMASK]"] == "[gMASK]" and named["<0xBB>"] == "鱻"


def test_commands_in_texts(tokenizer: GlmTokenizer) -> None:
    masks = [tokenizer.mask_id, tokenizer.gmask_id, tokenizer.smask_id, tokenizer.sop_id]
    names = [tokenizer.tokens[mask or 0] for mask in masks]
    text = "天".join(names)
    for ids in (tokenizer.encode(text).ids, tokenizer.encode_prompt(text)):
        assert [index for index in ids if index in masks] == masks
    assert tokenizer.encode_prompt("天") == tokenizer.encode_plain("天")
    assert not set(tokenizer.encode_plain(text)) & set(masks)
    assert not set(masks) & {i for ids, _ in tokenizer.encode_sentences([text, *names]) for i in ids}


def test_special_tokens_around_a_text(chinese: GlmChineseTokenizer, icetk: IcetkTokenizer) -> None:
    assert chinese.encode("天").tokens == ["[CLS]", "▁天", "<|endoftext|>"]
    assert icetk.encode("").ids == [icetk.eos_id]
    assert chinese.encode("天  [MASK] 地").tokens[1:-1] == ["▁天", "[MASK]", "▁", "地"]
    with pytest.raises(UserError, match="not a pair"):
        chinese.encode("天", "地")
    with pytest.raises(UserError, match="not a pair"):
        chinese.encode_batch([("天", "地")])


def test_too_long_texts(icetk: IcetkTokenizer) -> None:
    whole = icetk.encode("The cat sat on the mat.").ids
    cut = icetk.encode("The cat sat on the mat.", max_length=6, stride=2)
    assert cut.ids == [*whole[:5], icetk.eos_id] and cut.overflowing[0].ids[:2] == whole[3:5]
    assert len(icetk.encode("The cat", max_length=2)) == 2
    with pytest.raises(UserError, match="leaves no room"):
        icetk.encode("The cat", max_length=1)


def test_batches_and_words(tokenizer: GlmTokenizer) -> None:
    assert tokenizer.encode_batch([*LINES, *HARD]) == [tokenizer.encode(text) for text in [*LINES, *HARD]]
    words = tokenizer.encode_words(["天", "", "地"])
    assert {words.word_ids[n] for n in range(len(words)) if not words.special_tokens_mask[n]} == {0, 2}


def test_sentences_follow_on_each_other(icetk: IcetkTokenizer, gpt2: GlmGPT2Tokenizer) -> None:
    """The ids of a text cut into sentences are those of the text, where both cut it alike."""
    sentences = ["天地玄黄，宇宙洪荒。", "“日月盈昃，辰宿列张。”", "A cat sat.", "The dog."]
    joined = "天地玄黄，宇宙洪荒。“日月盈昃，辰宿列张。” A cat sat. The dog."
    assert [i for ids, _ in icetk.encode_sentences(sentences) for i in ids] == icetk.encode_plain(joined)[1:]
    assert [i for ids, _ in gpt2.encode_sentences(sentences) for i in ids] == gpt2.encode_plain(joined)
    for tokenizer in (icetk, gpt2):
        for sentence, (_, offsets) in zip(sentences, tokenizer.encode_sentences(sentences), strict=True):
            assert offsets[0][0] == 0 and offsets[-1][1] == len(sentence)
            assert all(0 <= start <= end for start, end in offsets)


def test_paragraphs_follow_on_a_line_feed(icetk: IcetkTokenizer, gpt2: GlmGPT2Tokenizer) -> None:
    sentences = ["天地玄黄，宇宙洪荒。", "\nA cat sat.", "The dog.", "\n“日月盈昃，辰宿列张。”", "\nThe cat."]
    joined = "天地玄黄，宇宙洪荒。\nA cat sat. The dog.\n“日月盈昃，辰宿列张。”\nThe cat."
    assert [i for ids, _ in icetk.encode_sentences(sentences) for i in ids] == icetk.encode_plain(joined)[1:]
    assert [i for ids, _ in gpt2.encode_sentences(sentences) for i in ids] == gpt2.encode_plain(joined)
    for tokenizer in (icetk, gpt2):
        for sentence, (_, offsets) in zip(sentences, tokenizer.encode_sentences(sentences), strict=True):
            assert offsets[0][0] == 0 and offsets[-1][1] == len(sentence)


@pytest.mark.parametrize(
    "text", ["天地[MASK]，宇宙[MASK]。", "The cat[MASK] the mat. [sMASK] A dog", "[gMASK]天\n[MASK]地"]
)
def test_around_a_blank_a_text_runs_on(icetk: IcetkTokenizer, text: str) -> None:
    """What stands behind a blank is cut as behind a letter that stands alone: no space is put before it."""
    ids = icetk.encode_prompt(text)
    first, *others = re.split(r"\[[sg]?MASK\]", text)
    assert icetk.decode(ids) == first + "".join(others)
    behind = [part for part in others if part]
    masks = {icetk.mask_id, icetk.gmask_id, icetk.smask_id}
    runs = [list(run) for masked, run in groupby(ids, masks.__contains__) if not masked]
    assert runs[-len(behind) :] == [icetk.encode_plain("天" + part)[2:] for part in behind]


def test_published_ids_of_the_kin(gpt2: GlmGPT2Tokenizer, shared_data: Path) -> None:
    size = len(gpt2.tokens) - 8
    assert (gpt2.sop_id, gpt2.eop_id, gpt2.cls_id, gpt2.mask_id, gpt2.sep_id) == tuple(range(size, size + 5))
    assert (gpt2.gmask_id, gpt2.smask_id, gpt2.pad_id, gpt2.eos_id) == (size + 6, size + 7, size - 1, size - 1)
    assert gpt2.encode("cat cat").tokens == ["[CLS]", "cat", "Ġ", "cat", "<|endoftext|>"]
    assert gpt2.decode(gpt2.encode("cats\nsé").ids) == "cats\nsé"
    cog = GlmChineseTokenizer.from_file(shared_data / "vocab" / "glm_cog-pretrain.model")
    assert (cog.pad_id, cog.sep_id, cog.cls_id, cog.mask_id) == (50_000, 50_001, 50_002, 50_003)
    assert (cog.sop_id, cog.eop_id, cog.smask_id, cog.gmask_id, cog.unk_id) == (50_006, 50_007, 50_008, 50_009, 0)


def test_wordpieces_of_the_smallest_glm(bert: GlmBertTokenizer, tmp_path: Path) -> None:
    size = bert.vocab_size - 4
    assert (bert.sop_id, bert.eop_id, bert.gmask_id, bert.smask_id) == (size, size + 1, size + 2, size + 3)
    assert bert.encode("The [MASK] sat").tokens == ["[CLS]", "the", "[MASK]", "sat", "[SEP]"]
    assert [bert.tokens[i] for i in bert.encode_plain("cats [MASK]")] == ["cat", "##s", "[", "mask", "]"]
    assert bert.decode(bert.encode("The cats sat").ids) == "the cats sat"
    # A released folder has a vocabulary alone; one that holds the commands is told by them.
    (tmp_path / "vocab.txt").write_text("\n".join(bert.tokens), encoding="utf-8")
    assert isinstance(open_tokenizer(tmp_path), GlmBertTokenizer)
    (tmp_path / "vocab.txt").write_text("\n".join(bert.tokens[:-4]), encoding="utf-8")
    assert not isinstance(open_tokenizer(tmp_path), GlmTokenizer)
    section = TokenizerSection(name="glm_bert", vocab_file=str(tmp_path / "vocab.txt"))
    found = tokenizer_of(section)
    assert found is not None and found.tokens == bert.tokens


def test_folders(tokenizer: GlmTokenizer, tmp_path: Path) -> None:
    tokenizer.save(tmp_path / "a")
    assert has_tokenizer(tmp_path / "a")
    for other in (open_tokenizer(tmp_path / "a"), copy.deepcopy(tokenizer), pickle.loads(pickle.dumps(tokenizer))):
        assert type(other) is type(tokenizer) and other.tokens == tokenizer.tokens
        assert other.encode_batch([*LINES, *HARD]) == tokenizer.encode_batch([*LINES, *HARD])
    (tmp_path / "a" / "tokenizer_config.json").unlink()
    other = open_tokenizer(tmp_path / "a")
    assert type(other) is type(tokenizer) and other.tokens == tokenizer.tokens


def test_other_libraries(tokenizer: GlmTokenizer, tmp_path: Path) -> None:
    write_tokenizer(tokenizer, tmp_path, "paddlenlp", max_length=512)
    assert open_tokenizer(tmp_path).tokens == tokenizer.tokens
    with pytest.raises(UserError, match="Hugging Face has no tokenizer of GLM"):
        write_tokenizer(tokenizer, tmp_path, "huggingface")


def test_images_of_a_folder(icetk: IcetkTokenizer, tmp_path: Path) -> None:
    IcetkTokenizer(icetk.model, image_tokens=7).save(tmp_path)
    assert open_tokenizer(tmp_path).mask_id == icetk.mask_id + 7
    config = tmp_path / "tokenizer_config.json"
    config.write_text('{"tokenizer_class": "ChatGLMTokenizer"}')
    assert open_tokenizer(tmp_path).mask_id == icetk.mask_id + 20_000
    config.write_text('{"tokenizer_class": "ChatGLMTokenizer", "num_image_tokens": "many"}')
    with pytest.raises(UserError, match="num_image_tokens must be a whole number, not 'many'"):
        open_tokenizer(tmp_path)


def test_added_tokens_of_a_folder(chinese: GlmChineseTokenizer, tmp_path: Path) -> None:
    added = ["[gMASK]", "<|endoftext|>", "[CLS]", "[MASK]", "[SEP]", "<|startofpiece|>", "<|endofpiece|>"]
    GlmChineseTokenizer(chinese.model, added).save(tmp_path)
    opened = open_tokenizer(tmp_path)
    assert isinstance(opened, GlmChineseTokenizer)
    assert (opened.gmask_id, opened.smask_id, opened.vocab_size) == (8, None, 15)
    (tmp_path / "added_tokens.json").unlink()
    config = {"tokenizer_class": "GLMChineseTokenizer"}
    decoder = {str(index): {"content": token} for index, token in enumerate(added, 8)}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config | {"added_tokens_decoder": decoder}))
    assert open_tokenizer(tmp_path).tokens == opened.tokens


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("added_tokens.json", b'{"[CLS]": 9}', "must have ids from 8 on without a gap"),
        ("added_tokens.json", b'{"[CLS]": 8, "[SEP]": 8}', "must have ids from 8 on without a gap"),
        ("added_tokens.json", b'{"[CLS]": "8"}', "must have ids from 8 on without a gap"),
        ("added_tokens.json", b'{"[CLS]": 8}', r"lacks <\|endofpiece\|>, "),
        ("added_tokens.json", b"[]", "expected a JSON object"),
        ("cog-pretrain.model", b"", "cog-pretrain.model: the SentencePiece model is broken"),
        ("cog-pretrain.model", b"garbage", "cog-pretrain.model: the SentencePiece model is broken"),
        ("cog-pretrain.model", None, "cannot read .*cog-pretrain.model"),
    ],
)
def test_broken_folders(
    chinese: GlmChineseTokenizer, tmp_path: Path, name: str, content: bytes | None, message: str
) -> None:
    chinese.save(tmp_path)
    (tmp_path / name).unlink()
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message):
        open_tokenizer(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("vocab.json", b'{"a": 5}', "must run from 0 without a gap"),
        ("vocab.json", b'{"a": "0"}', "must run from 0 without a gap"),
        ("vocab.json", b"{}", "lacks 256 of the 256 bytes"),
        ("vocab.json", b'["a"]', "expected a JSON object of tokens"),
        ("vocab.json", b"\xff", "broken JSON"),
        ("merges.txt", b"#version: 0.2\na\n", "merges.txt, line 2: two tokens"),
        ("merges.txt", b"c x\n", "the merges do not fit the vocabulary"),
        ("merges.txt", b"\xff\xff\n", "merges.txt: not UTF-8"),
        ("merges.txt", None, "cannot read .*merges.txt"),
    ],
)
def test_broken_gpt2(gpt2: GlmGPT2Tokenizer, tmp_path: Path, name: str, content: bytes | None, message: str) -> None:
    gpt2.save(tmp_path)
    (tmp_path / "added_tokens.json").unlink()
    (tmp_path / name).unlink()
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message):
        open_tokenizer(tmp_path)


def test_section_of_a_config(tokenizer: GlmTokenizer, tmp_path: Path) -> None:
    tokenizer.save(tmp_path)
    name, file = {
        IcetkTokenizer: ("icetk", "ice_text.model"),
        GlmGPT2Tokenizer: ("glm_gpt2", "vocab.json"),
        GlmChineseTokenizer: ("glm_chinese", "cog-pretrain.model"),
        GlmBertTokenizer: ("glm_bert", "vocab.txt"),
    }[type(tokenizer)]
    values = [{"folder": str(tmp_path)}, {"name": name, "vocab_file": str(tmp_path / file)}]
    for section in values:
        found = tokenizer_of(TokenizerSection.model_validate(section))
        assert found is not None and found.tokens == tokenizer.tokens
    assert tokenizer_of(TokenizerSection()) is None
    with pytest.raises(UserError, match="both given"):
        tokenizer_of(TokenizerSection.model_validate(values[0] | values[1]))
    with pytest.raises(UserError, match="holds no tokenizer"):
        tokenizer_of(TokenizerSection(folder=str(tmp_path / "absent")))
