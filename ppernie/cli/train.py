"""``ppernie train``: from a config to a model folder."""

from __future__ import annotations

import argparse

HELP = "train a model as a config says"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from ppernie.cli.arguments import add_config

    add_config(parser)
    parser.add_argument(
        "--resume",
        metavar="auto|PATH",
        help="go on from the newest checkpoint in the output folder, or from PATH",
    )


def run(args: argparse.Namespace) -> int:
    from ppernie.config import load_config
    from ppernie.engine.train import train

    results = train(load_config(args.config, args.override), args.resume)
    print("\n".join(f"{name}: {value}" for name, value in results.items()))
    return 0
