"""``ppernie zero_shot``: tasks answered without training."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

HELP = "answer tasks by prompts with a pretrained network, without training"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", type=Path, required=True, metavar="DIR", help="model folder of a pretraining run")
    parser.add_argument("--prompts", required=True, metavar="FILE", help="tasks and their prompts (YAML)")
    parser.add_argument("--data", default="data", metavar="DIR", help="folder that the tasks' files lie below")
    parser.add_argument("--tasks", nargs="+", metavar="NAME", help="of the file, these alone")
    parser.add_argument("--limit", type=int, metavar="N", help="rows of each task, drawn at random")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the rows of --limit and the wrong choices")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the table as JSON too")
    parser.add_argument("--device", choices=("auto", "cpu", "gpu"), default="auto")
    parser.add_argument("--threads", type=int, metavar="N", help="CPU threads")


def run(args: argparse.Namespace) -> int:
    from ppernie.device import use_device
    from ppernie.errors import UserError
    from ppernie.files import writing
    from ppernie.zero_shot.kinds import evaluate, read
    from ppernie.zero_shot.prompts import read_prompts

    if args.limit is not None and args.limit < 1:
        raise UserError(f"--limit {args.limit}: must be 1 or more")
    tasks = read_prompts(args.prompts)
    if unknown := set(args.tasks or ()) - set(tasks):
        raise UserError(f"--tasks {', '.join(sorted(unknown))}: {args.prompts} has {', '.join(tasks)}")
    # All data is read before the network: a wrong path shows at once.
    rows = {
        name: read(task, args.data, args.limit, args.seed)
        for name, task in tasks.items()
        if not args.tasks or name in args.tasks
    }
    use_device(args.device, args.threads)
    scorer, tokenizer = _open(args.model)

    table: dict[str, dict[str, Any]] = {}
    columns: list[str] = []
    for name in rows:
        found = evaluate(tasks[name], rows[name], scorer, tokenizer)
        table[name] = {"rows": len(rows[name]), **found}
        # Tasks of another kind have results of their own.
        if list(found) != columns:
            columns = list(found)
            print(_line("task", ["rows", *columns]))
        print(_line(name, [str(len(rows[name])), *map(_shown, found.items())]), flush=True)
    if args.output:
        with writing(args.output):
            args.output.write_text(json.dumps(table, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return 0


def _line(name: str, cells: list[str]) -> str:
    return f"{name:<12}" + "".join(f"{cell:>14}" for cell in cells)


def _shown(result: tuple[str, float]) -> str:
    from ppernie.zero_shot.kinds import PLAIN

    name, value = result
    return f"{value:.2f}" if name in PLAIN else f"{100 * value:.1f}"


def _open(folder: Path) -> tuple[Any, Any]:
    """The scorer of a folder's network, and its tokenizer."""
    from ppernie import registry
    from ppernie.errors import UserError
    from ppernie.zoo.folder import load_network, read_description
    from ppernie.zoo.tokenizer import read_tokenizer

    description = read_description(folder)
    name = description.arch["name"]
    scorer = registry.arch_zero_shot(name)
    if registry.arch_class(name) is not scorer.network_class:
        raise UserError(
            f"{folder}: holds {name}, which lacks a branch; take the best_model of a pretraining run "
            f"({scorer.network_class.__name__})"
        )
    tokenizer = read_tokenizer(folder)
    return scorer(load_network(folder, description), tokenizer), tokenizer
