"""The ERNIE tokenizer: PaddleNLP's ids from the Rust library `tokenizers`."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

import tokenizers
from tokenizers import (
    AddedToken,
    Encoding,
    Regex,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
)

from ppernie.data.tokenizers.base import Tokenizer, Truncate, kept_tokens
from ppernie.data.tokenizers.files import (
    CONFIG_FILE,
    SPECIAL_TOKENS,
    VOCAB_FILE,
    read_config,
    read_vocab,
    write_config,
    write_vocab,
)
from ppernie.errors import UserError

# Loader workers are forked, and a pool of Rust threads does not survive a fork.
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

MAX_WORD_CHARACTERS = 100
# Whose folders hold this tokenizer: weights of ERNIE in Hugging Face's format name BERT's.
CLASSES = ("ErnieTokenizer", "ErnieGramTokenizer", "BertTokenizer", "BertTokenizerFast")

# What PaddleNLP calls a Chinese character, and the characters it calls symbols beside the Unicode class S.
CHINESE = "3400-4DBF 4E00-9FFF F900-FAFF 20000-2A6DF 2A700-2CEAF 2F800-2FA1F"
EXTRA_SYMBOLS = "B2 B5 BA D8 14B 1B1 3007"
# PaddleNLP asks Python 3.11, which knows Unicode 14 and drops what is not assigned there; the Rust library
# knows Unicode 16. These are the unassigned stretches of Unicode 14 in which something was assigned since.
AFTER_UNICODE_14 = """
892-897 CF3-CFF ECE-ECF 1B4D-1B4F 1B7F 1C89-1C8F 2427-243F 2FFC-2FFF 31E4-31EF A7CB-A7CF A7DA-A7F1 105BD-105FF
10D3A-10E5F 10EB2-10EFF 1123F-1127F 11375-113FF 116CA-116FF 11AF9-11BFF 11EF9-11FAF 1342F 13439-143FF
14647-167FF 16B90-16E3F 18CD6-18CFF 1B123-1B14F 1B153-1B163 1BCA4-1CEFF 1D246-1D2DF 1DF1F-1DFFF 1E02B-1E0FF
1E300-1E7DF 1F6D8-1F6DC 1F774-1F77F 1F7D9-1F7DF 1F8B2-1F8FF 1FA75-1FA77 1FA87-1FA8F 1FAAD-1FAAF 1FABB-1FABF
1FAC6-1FACF 1FADA-1FADF 1FAE8-1FAEF 1FAF7-1FAFF 1FBCB-1FBEF 2B739-2B73F 2EBE1-2F7FF 3134B-E0000
"""
# Behind the first character of a special token; cut there, it is text.
INSIDE_SPECIAL = re.compile("|".join(rf"(?<={re.escape(t[0])})(?={re.escape(t[1:])})" for t in SPECIAL_TOKENS.values()))
UNPAIRED_SURROGATE = re.compile("[\ud800-\udfff]")


def _code_points(ranges: str) -> str:
    """Turns "B2 3400-4DBF" into the inside of a regular expression's character class."""
    return re.sub(r"([0-9A-F]+)", r"\\x{\1}", ranges).replace(" ", "").replace("\n", "")


DROPPED = Regex(rf"[\p{{C}}\x{{FFFD}}{_code_points(AFTER_UNICODE_14)}&&[^\t\n\r]]")
ACCENT = Regex(r"[\p{Mn}\x{1171E}]")  # U+1171E left the class Mn after Unicode 14
ALONE = rf"\p{{P}}\p{{S}}{_code_points(EXTRA_SYMBOLS)}{_code_points(CHINESE)}"
WORD = Regex(rf"[{ALONE}]|[^\p{{Z}}\t\n\r{ALONE}]+")


def shadowed_name(token: str, index: int) -> str:
    """What the Rust library calls an id whose token occurs again later, so that it is never produced.

    Every id needs a name, since others take the number of names for the number of ids. No text contains this
    one: words hold no space.
    """
    return f"{token} {index}"


