"""The tokenizer of glm-2b and glm-10b: byte-level byte pair encoding, as that of GPT-2."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from ppernie.data.tokenizers.files import read_bytes, read_json
from ppernie.data.tokenizers.glm import Cut, GlmTokenizer
from ppernie.data.tokenizers.glm_added import read_added, special_tokens, write_added
from ppernie.errors import UserError

# Loader workers are forked, and a pool of Rust threads does not survive a fork.
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

GPT2_FILE = "vocab.json"
MERGES_FILE = "merges.txt"
MAX_GPT2_BYTES = 64 * 2**20
END_OF_TEXT = "<|endoftext|>"
ADDED = ("<|startofpiece|>", "<|endofpiece|>", "[CLS]", "[MASK]", "[SEP]", "[UNK]", "[gMASK]", "[sMASK]")


class GlmGPT2Tokenizer(GlmTokenizer):
    """Text to ids, equal to those of PaddleNLP's `GLMGPT2Tokenizer`: GPT-2's, and special tokens behind them.

    `encode` gives [CLS] text <|endoftext|>. White space beside a special token in a text is dropped.

    Args:
        vocab: the ids of GPT-2's tokens, from 0 without a gap; bytes are written as letters, <|endoftext|> is one.
        merges: the pairs that are joined, the first ones first.
        added: the tokens behind the vocabulary.

    Raises:
        UserError: a byte or a special token is missing, or a merge makes no token.
    """

    def __init__(
        self, vocab: Mapping[str, int], merges: Sequence[tuple[str, str]], added: Sequence[str] = ADDED
    ) -> None:
        from tokenizers import Tokenizer, decoders, models, pre_tokenizers

        if missing := set(pre_tokenizers.ByteLevel.alphabet()) - set(vocab):
            raise UserError(f"the vocabulary lacks {len(missing)} of the 256 bytes, so it is not GPT-2's")
        self.merges, self.added = tuple(merges), tuple(added)
        tokens = [*sorted(vocab, key=vocab.__getitem__), *added]
        self._special = special_tokens(added, unk=END_OF_TEXT)
        super().__init__(tokens, self._special, ["[CLS]"], [END_OF_TEXT], strips=True)
        try:
            self._tokenizer = Tokenizer(models.BPE(dict(vocab), list(merges)))
        except Exception as error:  # the Rust library raises no other kind
            raise UserError(f"the merges do not fit the vocabulary ({error}); take both from one model") from error
        self._tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        self._decoder = decoders.ByteLevel()

    @classmethod
    def from_file(cls, path: str | Path) -> GlmGPT2Tokenizer:
        """Reads a `vocab.json` and, beside it, `merges.txt` and perhaps `added_tokens.json`.

        What stands before "vocab.json" in the name stands before "merges.txt", too.

        Raises:
            UserError: a file is absent or broken.
        """
        path = Path(path)
        vocab = _read_vocab(path)
        merges = _read_merges(path.with_name(path.name.replace(GPT2_FILE, MERGES_FILE)))
        try:
            return cls(vocab, merges, read_added(path.parent, len(vocab), ADDED))
        except UserError as error:
            raise UserError(str(error) if str(path.parent) in str(error) else f"{path}: {error}") from error

    @classmethod
    def from_folder(cls, folder: str | Path) -> GlmGPT2Tokenizer:
        """Reads `vocab.json`, `merges.txt` and, if they are there, the added tokens, as saved here or by PaddleNLP."""
        return cls.from_file(Path(folder) / GPT2_FILE)

    def save(self, folder: str | Path) -> None:
        """Writes `vocab.json`, `merges.txt` and what PaddleNLP's `from_pretrained` reads beside them."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        own = self.tokens[: len(self.tokens) - len(self.added)]
        vocab = json.dumps({token: index for index, token in enumerate(own)}, ensure_ascii=False)
        (folder / GPT2_FILE).write_text(vocab, encoding="utf-8")
        merges = "".join(f"{first} {second}\n" for first, second in self.merges)
        (folder / MERGES_FILE).write_text(f"#version: 0.2\n{merges}", encoding="utf-8")
        write_added(folder, "GLMGPT2Tokenizer", self.added, len(own), self._special)

    def _cut(self, texts: Sequence[str]) -> list[Cut]:
        return [(cut.ids, cut.offsets) for cut in self._tokenizer.encode_batch(list(texts))]

    def _cut_spaced(self, texts: Sequence[str]) -> list[Cut]:
        cuts = self._cut([f" {text}" for text in texts])
        return [(ids, [(max(first - 1, 0), last - 1) for first, last in offsets]) for ids, offsets in cuts]

    def _cut_unspaced(self, texts: Sequence[str]) -> list[Cut]:
        return self._cut(texts)

    def _join_text(self, tokens: list[str]) -> str:
        return self._decoder.decode(tokens)


def _read_vocab(path: Path) -> dict[str, int]:
    vocab = read_json(path, MAX_GPT2_BYTES)
    if not isinstance(vocab, dict):
        raise UserError(f"{path}: expected a JSON object of tokens and their ids")
    if {index for index in vocab.values() if type(index) is int} != set(range(len(vocab))):
        raise UserError(f"{path}: the ids must run from 0 without a gap; restore the file")
    return vocab


def _read_merges(path: Path) -> list[tuple[str, str]]:
    """Lines of two tokens each, behind a line with the version."""
    try:
        lines = read_bytes(path, MAX_GPT2_BYTES).decode("utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 ({error.reason}); restore the file") from error
    merges = []
    for number, line in enumerate(lines, 1):
        if not line or (number == 1 and line.startswith("#version")):
            continue
        first, space, second = line.rstrip("\r").partition(" ")
        if not (first and second) or " " in second:
            raise UserError(f"{path}, line {number}: two tokens with a space between are expected, not {line[:40]!r}")
        merges.append((first, second))
    return merges
