"""``ppernie complete``: a session of prompts and the texts that a model writes for them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TextIO

HELP = "write on from prompts, one after the other, with a model that generates text"

_PROMPT, _MORE = "> ", "... "


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from ppernie.cli.arguments import add_stream, add_task_options

    parser.add_argument("--model", required=True, type=Path, metavar="DIR", help="model folder or its export")
    parser.add_argument("--device", choices=("auto", "cpu", "gpu"), default="auto")
    parser.add_argument("--threads", type=int, metavar="N", help="CPU threads")
    add_stream(parser)
    add_task_options(parser)


def run(args: argparse.Namespace) -> int:
    from ppernie.decoding.stepwise import StepwiseTask
    from ppernie.errors import UserError
    from ppernie.inference.loading import has_steps, is_export, open_network

    if is_export(args.model) and not has_steps(args.model):
        raise UserError(f"{args.model}: this export writes no texts; ppernie predict answers with it")
    opened = open_network(args.model, args.device, args.threads, args.override, args.stream)
    task = opened.task
    if not isinstance(task, StepwiseTask):
        raise UserError(f"{args.model}: its task {opened.description.task_name} has no session; use ppernie predict")
    reader = task.reader(opened.network)
    session(lambda text: task.stream(reader, text), sys.stdin, sys.stdout)
    return 0


def session(write: Callable[[str], Iterator[str]], source: TextIO, sink: TextIO) -> None:
    """Answers prompts until the input ends.

    A backslash at the end of a line goes on with the prompt in the next. Ctrl-C stops a text, or drops a prompt that is
    being written; what is wrong with a prompt is said, and the next one taken. At a terminal there is a sign before
    each line to be written.
    """
    from ppernie.errors import UserError

    talks = source.isatty()
    while (prompt := _prompt(source, sink, talks)) is not None:
        try:
            for part in write(prompt):
                sink.write(part)
                sink.flush()
        except KeyboardInterrupt:
            pass
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)
        sink.write("\n")
        sink.flush()


def _prompt(source: TextIO, sink: TextIO, talks: bool) -> str | None:
    """The next prompt that is not empty; None at the input's end."""
    lines: list[str] = []
    while True:
        try:
            if talks:
                sink.write(_MORE if lines else _PROMPT)
                sink.flush()
            line = source.readline()
        except KeyboardInterrupt:
            lines = []
            sink.write("\n")
            continue
        ended = not line
        line = line.removesuffix("\n")
        if line.endswith("\\"):
            lines.append(line[:-1])
            continue
        lines.append(line)
        text = "\n".join(lines)
        if text.strip():
            return text
        if ended:
            return None
        lines = []
