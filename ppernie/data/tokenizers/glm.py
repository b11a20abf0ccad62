"""What the tokenizers of GLM share: tokens that command the network, and texts with or without them."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from itertools import groupby

from ppernie.data.tokenizers.base import Tokenizer, Truncate
from ppernie.data.tokenizers.pieces import Frame, Piece, PieceEncoding
from ppernie.errors import UserError

UNPAIRED_SURROGATE = re.compile("[\ud800-\udfff]")
# A sentence that a line feed begins, or whose first letter is Chinese or Japanese, follows without a space.
_UNSPACED = re.compile("\n|\\W*[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")

# Ids of a text's tokens, and from and to which of its characters each goes.
Cut = tuple[list[int], list[tuple[int, int]]]


class GlmTokenizer(Tokenizer):
    """A tokenizer of GLM: beside pieces of text it has tokens that say what to fill in, and where that ends.

    `mask_id` stands for a short blank, `gmask_id` for the rest of the text, `smask_id` for a sentence (None where
    there is no such token). What fills a blank stands behind `sop_id` and ends with `eop_id`; `eos_id` ends a text.

    `encode` takes special tokens that are written out in a text, such as "[MASK]", for these tokens, and puts the
    text between [CLS] and the end, as far as the tokenizer has these. GLM reads one text: a pair is refused.

    Args:
        tokens: the vocabulary in the order of ids.
        special: special tokens by role: those of `Tokenizer`, and `eos_token`, `gmask_token`, `sop_token`,
            `eop_token` and perhaps `smask_token`.
        before, after: special tokens that `encode` puts around a text.
        strips: whether white space beside a special token in a text is dropped.

    Raises:
        UserError: a token of a role is not in the vocabulary.
    """

    def __init__(
        self,
        tokens: Sequence[str],
        special: Mapping[str, str],
        before: Sequence[str],
        after: Sequence[str],
        *,
        strips: bool,
    ) -> None:
        if missing := sorted(set(special.values()) - set(tokens)):
            raise UserError(f"the vocabulary lacks {', '.join(missing)}, which GLM needs; restore its files")
        super().__init__(tokens, lowercase=False, special=special)
        self.eos_id, self.gmask_id, self.sop_id, self.eop_id = (
            self.vocab[special[f"{role}_token"]] for role in ("eos", "gmask", "sop", "eop")
        )
        self.smask_id = self.vocab[special["smask_token"]] if "smask_token" in special else None
        self._frame = Frame(self.tokens, [self.vocab[t] for t in before], [self.vocab[t] for t in after])
        written = "|".join(map(re.escape, sorted(self.special_tokens - {special["unk_token"]})))
        self._written = re.compile(rf"\s*({written})\s*" if strips else f"({written})")

    @abstractmethod
    def _cut(self, texts: Sequence[str]) -> list[Cut]:
        """The tokens of texts, in which nothing is a special token."""

    @abstractmethod
    def _cut_unspaced(self, texts: Sequence[str]) -> list[Cut]:
        """The same of texts that go on from others without a space."""

    def _cut_behind(self, texts: Sequence[str]) -> list[Cut]:
        """`_cut` of texts behind a special token of a text."""
        return self._cut(texts)

    @abstractmethod
    def _join_text(self, tokens: list[str]) -> str:
        """The text of tokens, none of which is special."""

    def encode_plain(self, text: str) -> list[int]:
        """The ids of a text in which nothing is a special token; none is added."""
        return self._cut([_readable(text)])[0][0]

    def encode_prompt(self, text: str) -> list[int]:
        """The ids of a text in which "[MASK]" and other special tokens may be written out; none is added."""
        return [piece.token_id for piece in self._pieces(text)]

    def encode_sentences(self, sentences: Sequence[str]) -> list[Cut]:
        """`encode_plain` of the sentences of a document, with offsets.

        They come without the space between two: a sentence gets it back, unless a line feed begins it or its first
        letter is Chinese or Japanese.
        """
        readable = [_readable(sentence) for sentence in sentences]
        unspaced = [bool(_UNSPACED.match(sentence)) for sentence in readable]
        cuts = {
            True: iter(self._cut_unspaced([s for s, alone in zip(readable, unspaced, strict=True) if alone])),
            False: iter(self._cut_spaced([s for s, alone in zip(readable, unspaced, strict=True) if not alone])),
        }
        return [next(cuts[alone]) for alone in unspaced]

    def _cut_spaced(self, texts: Sequence[str]) -> list[Cut]:
        """`_cut` of texts that go on from others behind a space, as SentencePiece takes all texts."""
        return self._cut(texts)

    def encode(
        self,
        text: str,
        pair: str | None = None,
        *,
        max_length: int | None = None,
        truncate: Truncate = "longest_first",
        stride: int = 0,
    ) -> PieceEncoding:
        if pair is not None:
            raise UserError(
                "GLM reads one text, not a pair: write both into one, with words between that tell them apart"
            )
        return self._frame.around([self._pieces(text)], max_length, truncate, stride)

    def encode_batch(
        self,
        items: Sequence[str | tuple[str, str]],
        *,
        max_length: int | None = None,
        truncate: Truncate = "longest_first",
        stride: int = 0,
    ) -> list[PieceEncoding]:
        texts = [(item,) if isinstance(item, str) else item for item in items]
        return [self.encode(*text, max_length=max_length, truncate=truncate, stride=stride) for text in texts]

    def encode_words(self, words: Sequence[str], *, max_length: int | None = None) -> PieceEncoding:
        pieces = [piece._replace(word=number) for number, word in enumerate(words) for piece in self._pieces(word)]
        return self._frame.around([pieces], max_length, "first", 0)

    def _pieces(self, text: str) -> list[Piece]:
        """The tokens of a text, special ones that are written out among them."""
        text = _readable(text)
        written = list(self._written.finditer(text))
        special = [[Piece(self.vocab[match[1]], match.span(1))] for match in written]
        starts = [0, *(match.end() for match in written)]
        ends = [*(match.start() for match in written), len(text)]
        texts = [text[start:end] for start, end in zip(starts, ends, strict=True)]
        cuts = [*self._cut(texts[:1]), *self._cut_behind(texts[1:])]
        pieces: list[Piece] = []
        for start, (ids, offsets), behind in zip(starts, cuts, [*special, []], strict=True):
            pieces += [Piece(i, (start + first, start + last)) for i, (first, last) in zip(ids, offsets, strict=True)]
            pieces += behind
        return pieces

    def _join_tokens(self, tokens: list[str]) -> str:
        runs = groupby(tokens, self.special_tokens.__contains__)
        return "".join("".join(run) if special else self._join_text(list(run)) for special, run in runs)


def _readable(text: str) -> str:
    """Replaces what no UTF-8 can hold by U+FFFD, which keeps the offsets."""
    return UNPAIRED_SURROGATE.sub("\ufffd", text)
