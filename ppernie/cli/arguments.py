"""Arguments that several commands share."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path


def add_config(parser: argparse.ArgumentParser, default: str | None = None) -> None:
    """``-c``, required unless there is a default, and ``-o``."""
    parser.add_argument(
        "-c", "--config", required=default is None, default=default, metavar="FILE", help="config file (YAML)"
    )
    parser.add_argument(
        "-o",
        "--override",
        action="extend",
        nargs="+",
        default=[],
        metavar="KEY=VALUE",
        help="set a key, such as Train.epochs=1; +KEY=VALUE adds to a free-form map",
    )


def add_model(parser: argparse.ArgumentParser) -> None:
    """``--model``, a model folder that the config's run wrote."""
    parser.add_argument(
        "--model",
        type=Path,
        metavar="DIR",
        help="model folder; the best_model of Global.output_dir by default",
    )


def add_stream(parser: argparse.ArgumentParser) -> None:
    """``--stream``, for models larger than memory."""
    parser.add_argument(
        "--stream",
        action="store_true",
        help="read the weights of a model folder layer by layer from the disk, in every pass: two layers are in memory",
    )


def add_task_options(parser: argparse.ArgumentParser) -> None:
    """``-o``, options of a saved model's task."""
    parser.add_argument(
        "-o",
        "--override",
        action="extend",
        nargs="+",
        default=[],
        metavar="KEY=VALUE",
        help="set an option of the model's task, such as max_target_length=100 or decoding.strategy=beam",
    )


def at_least(least: int) -> Callable[[str], int]:
    """The type of an argument that is a whole number with a least value."""

    def count(text: str) -> int:
        number = int(text)
        if number < least:
            raise argparse.ArgumentTypeError(f"{text} is less than {least}")
        return number

    return count


#: The type of an argument that counts.
count = at_least(1)
