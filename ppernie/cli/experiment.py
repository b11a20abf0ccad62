"""``ppernie experiment``: conditions compared over seeds, by one command."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

from ppernie.errors import UserError

HELP = "compare variants of a chain of training runs over seeds, with tables and plots"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from ppernie.cli.arguments import add_config

    add_config(parser)
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="runs at a time, which share the cores")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder; output/experiments/NAME by default")


def run(args: argparse.Namespace) -> int:
    """Exit status: 0, or 1 when a run failed."""
    from ppernie.experiments.experiment import run_experiment

    if args.jobs < 1:
        raise UserError(f"--jobs {args.jobs}: at least one run goes at a time")
    text, failures = run_experiment(args.config, args.override, args.jobs, args.out, _command(args))
    print(f"\n{text}")
    return int(bool(failures))


def _command(args: argparse.Namespace) -> str:
    parts = ["ppernie", "experiment", "-c", args.config]
    parts += ["-o", *args.override] if args.override else []
    parts += ["--jobs", str(args.jobs)] if args.jobs > 1 else []
    parts += ["--out", str(args.out)] if args.out else []
    return shlex.join(parts)
