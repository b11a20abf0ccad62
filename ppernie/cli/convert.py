"""``ppernie convert``: model folders of other libraries, checkpoints, published shards, and back; quantised or not."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Literal

from ppernie.errors import UserError

HELP = "write a model as a folder of ppernie, PaddleNLP or Hugging Face, as a checkpoint to train from, or as shards"
_FORMS = ("ppernie", "paddlenlp", "huggingface", "checkpoint", "shards")
_BITS: dict[str, Literal[4, 8]] = {"int8": 8, "int4": 4}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--to",
        required=True,
        choices=_FORMS,
        help="whose folder; a checkpoint is for train --resume DST; shards are the files GLM-130B was published in",
    )
    parser.add_argument("--quantize", choices=_BITS, help="store the matrices of the layers in so many bits")
    parser.add_argument("--group-size", type=int, metavar="N", help="inputs that share a scale; all by default")
    parser.add_argument("--ranks", type=int, metavar="N", help="tensor-parallel ranks of the shards to write")
    parser.add_argument(
        "--variant", metavar="NAME", help="released model whose shape a weight file has that lies alone"
    )
    parser.add_argument("source", metavar="SRC", help="released name, folder, checkpoint, file or address")
    parser.add_argument("target", metavar="DST", type=Path, help="new folder")


def run(args: argparse.Namespace) -> int:
    from ppernie.checkpoints.marker import MARKER
    from ppernie.engine.logs import log_to_console

    _check(args)
    log_to_console()
    with tempfile.TemporaryDirectory() as temporary:
        source = args.source
        if (Path(source) / MARKER).is_file():
            from ppernie.engine.gather import gather_checkpoint

            source = Path(temporary) / "model"
            gather_checkpoint(Path(args.source), source)
        _convert(args, source, Path(temporary))
    print(f"{args.target}: written")
    return 0


def _check(args: argparse.Namespace) -> None:
    if (args.to == "shards") != (args.ranks is not None):
        raise UserError("--to shards needs --ranks N, the number of files, and nothing else takes it")
    if args.quantize and args.to not in ("ppernie", "shards"):
        raise UserError(f"--quantize writes folders of ppernie and shards: --to ppernie in place of --to {args.to}")
    if args.group_size is not None and not args.quantize:
        raise UserError("--group-size is of --quantize int8 or int4; give both")
    if args.group_size is not None and args.group_size < 2:
        raise UserError(f"--group-size {args.group_size}: a group is of 2 inputs or more; 64 and 128 are usual")


def _convert(args: argparse.Namespace, source: str | Path, temporary: Path) -> None:
    from ppernie.zoo.conversion import convert
    from ppernie.zoo.layerwise import convert_layers, convert_to_shards, is_shards

    scheme = None
    if args.quantize:
        from ppernie.slim.weight_only import Scheme

        scheme = Scheme(bits=_BITS[args.quantize], group_size=args.group_size)
    if args.to == "shards":
        convert_to_shards(source, args.target, args.ranks, args.variant, scheme)
    elif scheme is not None:
        convert_layers(source, args.target, args.variant, scheme)
    elif is_shards(source):
        if args.to != "ppernie":
            raise UserError(f"{source}: shards become a folder of ppernie first (--to ppernie), and that what you like")
        convert_layers(source, args.target, args.variant)
    elif args.to == "checkpoint":
        from ppernie.checkpoints.model_folder import as_checkpoint

        folder = temporary / "folder"
        convert(source, folder, "ppernie", args.variant)
        as_checkpoint(folder, args.target)
    else:
        convert(source, args.target, args.to, args.variant)
