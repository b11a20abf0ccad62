"""``ppernie convert``: model folders of other libraries, checkpoints, and back."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

HELP = "write a model as a folder of ppernie, PaddleNLP or Hugging Face, or as a checkpoint to train from"
_FORMS = ("ppernie", "paddlenlp", "huggingface", "checkpoint")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--to", required=True, choices=_FORMS, help="whose folder; a checkpoint is for train --resume DST"
    )
    parser.add_argument(
        "--variant", metavar="NAME", help="released model whose shape a weight file has that lies alone"
    )
    parser.add_argument("source", metavar="SRC", help="released name, folder, checkpoint, file or address")
    parser.add_argument("target", metavar="DST", type=Path, help="new folder")


def run(args: argparse.Namespace) -> int:
    from ppernie.checkpoints.marker import MARKER
    from ppernie.engine.logs import log_to_console
    from ppernie.zoo.conversion import convert

    log_to_console()
    with tempfile.TemporaryDirectory() as temporary:
        source = args.source
        if (Path(source) / MARKER).is_file():
            from ppernie.engine.gather import gather_checkpoint

            source = Path(temporary) / "model"
            gather_checkpoint(Path(args.source), source)
        if args.to == "checkpoint":
            from ppernie.checkpoints.model_folder import as_checkpoint

            folder = Path(temporary) / "folder"
            convert(source, folder, "ppernie", args.variant)
            as_checkpoint(folder, args.target)
        else:
            convert(source, args.target, args.to, args.variant)
    print(f"{args.target}: written")
    return 0
