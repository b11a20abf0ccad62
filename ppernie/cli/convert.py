"""``ppernie convert``: model folders of other libraries, and back."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "write a model as a folder of ppernie, PaddleNLP or Hugging Face"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--to", required=True, choices=("ppernie", "paddlenlp", "huggingface"), help="whose folder")
    parser.add_argument(
        "--variant", metavar="NAME", help="released model whose shape a weight file has that lies alone"
    )
    parser.add_argument("source", metavar="SRC", help="released name, folder, weight file, archive or http(s) address")
    parser.add_argument("target", metavar="DST", type=Path, help="new folder")


def run(args: argparse.Namespace) -> int:
    from ppernie.engine.logs import log_to_console
    from ppernie.zoo.conversion import convert

    log_to_console()
    convert(args.source, args.target, args.to, args.variant)
    print(f"{args.target}: written")
    return 0
