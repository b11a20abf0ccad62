"""``ppernie eval``: a trained model on a labelled set."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

HELP = "evaluate a trained model on the Data.eval of its config, or on Data.test"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from ppernie.cli.arguments import add_config, add_model

    add_config(parser)
    add_model(parser)
    parser.add_argument("--split", choices=("eval", "test"), default="eval", help="which part of Data")


def run(args: argparse.Namespace) -> int:
    from ppernie.config import load_config
    from ppernie.device import use_device
    from ppernie.engine.logs import log_to_console
    from ppernie.errors import UserError

    config = load_config(args.config, args.override)
    source = getattr(config.Data, args.split)
    if source is None:
        raise UserError(f"Data.{args.split} is missing: name the labelled file or data set")
    log_to_console()
    use_device(config.Global.device, config.Global.threads)

    from ppernie.data.readers import read_examples
    from ppernie.engine.evaluate import evaluate
    from ppernie.zoo.folder import load_model

    model, task, description = load_model(args.model or Path(config.Global.output_dir) / "best_model")
    examples = read_examples(
        source,
        root=config.Data.root,
        fields=config.Data.fields,
        task=description.task_name,
        purpose="eval",
    )
    items = [item for example in examples for item in task.expand(example, True)]
    metrics = evaluate(model, task, items, config.Eval.batch_size)
    print(json.dumps({"examples": len(examples), **metrics}, indent=2))
    return 0
