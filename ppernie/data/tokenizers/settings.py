"""The tokenizer that a config describes."""

from __future__ import annotations

from pathlib import Path

from ppernie.config.sections import TokenizerSection
from ppernie.data.tokenizers.base import Tokenizer
from ppernie.data.tokenizers.ernie import ErnieTokenizer
from ppernie.data.tokenizers.glm_bert import GlmBertTokenizer
from ppernie.data.tokenizers.glm_chinese import GlmChineseTokenizer
from ppernie.data.tokenizers.glm_gpt2 import GlmGPT2Tokenizer
from ppernie.data.tokenizers.icetk import IcetkTokenizer
from ppernie.data.tokenizers.kinds import VOCABULARIES, open_tokenizer
from ppernie.errors import UserError


def tokenizer_of(section: TokenizerSection) -> Tokenizer | None:
    """The tokenizer of the section's folder or vocabulary file; None where it names neither.

    Raises:
        UserError: a file is absent or broken, or the section names both.
    """
    if section.folder is not None:
        if section.vocab_file is not None:
            raise UserError("tokenizer: folder and vocab_file are both given; leave one of them out")
        folder = Path(section.folder)
        if not any((folder / name).exists() for name in VOCABULARIES):
            raise UserError(f"{folder}: holds no tokenizer; make one with ppernie tokenizer, or name another folder")
        return open_tokenizer(folder)
    if section.vocab_file is None:
        return None
    match section.name:
        case "ernie":
            return ErnieTokenizer.from_vocab(section.vocab_file, lowercase=section.lowercase)
        case "icetk":
            return IcetkTokenizer.from_file(section.vocab_file, image_tokens=section.image_tokens)
        case "glm_bert":
            return GlmBertTokenizer.from_vocab(section.vocab_file, lowercase=section.lowercase)
        case "glm_chinese":
            return GlmChineseTokenizer.from_file(section.vocab_file)
        case "glm_gpt2":
            return GlmGPT2Tokenizer.from_file(section.vocab_file)
