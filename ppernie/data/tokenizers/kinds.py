"""The kind of tokenizer that a folder holds, told by its files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ppernie.data.tokenizers.base import Tokenizer
from ppernie.data.tokenizers.ernie import ErnieTokenizer, shadowed_name
from ppernie.data.tokenizers.ernie_tiny import WORDS_FILE, ErnieTinyTokenizer
from ppernie.data.tokenizers.files import (
    CONFIG_FILE,
    SPECIAL_TOKENS,
    VOCAB_FILE,
    read_class,
    read_config,
    read_json,
    read_vocab,
)
from ppernie.data.tokenizers.foreign import RUST_FILE
from ppernie.data.tokenizers.glm_bert import START, GlmBertTokenizer
from ppernie.data.tokenizers.glm_chinese import COG_FILE, GlmChineseTokenizer
from ppernie.data.tokenizers.glm_gpt2 import GPT2_FILE, GlmGPT2Tokenizer
from ppernie.data.tokenizers.icetk import ICETK_FILE, IcetkTokenizer
from ppernie.errors import UserError

# Hugging Face's class for any `tokenizer.json`, and its name from version 5 on.
RUST_CLASSES = ("PreTrainedTokenizerFast", "TokenizersBackend")
MAX_RUST_BYTES = 256 * 2**20

Glm = type[IcetkTokenizer] | type[GlmBertTokenizer] | type[GlmChineseTokenizer] | type[GlmGPT2Tokenizer]
# GLM's tokenizers by the classes that folders of ppernie, PaddleNLP and Hugging Face name, and by their files.
GLM_CLASSES: dict[str, Glm] = {
    "IcetkTokenizer": IcetkTokenizer,
    "ChatGLMTokenizer": IcetkTokenizer,
    "GLMBertTokenizer": GlmBertTokenizer,
    "GLMChineseTokenizer": GlmChineseTokenizer,
    "GLMGPT2Tokenizer": GlmGPT2Tokenizer,
}
GLM_FILES: dict[str, Glm] = {
    ICETK_FILE: IcetkTokenizer,
    COG_FILE: GlmChineseTokenizer,
    GPT2_FILE: GlmGPT2Tokenizer,
}
# A folder with one of these holds a tokenizer; newer versions of Hugging Face write `tokenizer.json` alone.
VOCABULARIES = (VOCAB_FILE, RUST_FILE, *GLM_FILES)


def open_tokenizer(folder: str | Path) -> Tokenizer:
    """The tokenizer of a folder written by ppernie or PaddleNLP, or by ppernie for Hugging Face.

    `tokenizer_class` in `tokenizer_config.json` names the kind. Without that file, a folder with one of GLM's files, or
    its commands in `vocab.txt`, holds its tokenizer, one with a segmentation dictionary an `ErnieTinyTokenizer`, and
    any other an `ErnieTokenizer`.

    Raises:
        UserError: a file is absent or broken, or asks for what is not supported.
    """
    folder = Path(folder)
    if glm := _glm_class(folder):
        return glm.from_folder(folder)
    config = read_config(folder / CONFIG_FILE)
    unnamed_tiny = not (folder / CONFIG_FILE).exists() and (folder / WORDS_FILE).exists()
    if config.kind == "ErnieTinyTokenizer" or unnamed_tiny:
        return ErnieTinyTokenizer.from_folder(folder)
    if config.kind in RUST_CLASSES:
        return _read_rust_file(folder / RUST_FILE, config.lowercase)
    return ErnieTokenizer.from_folder(folder)


def _glm_class(folder: Path) -> Glm | None:
    named = read_class(folder / CONFIG_FILE)
    if named is not None:
        return GLM_CLASSES.get(named)
    if (folder / VOCAB_FILE).exists():
        return GlmBertTokenizer if START in read_vocab(folder / VOCAB_FILE) else None
    return next((kind for name, kind in GLM_FILES.items() if (folder / name).exists()), None)


def _read_rust_file(path: Path, lowercase: bool) -> ErnieTokenizer:
    """Such a file may hold any tokenizer; it is ERNIE's where it is what we write for the same vocabulary."""
    found = read_json(path, MAX_RUST_BYTES)
    tokenizer = ErnieTokenizer(_rust_vocab(found, path), lowercase=lowercase)
    expected = json.loads(tokenizer.to_json())
    for part in ("normalizer", "pre_tokenizer", "added_tokens", "model"):
        if found.get(part) != expected[part]:
            raise UserError(f"{path}: its {part} is not that of ERNIE; only a tokenizer that ppernie wrote can be read")
    return tokenizer


def _rust_vocab(found: Any, path: Path) -> list[str]:
    try:
        ids: dict[str, int] = found["model"]["vocab"]
        names = {index: name for name, index in ids.items()}
        ordered = [names[index] for index in range(len(ids))]
    except (KeyError, TypeError, AttributeError):
        raise UserError(f"{path}: holds no WordPiece vocabulary whose ids run from 0 without a gap") from None
    if missing := sorted(set(SPECIAL_TOKENS.values()) - ids.keys()):
        raise UserError(f"{path}: the vocabulary must hold {', '.join(missing)}")
    # Where a token occurred twice, its first id has a name of its own; see ErnieTokenizer.
    tokens = []
    for index, name in enumerate(ordered):
        token = name.removesuffix(f" {index}")
        tokens.append(token if name == shadowed_name(token, index) and token in ids else name)
    return tokens
