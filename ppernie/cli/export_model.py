"""``ppernie export_model``: from a model folder to a static graph that is proven equal."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "export a trained model for Paddle Inference, and prove it on real inputs"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from ppernie.cli.arguments import add_config, add_model

    add_config(parser)
    add_model(parser)
    parser.add_argument(
        "--output",
        type=Path,
        metavar="DIR",
        help="folder to write; the export of Global.output_dir by default",
    )


def run(args: argparse.Namespace) -> int:
    from ppernie.config import load_config
    from ppernie.device import use_device
    from ppernie.engine.logs import log_to_console

    config = load_config(args.config, args.override)
    log_to_console()
    use_device(config.Global.device, config.Global.threads)

    from ppernie.export.model import export_folder

    base = Path(config.Global.output_dir)
    output = args.output or base / "export"
    report = export_folder(args.model or base / "best_model", output, config)
    print(f"{output}: largest relative difference {report['differences']['fp32']['max_relative']:.1e} on real inputs")
    return 0
