"""The sides of ``ppernie bench load``, one a process: ``python -m ppernie.bench.load_side SIDE FOLDER``."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ppernie.bench.side import memory_mb, serve

Load = Callable[[Path], Any]
Answer = Callable[[Any], Any]


_IDS = [[1, 2, 3, 4, 5, 6, 7, 2]]


def _ppernie() -> tuple[Load, Answer]:
    import paddle

    import ppernie

    return ppernie.from_pretrained, lambda network: network(paddle.to_tensor(_IDS))


def _paddlenlp() -> tuple[Load, Answer]:
    import paddle
    from paddlenlp.transformers import ErnieModel

    return lambda folder: ErnieModel.from_pretrained(str(folder)), lambda network: network(paddle.to_tensor(_IDS))


def _transformers() -> tuple[Load, Answer]:
    import torch
    from transformers import ErnieModel

    return ErnieModel.from_pretrained, lambda network: network(torch.tensor(_IDS))


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
        load, answer = prepare_loader()
        answer(load(Path(folder) / "tiny" / library))

        def timed(_: str) -> dict[str, object]:
            before = _forget_peak()
            start = time.perf_counter()
            network = load(Path(folder) / "full" / library)
            loaded = time.perf_counter() - start
            answer(network)
            answered = time.perf_counter() - start
            peak = memory_mb("VmHWM")
            rise = None if before is None or peak is None else peak - before
            return {"seconds": loaded, "answered": answered, "rise_mb": rise}

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