class ErnieTokenizer(Tokenizer):
    """Text to ids, equal to those of `paddlenlp.transformers.ErnieTokenizer.from_pretrained` on Python 3.11.

    Control, private and unassigned characters are dropped; Chinese characters, punctuation and symbols stand
    alone; the rest is cut at spaces and then into the longest pieces of the vocabulary. A literal "[MASK]" or
    other special token in a text becomes that token. Offsets count characters of the text as it was given.
    Nothing changes after construction, so threads and forked workers may share one object.

    Known differences from PaddleNLP: U+11938 counts as two characters; `truncate="first"` or `"second"` with
    no room for a token, and a `max_length` below 3 (5 for a pair), raise where PaddleNLP returns too many ids.

    Args:
        tokens: the vocabulary in the order of ids. Of a token that occurs twice ("$" in ERNIE 3.0) the last id
            is produced, as by PaddleNLP.
        lowercase: lower-case the text and strip its accents.
    """

    def __init__(self, tokens: Sequence[str], *, lowercase: bool = True) -> None:
        super().__init__(tokens, lowercase=lowercase)
        names = {
            token if self.vocab[token] == index else shadowed_name(token, index): index
            for index, token in enumerate(tokens)
        }
        model = models.WordPiece(names, unk_token="[UNK]", max_input_chars_per_word=MAX_WORD_CHARACTERS)
        self._tokenizer = tokenizers.Tokenizer(model)
        steps: list[normalizers.Normalizer] = [normalizers.Replace(DROPPED, "")]
        if lowercase:
            steps += [normalizers.Lowercase(), normalizers.NFD(), normalizers.Replace(ACCENT, "")]
        self._tokenizer.normalizer = normalizers.Sequence(steps)
        self._tokenizer.pre_tokenizer = pre_tokenizers.Split(WORD, "removed", invert=True)
        sep, cls = ("[SEP]", self.sep_id), ("[CLS]", self.cls_id)
        self._tokenizer.post_processor = processors.BertProcessing(sep, cls)
        self._tokenizer.decoder = decoders.WordPiece(cleanup=False)
        self._tokenizer.add_special_tokens(
            [AddedToken(token, normalized=False, special=True) for token in SPECIAL_TOKENS.values()]
        )

    @classmethod
    def from_vocab(cls, path: str | Path, *, lowercase: bool = True) -> ErnieTokenizer:
        """Reads a file of one token a line, or of "token<TAB>id" lines; `UserError` if it is not sound."""
        return cls(read_vocab(Path(path)), lowercase=lowercase)

    @classmethod
    def from_folder(cls, folder: str | Path) -> ErnieTokenizer:
        """Reads `vocab.txt` and, if it is there, `tokenizer_config.json`, as saved here or by PaddleNLP."""
        path = Path(folder) / CONFIG_FILE
        config = read_config(path)
        if config.kind not in CLASSES:
            raise UserError(f"{path}: tokenizer_class {config.kind!r} is not supported: {', '.join(CLASSES)} are")
        return cls.from_vocab(Path(folder) / VOCAB_FILE, lowercase=config.lowercase)

    def save(self, folder: str | Path) -> None:
        """Writes `vocab.txt` and `tokenizer_config.json`, which PaddleNLP's `from_pretrained` reads too."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        write_vocab(folder / VOCAB_FILE, self.tokens)
        write_config(folder / CONFIG_FILE, "ErnieTokenizer", self.lowercase)

    def to_json(self) -> str:
        """The tokenizer in the form of the Rust library, the content of a `tokenizer.json`."""
        return self._tokenizer.to_str()

    def _join_tokens(self, tokens: list[str]) -> str:
        return " ".join(tokens).replace(" ##", "")

    def encode(
        self,
        text: str,
        pair: str | None = None,
        *,
        max_length: int | None = None,
        truncate: Truncate = "longest_first",
        stride: int = 0,
    ) -> Encoding:
        texts = (text,) if pair is None else (text, pair)
        encodings = [self._cut(*side) for side in _sides(texts)]
        return self._join(texts, encodings, max_length, truncate, stride)

    def encode_batch(
        self,
        items: Sequence[str | tuple[str, str]],
        *,
        max_length: int | None = None,
        truncate: Truncate = "longest_first",
        stride: int = 0,
    ) -> list[Encoding]:
        batch = [(item,) if isinstance(item, str) else item for item in items]
        sides = [side for texts in batch for side in _sides(texts)]
        try:
            encodings = iter(self._tokenizer.encode_batch(sides, add_special_tokens=False))
        except TypeError:
            encodings = iter([self._cut(*side) for side in sides])
        return [self._join(texts, [next(encodings) for _ in texts], max_length, truncate, stride) for texts in batch]

    def encode_words(self, words: Sequence[str], *, max_length: int | None = None) -> Encoding:
        try:
            encoding = self._tokenizer.encode(words, is_pretokenized=True, add_special_tokens=False)
        except TypeError:
            repaired = [_without_surrogates(word) for word in words]
            encoding = self._tokenizer.encode(repaired, is_pretokenized=True, add_special_tokens=False)
        return self._join((), [encoding], max_length, "first", 0)

    def _cut(self, first: str, second: str = "") -> Encoding:
        """Encodes without special tokens."""
        try:
            return self._tokenizer.encode(first, second, add_special_tokens=False)
        except TypeError:
            first, second = _without_surrogates(first), _without_surrogates(second)
            return self._tokenizer.encode(first, second, add_special_tokens=False)

    def _join(
        self,
        texts: Sequence[str],
        encodings: list[Encoding],
        max_length: int | None,
        truncate: Truncate,
        stride: int,
    ) -> Encoding:
        """Cuts one or two encodings down to `max_length` and adds the special tokens."""
        if max_length is None:
            return self._tokenizer.post_process(*encodings)
        kept = kept_tokens([len(encoding) for encoding in encodings], max_length, truncate, stride)
        if len(encodings) == 2 and truncate == "longest_first":
            encodings = list(map(self._head, texts, encodings, kept))
        else:
            for encoding, length in zip(encodings, kept, strict=True):
                encoding.truncate(length, stride)
        return self._tokenizer.post_process(*encodings)

    def _head(self, text: str, encoding: Encoding, kept: int) -> Encoding:
        """The first `kept` tokens, without the windows that `Encoding.truncate` would leave behind.

        Two texts of 40 windows each would be joined into 1,600. The longest piece at each place does not depend
        on what follows the cut, so encoding the shortened text gives the same tokens.
        """
        if kept == len(encoding):
            return encoding
        head = self._cut(text[: encoding.offsets[kept - 1][1]])
        head.truncate(kept)  # one character may yield several tokens (Hangul)
        return head


def _sides(texts: Sequence[str]) -> list[tuple[str, str]]:
    """What to encode for each text by itself: behind an empty text it gets type id 1, in all its windows."""
    return [(texts[0], ""), *(("", pair) for pair in texts[1:])]


def _without_surrogates(text: str) -> str:
    """Replaces what a Rust string cannot hold by U+FFFD, which is dropped too and keeps the offsets."""
    return UNPAIRED_SURROGATE.sub("\ufffd", text)
