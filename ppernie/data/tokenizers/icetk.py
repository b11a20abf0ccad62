"""The tokenizer of GLM-130B and ChatGLM-6B, icetk."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from ppernie.data.tokenizers.files import CONFIG_FILE, read_bytes, read_object, write_object
from ppernie.data.tokenizers.glm import Cut, GlmTokenizer
from ppernie.data.tokenizers.sentencepiece_model import MAX_MODEL_BYTES, NEW_LINE, PieceType, SentencePieceModel
from ppernie.errors import UserError

ICETK_FILE = "ice_text.model"
IMAGE_TOKENS = 20_000
MAX_IMAGE_TOKENS = 1_000_000
MAX_BLANKS = 80
COMMANDS = ("[MASK]", "[gMASK]", "[sMASK]", "<eod>", "<sop>", "<eop>", "<ENC>", "<dBLOCK>")
TAB = "<|tab|>"
BLANKS = tuple(f"<|blank_{count}|>" for count in range(2, MAX_BLANKS + 1))
BYTES = tuple(f"<0x{value:02X}>" for value in range(256))

_SPACES = re.compile(rf"\n|\t| {{2,{MAX_BLANKS}}}")
_NAMED_SPACES = re.compile(rf"{NEW_LINE}|{re.escape(TAB)}|<\|blank_(\d\d?)\|>")
# What GLM-130B's file lacks, in the order of ids: its network knows them behind the pieces of the file.
_ADDED = (
    *((name, PieceType.CONTROL) for name in COMMANDS),
    *((name, PieceType.USER_DEFINED) for name in (TAB, *BLANKS)),
    *((name, PieceType.BYTE) for name in BYTES),
)


class IcetkTokenizer(GlmTokenizer):
    """Text to ids as the code of GLM-130B and PaddleNLP's `ChatGLMTokenizer` have them.

    The first ids belong to images and are never produced; those of the SentencePiece model follow. A line feed is a
    token of its own, as are a tab and runs of 2 to 80 spaces; of a character without a piece the bytes are taken.
    Control tokens in a text are text, except in `encode` and `encode_prompt`. A text that is decoded begins without a
    space.

    A model without a piece "[MASK]", such as GLM-130B's, gets the commands, spaces and bytes behind its own; others,
    such as ChatGLM-6B's and those of ``ppernie tokenizer``, hold them, and keep their ids.

    Args:
        model: the SentencePiece model as a serialized `ModelProto`.
        image_tokens: ids before the first piece; by default 20,000, and none for a model that holds the commands.

    Raises:
        UserError: `model` is not a SentencePiece model, or holds some of the commands only.
    """

    def __init__(self, model: bytes, *, image_tokens: int | None = None) -> None:
        self._model = SentencePieceModel(model)
        complete = COMMANDS[0] in self._model.pieces
        if image_tokens is None:
            image_tokens = 0 if complete else IMAGE_TOKENS
        if not 0 <= image_tokens <= MAX_IMAGE_TOKENS:
            raise UserError(f"{image_tokens} image tokens: there can be 0 to {MAX_IMAGE_TOKENS:,}")
        if not complete:
            # A model of another maker may lack the line feed too; behind all others it moves no id.
            line = [] if NEW_LINE in self._model.pieces else [(NEW_LINE, PieceType.USER_DEFINED)]
            self._model = SentencePieceModel(model, [*_ADDED, *line])
        self.model, self.image_tokens = model, image_tokens
        tokens = [*(f"<image_{index}>" for index in range(image_tokens)), *self._model.pieces]
        special = {f"{name}_token": f"<{name}>" for name in ("unk", "sop", "eop")}
        special |= {"mask_token": "[MASK]", "gmask_token": "[gMASK]", "smask_token": "[sMASK]"}
        special |= {"cls_token": "<ENC>", "sep_token": "</s>", "eos_token": "</s>"}
        special["pad_token"] = "<pad>" if complete else tokens[0]
        super().__init__(tokens, special, (), ["</s>"], strips=False)

    @classmethod
    def from_file(cls, path: str | Path, *, image_tokens: int | None = None) -> IcetkTokenizer:
        """Reads a SentencePiece model; `UserError` if it is not sound."""
        try:
            return cls(read_bytes(Path(path), MAX_MODEL_BYTES), image_tokens=image_tokens)
        except UserError as error:
            raise UserError(str(error) if str(path) in str(error) else f"{path}: {error}") from error

    @classmethod
    def from_folder(cls, folder: str | Path) -> IcetkTokenizer:
        """Reads `ice_text.model` and, if it is there, `tokenizer_config.json`, as saved here or by PaddleNLP."""
        path = Path(folder) / CONFIG_FILE
        config = read_object(path)
        # PaddleNLP leaves out what is its default.
        image_tokens = config.get("num_image_tokens", IMAGE_TOKENS) if config else None
        if type(image_tokens) not in (int, type(None)):
            raise UserError(f"{path}: num_image_tokens must be a whole number, not {image_tokens!r}")
        return cls.from_file(Path(folder) / ICETK_FILE, image_tokens=image_tokens)

    def save(self, folder: str | Path) -> None:
        """Writes `ice_text.model` and `tokenizer_config.json`."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ICETK_FILE).write_bytes(self.model)
        config = {"tokenizer_class": type(self).__name__, "num_image_tokens": self.image_tokens}
        write_object(folder / CONFIG_FILE, config)

    def _cut(self, texts: Sequence[str]) -> list[Cut]:
        return self._cut_by(self._model.cut, texts)

    def _cut_unspaced(self, texts: Sequence[str]) -> list[Cut]:
        return self._cut_by(self._model.cut_unspaced, texts)

    def _cut_behind(self, texts: Sequence[str]) -> list[Cut]:
        # A blank is a part of the text around it, which runs on behind it.
        return self._cut_unspaced(texts)

    def _cut_by(self, cut: Callable[[Sequence[str]], list[Cut]], texts: Sequence[str]) -> list[Cut]:
        named = [_name_spaces(text) for text in texts]
        cuts = cut([text for text, _ in named])
        return [
            (
                [index + self.image_tokens for index in ids],
                offsets if places is None else [(places[first], places[last]) for first, last in offsets],
            )
            for (ids, offsets), (_, places) in zip(cuts, named, strict=True)
        ]

    def _join_text(self, tokens: list[str]) -> str:
        return _NAMED_SPACES.sub(_space, self._model.join(tokens))


def _name_spaces(text: str) -> tuple[str, list[int] | None]:
    """The text with names for white space, and where each character and its end stood; None where nothing moved."""
    parts: list[str] = []
    places: list[int] = []
    start = 0
    for match in _SPACES.finditer(text):
        space = match.group()
        name = {"\n": NEW_LINE, "\t": TAB}.get(space) or BLANKS[len(space) - 2]
        parts += [text[start : match.start()], name]
        places += [*range(start, match.start()), *[match.start()] * len(name)]
        start = match.end()
    if not parts:
        return text, None
    return "".join([*parts, text[start:]]), [*places, *range(start, len(text) + 1)]


def _space(name: re.Match[str]) -> str:
    if name[1]:
        return " " * int(name[1])
    return "\n" if name[0] == NEW_LINE else "\t"
