"""What a run reads besides its config, told by content: a corpus that was built anew is another one."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

from ppernie.config import Config, Source
from ppernie.data.corpus.corpus import INDEX
from ppernie.data.readers.files import resolve
from ppernie.errors import UserError
from ppernie.tasks.base import TaskOptions


def input_digests(config: Config, *, learnt: bool = False) -> dict[str, str]:
    """A digest of each file that a run reads, by its path; of a corpus its index, which holds a digest of the rest.

    What is absent is left out: the run says so better.

    Args:
        learnt: those alone that the training depends on, without ``Data.eval`` and ``Data.test``.
    """
    data = config.Data
    paths: list[Path] = []
    for name, root in _named(config, [data.train] if learnt else [data.train, data.eval, data.test]):
        try:
            paths += resolve(name, root)
        except UserError:
            continue
    return {str(path): _digest(path, path.stat().st_mtime_ns) for path in paths}


def _named(config: Config, sources: Sequence[Source | None]) -> Iterator[tuple[str, str | None]]:
    """Files and patterns, and the folder that they start from."""
    data, options = config.Data, config.Task.options
    if data.tokenizer is not None and data.tokenizer.vocab_file is not None:
        yield data.tokenizer.vocab_file, None
    for source in sources:
        if source is not None:
            yield from ((name, data.root) for name in _files(source))
    assert isinstance(options, TaskOptions)
    yield from ((name, None) for name in options.reads())


def _files(source: Source) -> list[str]:
    if source.corpus is not None:
        return [str(Path(source.corpus, INDEX))]
    return [source.files] if isinstance(source.files, str) else source.files or []


@cache
def _digest(path: Path, changed: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
