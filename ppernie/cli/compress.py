"""``ppernie compress``: from a model folder to a smaller one."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "make a trained model smaller by the steps of a config's section Slim, and compare what each of them costs"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from ppernie.cli.arguments import add_config, add_model

    add_config(parser)
    add_model(parser)
    parser.add_argument(
        "--output",
        type=Path,
        metavar="DIR",
        help="folder of the steps and of the result, DIR/model; the compressed of Global.output_dir by default",
    )


def run(args: argparse.Namespace) -> int:
    from ppernie.config import load_config
    from ppernie.engine.logs import log_to_console
    from ppernie.slim.recipe import compress

    config = load_config(args.config, args.override)
    log_to_console()
    base = Path(config.Global.output_dir)
    output = args.output or base / "compressed"
    table = compress(args.model or base / "best_model", output, config)
    print(f"{table}\n{output / 'model'}: written")
    return 0
