"""The sides of ``ppernie bench load``, one a process: ``python -m ppernie.bench.load_side SIDE FOLDER``."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ppernie.bench.side import memory_mb, serve


def _ppernie() -> Callable[[Path], Any]:
    import ppernie

    return ppernie.from_pretrained


def _paddlenlp() -> Callable[[Path], Any]:
    from paddlenlp.transformers import ErnieModel

    return lambda folder: ErnieModel.from_pretrained(str(folder))


def _transformers() -> Callable[[Path], Any]:
    import torch  # noqa: F401 - names what is missing
    from transformers import ErnieModel

    return lambda folder: ErnieModel.from_pretrained(folder)


# Whose loader, and whose folder it reads.
SIDES = {
    "ppernie": (_ppernie, "ppernie"),
    "ppernie, PaddleNLP's folder": (_ppernie, "paddlenlp"),
    "ppernie, Hugging Face's folder": (_ppernie, "huggingface"),
    "PaddleNLP": (_paddlenlp, "paddlenlp"),
    "Hugging Face": (_transformers, "huggingface"),
}


def main(side: str, folder: str) -> None:
    """Answers a line of the input with one timed load."""
    prepare_loader, library = SIDES[side]

    def prepare() -> Callable[[str], dict[str, object]]:
        load = prepare_loader()
        load(Path(folder) / "tiny" / library)

        def timed(_: str) -> dict[str, object]:
            before = _forget_peak()
            start = time.perf_counter()
            network = load(Path(folder) / "full" / library)
            seconds = time.perf_counter() - start
            peak = memory_mb("VmHWM")
            del network
            return {"seconds": seconds, "rise_mb": None if before is None or peak is None else peak - before}

        return timed

    serve(prepare)


def _forget_peak() -> float | None:
    """Lets the system count the largest resident size anew; returns the present one in MB, None where it cannot."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return None
    return memory_mb("VmRSS")


if __name__ == "__main__":
    main(*sys.argv[1:])
