"""Latency of an encoder's widths beside the operations that are left of it.

Widths are those of DynaBERT (Hou et al. 2020, arXiv:2004.04037): shares of heads and neurons, cut as ``Slim.width``
does. Each is a text classifier with random weights, exported and run as ``ppernie predict`` would, in a process of its
own; all take turns.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ppernie import registry
from ppernie.architectures import EncoderConfig
from ppernie.bench.compression import Measured, measure
from ppernie.bench.infer_side import ARCH, LABELS, TOLERANCE, network
from ppernie.bench.sizes import variant_of
from ppernie.data.tokenizers import ErnieTokenizer
from ppernie.data.tokenizers.files import SPECIAL_TOKENS
from ppernie.device import use_device
from ppernie.errors import UserError
from ppernie.export import export_model
from ppernie.export.model import contents_of
from ppernie.slim.pruning.model import Model
from ppernie.slim.pruning.width import narrowed
from ppernie.table import render
from ppernie.zoo import manifest
from ppernie.zoo.description import ModelDescription
from ppernie.zoo.sources import check_architecture
from ppernie.zoo.weights import load_weights

# Tokens beside the special ones; how many there are is nothing to a layer.
_TOKENS = 1000


class Sizes(NamedTuple):
    """Of the encoder of width 1.0, whose feed-forward networks are four times as wide, and of what it reads."""

    layers: int
    hidden: int
    heads: int
    batch: int
    length: int


def benchmark(sizes: Sizes, widths: Sequence[float], rounds: int, threads: int) -> str:
    """Measures and returns a table.

    Args:
        widths: beside 1.0, to which the ratios are; ``deviation`` is that of the ratio of latencies from the ratio of
            operations.
        rounds: timed turns of each width.
        threads: of each side.

    Raises:
        UserError: there is no encoder of these sizes, a width leaves nothing of it, or the export failed.
    """
    if wrong := [width for width in widths if not 0 < width <= 1]:
        raise UserError(f"bench width: {wrong[0]} is no share; widths lie above 0, and at 1 at most")
    use_device("cpu", threads)
    model = _model(sizes)
    models = {width: narrowed(model, width) for width in dict.fromkeys([1.0, *widths])}
    with tempfile.TemporaryDirectory() as scratch:
        folders = [Path(scratch, str(width)) for width in models]
        for own, folder in zip(models.values(), folders, strict=True):
            _export(own, folder, sizes)
        latencies = measure(folders, sizes.batch, sizes.length, rounds, "cpu", threads)
    whole = multiply_adds(model.config, sizes.batch, sizes.length)
    return render(
        [
            _row(width, own.config, multiply_adds(own.config, sizes.batch, sizes.length), whole, latency)
            for (width, own), latency in zip(models.items(), latencies, strict=True)
        ]
    )


def multiply_adds(config: EncoderConfig, batch: int, length: int) -> int:
    """Of the products with weights and of those in attention, in a text classifier.

    Its head reads the first token, so that the last layer computes queries and what follows them for that one alone.
    """
    hidden, inner = config.hidden_size, config.num_attention_heads * config.head_size
    total = hidden * (hidden + LABELS)
    for queries in [*[length] * (config.num_hidden_layers - 1), 1]:
        projections = 2 * (queries + length) * hidden * inner  # queries and outputs, keys and values
        attention = 2 * queries * length * inner  # scores, and sums of values
        total += projections + attention + 2 * queries * hidden * config.intermediate_size
    return batch * total


def _model(sizes: Sizes) -> Model:
    """The encoder in all its width."""
    tokenizer = ErnieTokenizer([*SPECIAL_TOKENS.values(), *map(str, range(_TOKENS))])
    fields = manifest.find(variant_of("12x768")).architecture | {
        "vocab_size": tokenizer.vocab_size,
        "pad_token_id": tokenizer.pad_id,
        "num_hidden_layers": sizes.layers,
        "hidden_size": sizes.hidden,
        "num_attention_heads": sizes.heads,
        "intermediate_size": 4 * sizes.hidden,
        "max_position_embeddings": sizes.length,
    }
    check_architecture(ARCH.partition("/")[0], fields, "bench width")
    description = ModelDescription(
        arch={"name": ARCH, "variant": None, **fields},
        task={"name": "sequence_classification", "labels": [str(label) for label in range(LABELS)]},
        max_length=sizes.length,
    )
    weights = {name: parameter.numpy() for name, parameter in network(fields).named_parameters()}
    return Model(description, weights, tokenizer, registry.arch_plan(ARCH))


def _export(model: Model, folder: Path, sizes: Sizes) -> None:
    task = model.description.build_task(model.tokenizer)
    own = model.description.build_model(task)
    load_weights(own, model.weights, str(folder))
    rng, batches = np.random.default_rng(0), []
    for rows in (1, sizes.batch):
        ids = rng.integers(1, model.config.vocab_size, (rows, sizes.length))
        batches.append({name: ids if name in task.id_names else np.zeros_like(ids) for name in task.input_names})
    export_model(own, contents_of(model.description, task, batches), folder, TOLERANCE)


def _row(width: float, config: EncoderConfig, operations: int, whole: int, latency: Measured) -> dict[str, object]:
    share, time = operations / whole, 1 / latency.faster
    return {
        "width": width,
        "heads": config.num_attention_heads,
        "neurons": config.intermediate_size,
        "multiply-adds": f"{operations:,}",
        "ratio": f"{share:.3f}",
        "p50 ms": f"{latency.milliseconds:.2f}",
        "time ratio": f"{time:.3f}",
        "deviation": f"{100 * (time / share - 1):+.1f}%",
    }
