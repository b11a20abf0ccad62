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
    from ppernie.zero_shot.prompts import read_prompts
    from ppernie.zero_shot.questions import read_questions

    if args.limit is not None and args.limit < 1:
        raise UserError(f"--limit {args.limit}: must be 1 or more")
    tasks = read_prompts(args.prompts)
    if unknown := set(args.tasks or ()) - set(tasks):
        raise UserError(f"--tasks {', '.join(sorted(unknown))}: {args.prompts} has {', '.join(tasks)}")
    # All data is read before the network: a wrong path shows at once.
    questions = {
        name: read_questions(task, args.data, args.limit, args.seed)
        for name, task in tasks.items()
        if not args.tasks or name in args.tasks
    }
    use_device(args.device, args.threads)
    scorer, tokenizer = _open(args.model)

    from ppernie.zero_shot.answers import accuracy, chance
    from ppernie.zero_shot.scores import SCORES, score

    print(_line("task", ["rows", "chance", *SCORES]), flush=True)
    table: dict[str, dict[str, Any]] = {}
    for name, rows in questions.items():
        scores = score(rows, scorer, tokenizer)
        found = {"chance": chance(rows), **{column: accuracy(rows, scores[column]) for column in SCORES}}
        table[name] = {"rows": len(rows), **found}
        print(_line(name, [str(len(rows)), *(f"{100 * value:.1f}" for value in found.values())]), flush=True)
    if args.output:
        with writing(args.output):
            args.output.write_text(json.dumps(table, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return 0


def _line(name: str, cells: list[str]) -> str:
    return f"{name:<12}" + "".join(f"{cell:>13}" for cell in cells)


def _open(folder: Path) -> tuple[Any, Any]:
    """The scorer of a folder's network, and its tokenizer."""
    from ppernie import registry
    from ppernie.errors import UserError
    from ppernie.zoo.folder import WEIGHTS, read_description, read_weights
    from ppernie.zoo.tokenizer import read_tokenizer
    from ppernie.zoo.weights import empty_network, load_weights

    description = read_description(folder)
    name = description.arch["name"]
    scorer, network_class = registry.arch_zero_shot(name), registry.arch_class(name)
    if network_class is not scorer.network_class:
        raise UserError(
            f"{folder}: holds {name}, which lacks a branch; take the best_model of a pretraining run "
            f"({scorer.network_class.__name__})"
        )
    network = empty_network(lambda: network_class(description.arch_config()))
    load_weights(network, read_weights(folder), str(folder / WEIGHTS))
    tokenizer = read_tokenizer(folder)
    return scorer(network, tokenizer), tokenizer
