"""PaddleNLP's side of ``ppernie bench preprocess``: ``python -m ppernie.bench.preprocess_side VOCAB BYTES FILE...``."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ppernie.bench.side import serve


def main(vocab: str, size: str, *files: str) -> None:
    """Answers a line of the input with the time that the first lines of the files take, ``size`` bytes in all."""

    def prepare() -> Callable[[str], dict[str, object]]:
        import jieba

        tokenizer = _tokenizer(vocab)
        jieba.initialize()
        lines = _lines(files, int(size))

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


def _lines(files: tuple[str, ...], size: int) -> list[str]:
    """Equally many bytes of each file."""
    lines = []
    for file in files:
        with Path(file).open(encoding="utf-8") as source:
            taken = 0
            for line in source:
                if taken >= size / len(files):
                    break
                lines.append(line.strip())
                taken += len(line.encode())
    return lines


def _tokenizer(vocab: str) -> Any:
    from paddlenlp.transformers import ErnieTokenizer as PaddleNLPTokenizer

    from ppernie.data.tokenizers import ErnieTokenizer

    with tempfile.TemporaryDirectory() as folder:
        ErnieTokenizer.from_vocab(vocab).save(folder)
        return PaddleNLPTokenizer.from_pretrained(folder)


if __name__ == "__main__":
    main(*sys.argv[1:])
