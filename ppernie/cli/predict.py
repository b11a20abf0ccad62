"""``ppernie predict``: answers to lines of text."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from pathlib import Path
from typing import BinaryIO, TextIO

HELP = "answer lines of text or JSON with an exported or a trained model"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from ppernie.cli.arguments import add_stream, add_task_options

    parser.add_argument("--model", required=True, metavar="DIR", help="export folder or model folder")
    parser.add_argument(
        "--input", required=True, metavar="FILE|-", help="lines of text or JSON; - reads standard input"
    )
    parser.add_argument("--output", metavar="FILE", help="write here in place of standard output")
    parser.add_argument("--device", choices=("auto", "cpu", "gpu"), default="auto")
    parser.add_argument(
        "--precision",
        choices=("fp32", "bf16", "fp16"),
        help="of an export; fp32, or what an export in INT8 runs best in",
    )
    parser.add_argument("--threads", type=int, metavar="N", help="CPU threads")
    add_stream(parser)
    add_task_options(parser)


def run(args: argparse.Namespace) -> int:
    from ppernie.files import writing
    from ppernie.inference.pipeline import open_pipeline

    with contextlib.ExitStack() as stack:
        source = stack.enter_context(_open(args.input)) if args.input != "-" else sys.stdin.buffer
        pipeline = open_pipeline(
            args.model,
            device=args.device,
            precision=args.precision,
            threads=args.threads,
            overrides=args.override,
            stream=args.stream,
        )
        if source.isatty():
            pipeline.batch_size = 1
        sink: TextIO = sys.stdout
        if args.output:
            stack.enter_context(writing(Path(args.output)))
            sink = stack.enter_context(open(args.output, "w", encoding="utf-8"))
        for answer in pipeline.lines(source):
            sink.write(json.dumps(answer, ensure_ascii=False) + "\n")
            sink.flush()
    return 0


def _open(name: str) -> BinaryIO:
    from ppernie.errors import UserError

    try:
        return open(name, "rb")
    except OSError as error:
        raise UserError(f"--input {name}: {error.strerror}") from error
