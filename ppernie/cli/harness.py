"""``ppernie harness``: a network that fills blanks, evaluated by prompts."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ppernie.harness.scorer import Scorer

HELP = "evaluate a GLM by prompts: choices, generation and language modelling, without training"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from ppernie.cli.arguments import add_config, add_stream

    add_config(parser)
    parser.add_argument("--model", type=Path, required=True, metavar="DIR", help="model folder")
    parser.add_argument("--tasks", nargs="+", metavar="NAME", help="of the config, these alone")
    parser.add_argument("--limit", type=int, metavar="N", help="rows of each task, drawn at random")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the rows of --limit")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder; output/harness/CONFIG by default")
    add_stream(parser)
    parser.add_argument("--device", choices=("auto", "cpu", "gpu"), default="auto")
    parser.add_argument("--threads", type=int, metavar="N", help="CPU threads")


def run(args: argparse.Namespace) -> int:
    from ppernie import table
    from ppernie.engine.logs import log_to_console
    from ppernie.errors import UserError
    from ppernie.harness import plots, results
    from ppernie.harness.run import run_tasks
    from ppernie.harness.tasks import read_harness
    from ppernie.zoo.folder import read_description

    if args.limit is not None and args.limit < 1:
        raise UserError(f"--limit {args.limit}: must be 1 or more")
    file = read_harness(args.config, args.override)
    if unknown := set(args.tasks or ()) - set(file.tasks):
        raise UserError(f"--tasks {', '.join(sorted(unknown))}: {args.config} has {', '.join(file.tasks)}")
    tasks = {name: task for name, task in file.tasks.items() if not args.tasks or name in args.tasks}
    read_description(args.model)
    log_to_console()

    def open_scorer() -> Scorer:
        from ppernie.device import use_device

        use_device(args.device, args.threads)
        return _open(args.model, args.stream)

    out = args.out or Path("output/harness") / Path(args.config).stem
    options = {"limit": args.limit, "seed": args.seed, "aggregates": file.aggregates}
    found = run_tasks(tasks, file.root, args.model, out, open_scorer, **options)
    plots.write_plot(found, out / plots.FILE)
    print(table.render(results.table(found)))
    return 0


def _open(folder: Path, stream: bool) -> Scorer:
    from ppernie import registry
    from ppernie.inference.loading import opener
    from ppernie.zoo.folder import read_description
    from ppernie.zoo.tokenizer import read_tokenizer

    description = read_description(folder)
    scorer = registry.arch_harness(description.arch["name"])
    return scorer(opener(stream)(folder, description, description.build_network), read_tokenizer(folder))
