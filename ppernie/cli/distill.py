"""``ppernie distill``: the stages of progressive distillation, one after the other."""

from __future__ import annotations

import argparse

HELP = "run the stages of progressive distillation, or go on with them"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from ppernie.cli.arguments import add_config

    add_config(parser)
    parser.add_argument("--stage", metavar="NAME", help="run this one alone; those before it must have ended")


def run(args: argparse.Namespace) -> int:
    from ppernie.slim.distillation.stages import run_stages
    from ppernie.table import render

    results = run_stages(args.config, args.override, args.stage)
    print(render([{"stage": name, **_shown(ended)} for name, ended in results.items()]))
    return 0


def _shown(ended: dict[str, object]) -> dict[str, str]:
    """What a stage reached, in cells of a table."""
    metric = str(ended.get("metric", ""))
    value = ended.get(metric)
    return {"steps": str(ended["steps"]), "metric": metric, "value": f"{value:.4f}" if isinstance(value, float) else ""}
