"""The tokenizer of glm-large-chinese and glm-10b-chinese."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ppernie.data.tokenizers.files import read_bytes
from ppernie.data.tokenizers.glm import Cut, GlmTokenizer
from ppernie.data.tokenizers.glm_added import read_added, special_tokens, write_added
from ppernie.data.tokenizers.sentencepiece_model import MAX_MODEL_BYTES, SentencePieceModel
from ppernie.errors import UserError

COG_FILE = "cog-pretrain.model"
ADDED = (
    *("<|endoftext|>", "[SEP]", "[CLS]", "[MASK]", "[UNUSED1]", "[UNUSED2]"),
    *("<|startofpiece|>", "<|endofpiece|>", "[sMASK]", "[gMASK]"),
)


class GlmChineseTokenizer(GlmTokenizer):
    """Text to ids, equal to those of PaddleNLP's `GLMChineseTokenizer`: SentencePiece, and special tokens behind it.

    `encode` gives [CLS] text <|endoftext|>. White space beside a special token in a text is dropped.

    Args:
        model: the SentencePiece model as a serialized `ModelProto`.
        added: the tokens behind its pieces.

    Raises:
        UserError: `model` is not a SentencePiece model, or a special token is missing.
    """

    def __init__(self, model: bytes, added: Sequence[str] = ADDED) -> None:
        self._model = SentencePieceModel(model)
        self.model, self.added = model, tuple(added)
        tokens = [*self._model.pieces, *added]
        self._special = special_tokens(added, unk="<unk>")
        super().__init__(tokens, self._special, ["[CLS]"], ["<|endoftext|>"], strips=True)

    @classmethod
    def from_file(cls, path: str | Path) -> GlmChineseTokenizer:
        """Reads a SentencePiece model, and beside it perhaps `added_tokens.json`; `UserError` if it is not sound."""
        path = Path(path)
        model = read_bytes(path, MAX_MODEL_BYTES)
        try:
            return cls(model, read_added(path.parent, len(SentencePieceModel(model).pieces), ADDED))
        except UserError as error:
            raise UserError(str(error) if str(path) in str(error) else f"{path}: {error}") from error

    @classmethod
    def from_folder(cls, folder: str | Path) -> GlmChineseTokenizer:
        """Reads `cog-pretrain.model` and, if they are there, the added tokens, as saved here or by PaddleNLP."""
        return cls.from_file(Path(folder) / COG_FILE)

    def save(self, folder: str | Path) -> None:
        """Writes `cog-pretrain.model` and what PaddleNLP's `from_pretrained` reads beside it."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / COG_FILE).write_bytes(self.model)
        write_added(folder, "GLMChineseTokenizer", self.added, len(self._model.pieces), self._special)

    def _cut(self, texts: Sequence[str]) -> list[Cut]:
        return self._model.cut(texts)

    def _cut_unspaced(self, texts: Sequence[str]) -> list[Cut]:
        return self._model.cut_unspaced(texts)

    def _join_text(self, tokens: list[str]) -> str:
        return self._model.join(tokens)
