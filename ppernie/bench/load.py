"""Loading pretrained weights beside PaddleNLP and Hugging Face transformers.

One encoder with random weights is written as a folder of each library. Every load is the first of a new process that
has imported its library and loaded and run a tiny model, so that import and first-call costs do not count; files are
in the system's cache. Who maps a file reads it when it is used: hence the second time, to the end of a first forward
over 8 tokens, and memory as the rise of the process's resident size until then.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from ppernie.bench.load_side import SIDES
from ppernie.bench.side import PAUSE_SECONDS, Side
from ppernie.bench.sizes import variant_of
from ppernie.table import render

_OTHERS = ("PaddleNLP", "Hugging Face")
_TINY = {
    "vocab_size": 32,
    "hidden_size": 8,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 8,
    "max_position_embeddings": 8,
}


def benchmark(sizes: Sequence[str], rounds: int, threads: int) -> str:
    """Measures and returns a table; time ratios are medians over rounds.

    Args:
        sizes: keys of ``ppernie.bench.sizes.VARIANTS``.
        rounds: loads of each side, in turns.
        threads: threads for each side.
    """
    variants = {size: variant_of(size) for size in sizes}
    return render([row for size, variant in variants.items() for row in _measure(size, variant, rounds, threads)])


def _measure(size: str, variant: str, rounds: int, threads: int) -> list[dict[str, object]]:
    with tempfile.TemporaryDirectory() as folder:
        megabytes = write_folders(variant, Path(folder) / "full") / 2**20
        write_folders(variant, Path(folder) / "tiny", **_TINY)
        answers: dict[str, list[dict[str, Any]]] = {name: [] for name in SIDES}
        for _ in range(rounds):
            for name in SIDES:
                side = Side("ppernie.bench.load_side", [name, folder], threads)
                answers[name].append(side.ask())
                side.close()
                time.sleep(PAUSE_SECONDS)
    return [{"size": size, "side": name, **_row(name, answers, megabytes)} for name in SIDES]


def write_folders(variant: str, folder: Path, **fields: Any) -> int:
    """Writes a released variant's encoder with random weights for every library; returns its weights' size in bytes."""
    import paddle

    from ppernie import registry
    from ppernie.zoo import manifest
    from ppernie.zoo.conversion import convert
    from ppernie.zoo.description import ModelDescription
    from ppernie.zoo.folder import save_model

    arch = {"name": "ernie3/ErnieModel", **manifest.find(variant).architecture, **fields}
    description = ModelDescription(arch=arch, task=None, max_length=8)
    paddle.seed(0)
    network = registry.arch_class(arch["name"])(description.arch_config())
    network.reset_parameters()
    weights = {name: parameter.numpy() for name, parameter in network.named_parameters()}
    save_model(folder / "ppernie", weights, description, None, {})
    for library in ("paddlenlp", "huggingface"):
        convert(folder / "ppernie", folder / library, library)
    return sum(array.nbytes for array in weights.values())


def _row(name: str, answers: dict[str, list[dict[str, Any]]], megabytes: float) -> dict[str, object]:
    own = answers[name]
    row: dict[str, object] = {}
    for title, key in (("load", "seconds"), ("answer", "answered")):
        row[f"{title} ms"] = "" if "error" in own[0] else f"{1000 * median(answer[key] for answer in own):.0f}"
        for other in _OTHERS:
            row[f"{title} to {other}"] = _ratio(own, answers[other], key)
    rises = [answer["rise_mb"] for answer in own if answer.get("rise_mb") is not None]
    row["peak / weights"] = f"{median(rises) / megabytes:.2f}" if rises else ""
    return row | {"note": own[0].get("error", "")}


def _ratio(own: list[dict[str, Any]], other: list[dict[str, Any]], key: str) -> str:
    pairs = zip(own, other, strict=True)
    ratios = [a[key] / b[key] for a, b in pairs if key in a and key in b]
    return f"{median(ratios):.2f}" if ratios else ""
