"""Speed of the ERNIE tokenizer beside PaddleNLP's, on one thread."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path

from ppernie.data.tokenizers import ErnieTokenizer
from ppernie.errors import UserError


def run(vocab_file: str, text_file: str, sentences: int = 3000, rounds: int = 5) -> list[dict[str, object]]:
    """Times both tokenizers on the first `sentences` lines of a text file, in turns, `rounds` times.

    Returns a row for each way of calling, with the median sentences a second and its ratio to PaddleNLP called
    in the same way. Needs PaddleNLP.
    """
    lines = _read_lines(Path(text_file), sentences)
    ours = ErnieTokenizer.from_vocab(vocab_file)
    theirs = _paddlenlp_tokenizer(ours)
    ways: dict[tuple[str, str], Callable[[], object]] = {
        ("one by one", "PaddleNLP"): lambda: [theirs(line) for line in lines],
        ("one by one", "ppernie"): lambda: [ours.encode(line) for line in lines],
        ("batch", "PaddleNLP"): lambda: theirs(lines),
        ("batch", "ppernie"): lambda: ours.encode_batch(lines),
    }
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    seconds: dict[tuple[str, str], list[float]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way, encode in ways.items():
            start = time.perf_counter()
            encode()
            seconds[way].append(time.perf_counter() - start)
    speed = {way: len(lines) / statistics.median(times) for way, times in seconds.items()}
    return [
        {
            "call": call,
            "tokenizer": tokenizer,
            "sentences/s": round(value),
            "ratio": f"{value / speed[call, 'PaddleNLP']:.2f}",
        }
        for (call, tokenizer), value in speed.items()
    ]


def _read_lines(path: Path, count: int) -> list[str]:
    try:
        with path.open(encoding="utf-8") as file:
            lines = list(islice((line.strip() for line in file if line.strip()), count))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read the sentences of {path}: {error}") from error
    if not lines:
        raise UserError(f"{path} holds no sentence: give a text file with one sentence a line")
    return lines


def _paddlenlp_tokenizer(tokenizer: ErnieTokenizer) -> Callable[[str | list[str]], object]:
    from paddlenlp.transformers import ErnieTokenizer as PaddleNLPTokenizer

    with tempfile.TemporaryDirectory() as folder:
        tokenizer.save(folder)
        return PaddleNLPTokenizer.from_pretrained(folder)
