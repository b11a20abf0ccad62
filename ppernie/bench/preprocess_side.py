"""PaddleNLP's side of ``ppernie bench preprocess``: ``python -m ppernie.bench.preprocess_side CONFIG BYTES``."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any

from ppernie.bench.side import serve
from ppernie.data.corpus.reading import read_part, split_parts
from ppernie.data.corpus.settings import CorpusConfig, TextSource, load_corpus_config
from ppernie.zoo.tokenizer import corpus_tokenizer


def main(config: str, size: str) -> None:
    """Answers a line of the input with the time that the first lines of the sources take, ``size`` bytes in all."""

    def prepare() -> Callable[[str], dict[str, object]]:
        import jieba

        corpus = load_corpus_config(config)
        tokenizer = _tokenizer(corpus)
        jieba.initialize()
        lines = first_lines(corpus, int(size))

        def timed(_: str) -> dict[str, object]:
            start = time.perf_counter()
            for line in lines:
                tokens = [token for word in jieba.cut(line) for token in _marked(tokenizer.tokenize(word))]
                tokenizer.convert_tokens_to_ids([token.removeprefix("##") for token in tokens])
            return {"seconds": time.perf_counter() - start, "bytes": sum(len(line.encode()) for line in lines)}

        return timed

    serve(prepare)


def _marked(tokens: list[str]) -> list[str]:
    """Tokens inside of a word, marked."""
    return [token if place == 0 or token.startswith("##") else f"##{token}" for place, token in enumerate(tokens)]


def first_lines(config: CorpusConfig, size: int) -> list[str]:
    """The first lines of text, equally many bytes of each source as far as it goes; about ``size`` in all."""
    lines = []
    for source in config.sources:
        taken = 0
        for text in texts(config, source):
            if taken >= size / len(config.sources):
                break
            lines.append(text.strip())
            taken += len(text.encode())
    return lines


def texts(config: CorpusConfig, source: TextSource) -> Iterator[str]:
    """The lines of a source, without what JSON has around them."""
    for part in split_parts(0, source, config.root, int(config.block_mb * 2**20)):
        yield from (paragraph.text for paragraph in read_part(part, source))


def _tokenizer(config: CorpusConfig) -> Any:
    from paddlenlp.transformers import ErnieTokenizer as PaddleNLPTokenizer

    with tempfile.TemporaryDirectory() as folder:
        corpus_tokenizer(config).save(folder)
        return PaddleNLPTokenizer.from_pretrained(folder)


if __name__ == "__main__":
    main(*sys.argv[1:])
