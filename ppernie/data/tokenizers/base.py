"""What all tokenizers share: the vocabulary, the special tokens, and how a text that is too long is cut."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, Protocol

from ppernie.data.tokenizers.files import SPECIAL_TOKENS
from ppernie.errors import UserError

Truncate = Literal["longest_first", "first", "second"]


class Encoding(Protocol):
    """The tokens of a text or a pair with its special tokens, as `tokenizers.Encoding` has them.

    All lists have one entry a token. At a special token that was added `offsets` are (0, 0), `word_ids` and
    `sequence_ids` None, and `special_tokens_mask` 1. `word_ids` mean something after `encode_words` only.
    """

    @property
    def ids(self) -> list[int]: ...
    @property
    def tokens(self) -> list[str]: ...
    @property
    def type_ids(self) -> list[int]: ...
    @property
    def offsets(self) -> list[tuple[int, int]]: ...
    @property
    def word_ids(self) -> list[int | None]: ...
    @property
    def sequence_ids(self) -> list[int | None]: ...
    @property
    def special_tokens_mask(self) -> list[int]: ...
    @property
    def overflowing(self) -> Sequence[Encoding]: ...
    def __len__(self) -> int: ...


class Tokenizer(ABC):
    """Text to ids and back. Nothing changes after construction, so threads and forked workers may share one.

    Args:
        tokens: the vocabulary in the order of ids. Of a token that occurs twice the last id is produced.
        lowercase: whether the text is lower-cased.
        special: special tokens by role: `unk_token`, `sep_token`, `pad_token`, `cls_token`, `mask_token`, and others.
    """

    def __init__(self, tokens: Sequence[str], *, lowercase: bool, special: Mapping[str, str] = SPECIAL_TOKENS) -> None:
        self.lowercase = lowercase
        self.special_tokens = frozenset(special.values())
        self.tokens = tuple(tokens)
        self.vocab = {token: index for index, token in enumerate(tokens)}
        self.unk_id, self.sep_id, self.pad_id, self.cls_id, self.mask_id = (
            self.vocab[special[f"{role}_token"]] for role in ("unk", "sep", "pad", "cls", "mask")
        )

    @abstractmethod
    def save(self, folder: str | Path) -> None:
        """Writes the files that `open_tokenizer` reads."""

    @property
    def vocab_size(self) -> int:
        """Number of ids: the highest + 1."""
        return len(self.tokens)

    def token_to_id(self, token: str) -> int:
        """The token's id; that of [UNK] for a token outside the vocabulary."""
        return self.vocab.get(token, self.unk_id)

    def id_to_token(self, index: int) -> str:
        """The token of an id in [0, vocab_size)."""
        return self.tokens[index]

    def decode(self, ids: Sequence[int], *, skip_special_tokens: bool = True) -> str:
        """The text of the ids, with spaces where the tokenizer cuts words."""
        skipped = self.special_tokens if skip_special_tokens else frozenset()
        tokens = (self.tokens[index] for index in ids)
        return self._join_tokens([token for token in tokens if token not in skipped])

    @abstractmethod
    def _join_tokens(self, tokens: list[str]) -> str: ...

    @abstractmethod
    def encode(
        self,
        text: str,
        pair: str | None = None,
        *,
        max_length: int | None = None,
        truncate: Truncate = "longest_first",
        stride: int = 0,
    ) -> Encoding:
        """Encodes as [CLS] text [SEP] or [CLS] text [SEP] pair [SEP]; type ids are 0, and 1 for the pair.

        Offsets count characters of the text as it was given. More than `max_length` ids are cut, of the text
        that `truncate` names. The windows cut off are in `.overflowing`, neighbours sharing `stride` tokens; a
        pair cut `longest_first` has no such windows. Raises `UserError` where `max_length` leaves no room.
        """

    @abstractmethod
    def encode_batch(
        self,
        items: Sequence[str | tuple[str, str]],
        *,
        max_length: int | None = None,
        truncate: Truncate = "longest_first",
        stride: int = 0,
    ) -> Sequence[Encoding]:
        """`encode` of every text or (text, pair)."""

    @abstractmethod
    def encode_words(self, words: Sequence[str], *, max_length: int | None = None) -> Encoding:
        """Encodes words (or characters) cut beforehand; `.word_ids` are indices into `words`.

        A word without a token (a space, a control character) takes no id and leaves a gap in `.word_ids`.
        Offsets count characters within each word.
        """


def kept_tokens(
    lengths: Sequence[int], max_length: int, truncate: Truncate, stride: int, special: int | None = None
) -> list[int]:
    """How many tokens each of one or two texts keeps, so that all fit beside the special tokens.

    Of these there are `special`; by default one at the beginning and one behind each text.

    Raises:
        UserError: no room is left for a text, or for going on after a window's `stride` shared tokens.
    """
    room = max_length - (1 + len(lengths) if special is None else special)
    excess = sum(lengths) - room
    kept = list(lengths)
    if room < len(lengths):
        raise UserError(f"max_length {max_length} leaves no room beside the special tokens: raise it")
    if excess <= 0:
        return kept
    if len(lengths) == 2 and truncate == "longest_first":
        if stride:
            raise UserError("a pair cut longest_first has no windows: cut one text, or set stride to 0")
        first = min(lengths[0], max(room - room // 2, room - lengths[1]))
        return [first, room - first]
    side = {"longest_first": 0, "first": 0, "second": -1}[truncate]
    kept[side] -= excess
    if kept[side] <= stride:
        raise UserError(
            f"max_length {max_length} leaves {max(kept[side], 0)} tokens of the text to be cut, and that must be "
            f"more than the stride {stride}: raise max_length, lower stride or cut the other text"
        )
    return kept
