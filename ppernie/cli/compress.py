"""``ppernie compress``: from a model folder to a smaller one."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "make a trained model smaller by the steps of a config's section Slim"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from ppernie.cli.arguments import add_config, add_model

    add_config(parser)
    add_model(parser)
    parser.add_argument(
        "--output", type=Path, metavar="DIR", help="folder to write; the compressed of Global.output_dir by default"
    )
    parser.add_argument(
        "--evaluate", action="store_true", help="compare both on the config's Data.eval, with the folder's task"
    )


def run(args: argparse.Namespace) -> int:
    from ppernie.config import load_config
    from ppernie.engine.logs import log_to_console
    from ppernie.slim.recipe import compress
    from ppernie.table import render

    config = load_config(args.config, args.override)
    log_to_console()
    base = Path(config.Global.output_dir)
    source, target = args.model or base / "best_model", args.output or base / "compressed"
    compress(source, target, config)
    if not args.evaluate:
        print(f"{target}: written")
        return 0
    from ppernie.device import use_device

    use_device(config.Global.device, config.Global.threads)

    from ppernie.slim.scores import scores, weight_megabytes

    rows: list[dict[str, object]] = []
    for folder in (source, target):
        found = {name: f"{value:.4f}" for name, value in scores(folder, config).items()}
        rows.append({"model": str(folder), "MB": f"{weight_megabytes(folder):.1f}", **found})
    print(render(rows))
    return 0
