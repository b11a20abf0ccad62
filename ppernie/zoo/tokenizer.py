"""The tokenizer that belongs to pretrained weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ppernie.data.corpus.settings import CorpusConfig
from ppernie.data.tokenizers import ErnieTinyTokenizer, Tokenizer, open_tokenizer
from ppernie.data.tokenizers.ernie_tiny import MAX_MODEL_BYTES, MODEL_FILE, WORDS_FILE
from ppernie.data.tokenizers.files import VOCAB_FILE, read_bytes, read_vocab
from ppernie.data.tokenizers.foreign import PICKLED_WORDS_FILE
from ppernie.data.tokenizers.kinds import VOCABULARIES
from ppernie.data.tokenizers.settings import tokenizer_of


def load_tokenizer(source: str | Path) -> Tokenizer:
    """The tokenizer of a released model, a folder, an archive, or the address of one; see ``from_pretrained``.

    Raises:
        UserError: the source is unknown or unreachable, or holds no tokenizer that is supported.
    """
    from ppernie.zoo.sources import open_source

    return read_tokenizer(open_source(source).folder)


def corpus_tokenizer(config: CorpusConfig) -> Tokenizer:
    """The tokenizer that a corpus is to be made with. Raises UserError where there is none."""
    if config.pretrained_model is not None:
        return load_tokenizer(config.pretrained_model)
    tokenizer = tokenizer_of(config.tokenizer) if config.tokenizer is not None else None
    assert tokenizer is not None
    return tokenizer


def has_tokenizer(folder: Path) -> bool:
    """Whether a folder holds a vocabulary."""
    return any((folder / name).exists() for name in VOCABULARIES)


def read_tokenizer(folder: Path) -> Tokenizer:
    """The tokenizer in a folder that ppernie, PaddleNLP, Hugging Face or PaddlePaddle/ERNIE wrote.

    Raises:
        UserError: a file is absent or broken, or asks for what is not supported.
    """
    pickled = folder / PICKLED_WORDS_FILE
    if not pickled.exists() or (folder / WORDS_FILE).exists():
        return open_tokenizer(folder)
    model = read_bytes(folder / MODEL_FILE, MAX_MODEL_BYTES)
    return ErnieTinyTokenizer(read_vocab(folder / VOCAB_FILE), model, read_words(pickled))


def read_words(path: Path) -> list[str]:
    """The words of ernie-tiny's segmentation dictionary, a pickle, read as data.

    Raises:
        UserError: the file is absent, damaged, holds anything but words, or wants to run code.
    """
    from ppernie.zoo.formats.pickles import read_pickle
    from ppernie.zoo.formats.reading import file_size, open_file, unsupported

    def items(values: Any) -> Any:
        return values

    calls = {(module, kind): items for module in ("builtins", "__builtin__") for kind in ("set", "frozenset", "list")}
    with open_file(path) as file:
        words = read_pickle(file, path, file_size(file), calls)
    if not isinstance(words, (dict, set, frozenset, list, tuple)) or not all(isinstance(word, str) for word in words):
        raise unsupported(path, "holds something else than a dictionary of words")
    return list(words)
