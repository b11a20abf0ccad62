"""The tokenizer of the model `ernie-tiny` of 2019: words of a dictionary, then SentencePiece."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from ppernie.data.tokenizers.base import Tokenizer, Truncate
from ppernie.data.tokenizers.files import (
    CONFIG_FILE,
    SPECIAL_TOKENS,
    VOCAB_FILE,
    read_bytes,
    read_config,
    read_json,
    read_vocab,
    write_config,
    write_vocab,
)
from ppernie.data.tokenizers.pieces import Frame, Piece, PieceEncoding
from ppernie.errors import UserError

MODEL_FILE = "spm_cased_simp_sampled.model"
WORDS_FILE = "wordseg.json"
MAX_MODEL_BYTES = 64 * 2**20
MAX_WORDS_BYTES = 256 * 2**20
MAX_WORD_CHARACTERS = 5  # longer words of the dictionary are never found
SPACE = "\u2581"  # SentencePiece's mark for a space
# PaddleNLP drops the white space on both sides of a special token, even such as SentencePiece knows as a piece.
SPECIAL = re.compile(rf"({'|'.join(map(re.escape, SPECIAL_TOKENS.values()))})\s*")
UNPAIRED_SURROGATE = re.compile("[\ud800-\udfff]")


class ErnieTinyTokenizer(Tokenizer):
    """Text to ids, equal to those of `paddlenlp.transformers.ErnieTinyTokenizer` with `do_lower_case`.

    The text is lower-cased and cut into the longest words of the dictionary, of up to 5 characters, and single
    characters; SentencePiece cuts the words, joined by spaces, into pieces. A piece outside the vocabulary is
    [UNK]. A literal "[MASK]" or other special token in a text becomes that token.

    Offsets are those of the characters that a piece was made from, without the spaces around it; a piece made
    of the space between two words is empty, (n, n).

    Args:
        tokens: the vocabulary in the order of ids.
        model: the SentencePiece model as a serialized `ModelProto`.
        words: the dictionary.

    Raises:
        UserError: `model` is not a SentencePiece model, or one with pieces for single bytes.
    """

    def __init__(self, tokens: Sequence[str], model: bytes, words: Iterable[str]) -> None:
        from sentencepiece import SentencePieceProcessor

        super().__init__(tokens, lowercase=True)
        self._frame = Frame(self.tokens, [self.cls_id], [self.sep_id])
        self.model = model
        self.words = tuple(sorted(set(words)))
        self._known = frozenset(word for word in self.words if len(word) <= MAX_WORD_CHARACTERS)
        self._processor = SentencePieceProcessor()
        try:
            self._processor.LoadFromSerializedProto(model)
        except RuntimeError as error:
            raise UserError(f"the SentencePiece model is broken ({error}); fetch it again") from error
        size = self._processor.GetPieceSize() if model else 0
        if not size or any(map(self._processor.IsByte, range(size))):
            raise UserError("this SentencePiece model is not that of ernie-tiny: it has no pieces, or pieces for bytes")

    @classmethod
    def from_folder(cls, folder: str | Path) -> ErnieTinyTokenizer:
        """Reads `vocab.txt`, `spm_cased_simp_sampled.model` and `wordseg.json`, a JSON list of words."""
        folder = Path(folder)
        config = folder / CONFIG_FILE
        if not read_config(config).lowercase:
            raise UserError(f"{config}: do_lower_case must be true: the tokenizer of ernie-tiny has no other case")
        model = read_bytes(folder / MODEL_FILE, MAX_MODEL_BYTES)
        words = read_json(folder / WORDS_FILE, MAX_WORDS_BYTES)
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            raise UserError(f"{folder / WORDS_FILE}: expected a JSON list of words")
        try:
            return cls(read_vocab(folder / VOCAB_FILE), model, words)
        except UserError as error:
            raise UserError(f"{folder}: {error}") from error

    def save(self, folder: str | Path) -> None:
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        write_vocab(folder / VOCAB_FILE, self.tokens)
        write_config(folder / CONFIG_FILE, "ErnieTinyTokenizer", self.lowercase)
        (folder / MODEL_FILE).write_bytes(self.model)
        words = json.dumps(self.words, ensure_ascii=False, separators=(",\n", ":"))
        (folder / WORDS_FILE).write_text(words + "\n", encoding="utf-8")

    def _join_tokens(self, tokens: list[str]) -> str:
        return "".join(tokens).replace(SPACE, " ").strip()

    def encode(
        self,
        text: str,
        pair: str | None = None,
        *,
        max_length: int | None = None,
        truncate: Truncate = "longest_first",
        stride: int = 0,
    ) -> PieceEncoding:
        texts = (text,) if pair is None else (text, pair)
        return self._frame.around([self._cut(text) for text in texts], max_length, truncate, stride)

    def encode_batch(
        self,
        items: Sequence[str | tuple[str, str]],
        *,
        max_length: int | None = None,
        truncate: Truncate = "longest_first",
        stride: int = 0,
    ) -> list[PieceEncoding]:
        batch = [(item,) if isinstance(item, str) else item for item in items]
        return [
            self._frame.around([self._cut(text) for text in texts], max_length, truncate, stride) for texts in batch
        ]

    def encode_words(self, words: Sequence[str], *, max_length: int | None = None) -> PieceEncoding:
        pieces = [piece._replace(word=index) for index, word in enumerate(words) for piece in self._cut(word)]
        return self._frame.around([pieces], max_length, "first", 0)

    def _cut(self, text: str) -> list[Piece]:
        """The pieces of a text, special tokens that are written out among them."""
        pieces, start = [], 0
        for match in SPECIAL.finditer(text):
            before = text[start : match.start()].rstrip()
            pieces += self._cut_plain(text, start, start + len(before))
            pieces.append(Piece(self.vocab[match.group(1)], match.span(1)))
            start = match.end()
        return pieces + self._cut_plain(text, start, len(text))

    def _cut_plain(self, text: str, start: int, end: int) -> list[Piece]:
        """The pieces of text[start:end], which holds no special token."""
        joined, origins = self._words(text, start, end)
        normal, sources = self._processor.Normalize(joined, with_offsets=True)
        spans = _spans(joined, normal, sources)
        pieces, first = [], 0
        for token in self._processor.EncodeAsPieces(joined):
            last = first + len(token)
            filled = [
                span for span, letter in zip(spans[first:last], normal[first:last], strict=True) if letter != SPACE
            ]
            if filled:
                offset = (origins[filled[0][0]], origins[filled[-1][1] - 1] + 1)
            else:
                offset = (origins[spans[first][0]],) * 2
            pieces.append(Piece(self.token_to_id(token), offset))
            first = last
        return pieces

    def _words(self, text: str, start: int, end: int) -> tuple[str, list[int]]:
        """The words joined by spaces, and for each character of that, and its end, where in `text` it stands."""
        lower = [letter.lower() for letter in UNPAIRED_SURROGATE.sub(" ", text[start:end])]
        letters = "".join(lower)
        places = [start + index for index, letter in enumerate(lower) for _ in letter]  # "İ" becomes two
        words: list[str] = []
        origins: list[int] = []
        first = 0
        while first < len(letters):
            for last in range(min(first + MAX_WORD_CHARACTERS, len(letters)), first, -1):
                if letters[first:last] in self._known:
                    break
            if letters[first:last] != " ":
                words.append(letters[first:last])
                # The space before a word counts as the place where the word begins.
                origins += [places[first]] * (len(words) > 1) + places[first:last]
            first = last
        return " ".join(words), [*origins, end]


def _spans(joined: str, normal: str, sources: Sequence[int]) -> list[tuple[int, int]]:
    """From and to which character of `joined` each character of its normal form was made.

    Several characters may become one (a letter and its accent) and one several ("㈱"); `sources` holds where
    each begins. It ends where the next one begins, or at the space after its word.
    """
    spans: list[tuple[int, int]] = []
    end = following = len(joined)
    for index in reversed(range(len(normal))):
        begin = sources[index]
        if begin < following:
            end, following = following, begin
        space = joined.find(" ", begin + 1, end)
        spans.append((begin, space if space >= 0 else end))
    return spans[::-1]
