"""The tokenizer of glm-515m: BERT's WordPiece."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ppernie.data.tokenizers.ernie import INSIDE_SPECIAL, ErnieTokenizer
from ppernie.data.tokenizers.files import (
    CONFIG_FILE,
    SPECIAL_TOKENS,
    VOCAB_FILE,
    read_object,
    read_vocab,
    write_config,
    write_vocab,
)
from ppernie.data.tokenizers.glm import Cut, GlmTokenizer
from ppernie.data.tokenizers.glm_added import read_added
from ppernie.errors import UserError

START = "<|startofpiece|>"
COMMANDS = (START, "<|endofpiece|>", "[gMASK]", "[sMASK]")


class GlmBertTokenizer(GlmTokenizer):
    """Text to ids, equal to those of PaddleNLP's `GLMBertTokenizer`: BERT's, and behind them the commands it lacks.

    `encode` gives [CLS] text [SEP]. White space beside a special token in a text is dropped; a line feed is a space.
    "[UNK]" in a text is text, which in PaddleNLP is that token.

    Args:
        tokens: the vocabulary in the order of ids; commands that it holds keep their ids.
        lowercase: lower-case the text and strip its accents.
    """

    def __init__(self, tokens: Sequence[str], *, lowercase: bool = True) -> None:
        tokens = [*tokens, *(token for token in COMMANDS if token not in tokens)]
        special = dict(SPECIAL_TOKENS) | {"eos_token": "[SEP]", "sop_token": START, "eop_token": "<|endofpiece|>"}
        special |= {"gmask_token": "[gMASK]", "smask_token": "[sMASK]"}
        super().__init__(tokens, special, ["[CLS]"], ["[SEP]"], strips=True)
        self.lowercase = lowercase
        self._words = ErnieTokenizer(tokens, lowercase=lowercase)

    @classmethod
    def from_vocab(cls, path: str | Path, *, lowercase: bool = True) -> GlmBertTokenizer:
        """Reads a `vocab.txt`; `UserError` if it is not sound."""
        return cls(read_vocab(Path(path)), lowercase=lowercase)

    @classmethod
    def from_folder(cls, folder: str | Path) -> GlmBertTokenizer:
        """Reads `vocab.txt` and what lies beside it, as saved here or by PaddleNLP."""
        folder = Path(folder)
        tokens = read_vocab(folder / VOCAB_FILE)
        lowercase = read_object(folder / CONFIG_FILE).get("do_lower_case", True)
        if not isinstance(lowercase, bool):
            raise UserError(f"{folder / CONFIG_FILE}: do_lower_case must be true or false, not {lowercase!r}")
        return cls([*tokens, *read_added(folder, len(tokens), ())], lowercase=lowercase)

    def save(self, folder: str | Path) -> None:
        """Writes `vocab.txt`, with the commands, and `tokenizer_config.json`, which PaddleNLP reads too."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        write_vocab(folder / VOCAB_FILE, self.tokens)
        more = {"additional_special_tokens": list(COMMANDS)}
        write_config(folder / CONFIG_FILE, "GLMBertTokenizer", self.lowercase, **more)

    def _cut(self, texts: Sequence[str]) -> list[Cut]:
        return [self._cut_words(text) for text in texts]

    # BERT has no space before a word.
    _cut_unspaced = _cut

    def _cut_words(self, text: str) -> Cut:
        borders = [0, *(match.start() for match in INSIDE_SPECIAL.finditer(text)), len(text)]
        ids: list[int] = []
        offsets: list[tuple[int, int]] = []
        for start, end in zip(borders[:-1], borders[1:], strict=True):
            encoding = self._words.encode(text[start:end])
            ids += encoding.ids[1:-1]
            offsets += [(start + first, start + last) for first, last in encoding.offsets[1:-1]]
        return ids, offsets

    def _join_text(self, tokens: list[str]) -> str:
        return " ".join(tokens).replace(" ##", "")
