"""``ppernie quickstart``: train, export and predict in one command, without network or data set."""

from __future__ import annotations

import argparse

HELP = "train a nano encoder on jieba's dictionary, export it and predict"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from ppernie.cli.arguments import add_config

    add_config(parser, default="configs/ernie3/quickstart.yaml")


def run(args: argparse.Namespace) -> int:
    from ppernie.quickstart import quickstart

    print(quickstart(args.config, args.override))
    return 0
