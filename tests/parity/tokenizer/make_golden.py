"""Writes golden.json: PaddleNLP's ids of hard lines on a small vocabulary. Needs paddlenlp and Python 3.11."""

# ruff: noqa: E501

from __future__ import annotations

import json
import random
import tempfile
from pathlib import Path

WORDS = "the token ##ize ##s play ##ing un ##aff ##able run 2024 ##24 20 cafe naive strasse hello world mask cls"
CHARACTERS = (
    "abcdefghijklmnopqrstuvwxyz0123456789我爱北京天安门今天气很好凉豈国體"
    "，。！？、；：“”‘’（）《》【】…—·,.!?;:'\"()[]{}<>@#$%^&*-_=+|\\/~`"
    "×℃°①㎡€™±≠²µº〇ØøŋƱ–♥★☆→é😀👍🏽👨👩🇨🇳がかカ한ᄒ\u1161\u11abสวัีمرحبЖжяßσςαı𠮷２ＡｂＡ𝒳"
)
CLASSES = {
    "symbols": "3×4 25℃ 37°C ① 90㎡ €5 Paddle™ ±1 a²b 5µm nº5 二〇二四 Øre øre ŋŊ Ʊʊ a→b ★★☆ ♥♥ ``x`` ^_^ $$ 100% #标签# a=b~c",
    "emoji": "好😀 👍🏽 👨‍👩‍👧 🇨🇳🇨🇳 ☺️ 1️⃣ 🏴‍☠️ 😀😀😀 a😀b \U0001fae8新 \U0001f6dc",
    "controls": "a\x00b \x7f我\x7f a\u200bb \ufeff你好 \ufffd我\ufffd \u200d \xad软\xad连 \u202a右\u202c a\x0bb a\x0cb a\x85b \x1c\x1f a\u2060b",
    "private": "\ue000我 a\uf8ffb \U000f0000 \U0010ffff \u0378 \u2fe0 \U000e0041",
    "spaces": "a\tb a\nb a\r\nb a\xa0b 我\u3000爱 a\u2028b a\u2029b a\u2003b \u1680 a\u202fb a\u205fb",
    "accents": "café cafe\u0301 naïve NAÏVE İstanbul ıI ß STRASSE Straße Å Å Ω Σ ΟΔΟΣ σς ñ n\u0303 \u0301a 我\u0301 ≠ =\u0338 ǅ ﬁ ἄ Ệ",
    "width": "２０２４ ＡＢＣ ａｂｃ ｱｲｳ ｶﾞ ，．！ （我） ￥ ｜ 　",
    "ideographs": "𠮷野 㐀 𪜀 𫝀 𫠠 𬺰 𰀀 \U00031350 \U0002ebf0 豈 更 凉 \uf979 丽 〆 々 ⼀ ⺀ ㈱ ㍿ 〇〇",
    "scripts": "한국어 각 ᄒ\u1161\u11ab がぎぐ か\u3099 カガ สวัสดี مَرْحَبًا שָׁלוֹם Жёлтый नमस्ते 𝒳𝒴 \U0001171ea \u1cf4",
    "special": "[MASK] 我[MASK]爱 [mask] [CLS]a[SEP] [PAD][PAD] [UNK]x [CLS[CLS] [[MASK]] [MA\u200bSK] [UNK [MASK]s \x85[MASK]\x1c ＭＡＳＫ [ＭＡＳＫ] MASK]",
    "words": "tokenizes Tokenize unaffable unaffables UNAFFABLE playing2024 20242024 the-token the_token don't e.g. v1.2.3 http://a.b/c?d=e",
}
WHOLE = [
    "", " ", "   ", "\t\n", "\u3000", "\x00", "\u200b\u200b", "\ufffd", "\ud800", "a\udfffb", "我\ud83d爱", "\u0301",
    "a" * 99, "a" * 100, "a" * 101, "a" * 300, "é" * 100, "e\u0301" * 100, "İ" * 101, "a\u200b" * 100, "我" * 101,
    "!" * 101, "tokenizes" * 11, "한" * 34, "[MASK]" * 30, "##s", "a##s", "[MASK]##s", "\n[MASK]\n",
]  # fmt: skip


def hard_lines() -> list[str]:
    """Each word by itself, each class as one line, and random mixtures of all characters."""
    words = [word for line in CLASSES.values() for word in line.split(" ")]
    dice = random.Random(0)
    alphabet = sorted(set("".join(CLASSES.values()))) + [
        "[MASK]",
        "[SEP]",
        "##",
        " ",
        " ",
        "我",
        "the",
        "token",
    ]
    mixtures = ["".join(dice.choices(alphabet, k=dice.randint(2, 30))) for _ in range(140)]
    return list(dict.fromkeys([*WHOLE, *CLASSES.values(), *words, *mixtures]))


def main() -> None:
    from paddlenlp.transformers import ErnieTokenizer

    letters = sorted(set(CHARACTERS) - {"ß"})
    vocab = [
        "[PAD]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        *letters,
        *(f"##{letter}" for letter in letters),
        *WORDS,
        "[UNK]",
    ]
    vocab.append("$")  # a second time, as in ERNIE 3.0
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "vocab.txt").write_text("\n".join(vocab) + "\n", encoding="utf-8")
        tokenizers = {flag: ErnieTokenizer.from_pretrained(folder, do_lower_case=flag) for flag in (True, False)}
    lines = [
        {
            "text": text,
            "lower": tokenizers[True](text)["input_ids"],
            "cased": tokenizers[False](text)["input_ids"],
        }
        for text in hard_lines()
    ]
    pairs = []
    for first in range(7):
        for second in range(7):
            for max_length in (5, 6, 7, 8, 9, 12):
                texts = ("我爱北京天安门，今天"[:first], "tokenizes 한 the 天气很好"[: 3 * second])
                ids = tokenizers[True](*texts, max_length=max_length, truncation=True)
                pairs.append([*texts, max_length, ids["input_ids"], ids["token_type_ids"]])
    golden = {"vocab": vocab, "lines": lines, "pairs": pairs}
    text = json.dumps(golden, separators=(",", ":")).replace('{"text"', '\n{"text"').replace('],["', '],\n["')
    Path(__file__).with_name("golden.json").write_text(text + "\n", encoding="ascii")


if __name__ == "__main__":
    main()
