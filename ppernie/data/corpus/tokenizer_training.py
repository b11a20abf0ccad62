"""A tokenizer from the texts of a corpus, so that pretraining starts from text alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ppernie.data.corpus.cleaning import collapse_characters, split_sentences
from ppernie.data.corpus.reading import read_part, split_parts
from ppernie.data.corpus.settings import CorpusConfig
from ppernie.data.tokenizers import IcetkTokenizer
from ppernie.data.tokenizers.training import train_icetk
from ppernie.errors import UserError
from ppernie.files import new_folder


def learn_tokenizer(config: CorpusConfig, output: Path, vocab_size: int) -> IcetkTokenizer:
    """Learns a tokenizer of `vocab_size` ids from the sources of a corpus, and writes its folder.

    Raises:
        UserError: ``output`` is there already, a source is absent, broken or empty, or the size does not fit the text.
    """
    if output.exists():
        raise UserError(f"{output}: is there already; remove it, or choose another folder")
    tokenizer = train_icetk(_sentences(config), vocab_size)
    with new_folder(output) as temporary:
        tokenizer.save(temporary)
    return tokenizer


def _sentences(config: CorpusConfig) -> Iterator[str]:
    for number, source in enumerate(config.sources):
        cleaning = source.cleaning or config.cleaning
        for part in split_parts(number, source, config.root, int(config.block_mb * 2**20)):
            for paragraph in read_part(part, source):
                text = collapse_characters(paragraph.text) if cleaning.collapse_characters else paragraph.text
                yield from split_sentences(text)
