"""The ``ppernie`` command; ``tools/X.py`` is ``ppernie X``."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence

from ppernie import __version__
from ppernie.errors import Interrupted, UserError

_COMMANDS = (
    "tokenizer",
    "preprocess",
    "lexicon",
    "train",
    "eval",
    "distill",
    "compress",
    "export_model",
    "predict",
    "complete",
    "zero_shot",
    "harness",
    "download",
    "convert",
    "plan",
    "config",
    "bench",
    "experiment",
    "quickstart",
)

# Exit statuses that scripts rely on.
_USER_ERROR = 2
_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command and returns its exit status: 2 for a user's mistake, 130 for an interrupted run."""
    args = _parser().parse_args(arguments)
    try:
        return args.run(args)
    except BrokenPipeError:
        # Whoever read the output has seen enough; the interpreter must not try to flush the rest.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (UserError, Interrupted, KeyboardInterrupt) as error:
        if args.debug:
            raise
        if isinstance(error, UserError):
            print(f"error: {error}", file=sys.stderr)
            return _USER_ERROR
        print(str(error) or "interrupted", file=sys.stderr)
        return _INTERRUPTED


def tool(command: str) -> None:
    """Entry point of ``tools/<command>.py``."""
    sys.exit(main([command, *sys.argv[1:]]))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "ppernie", description="PaddlePaddle-native model zoo of the ERNIE and GLM families"
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name in _COMMANDS:
        module = importlib.import_module(f"ppernie.cli.{name}")
        command = commands.add_parser(name, help=module.HELP, description=module.HELP)
        command.add_argument("--debug", action="store_true", help="show the traceback of an error")
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    return parser


if __name__ == "__main__":
    sys.exit(main())
