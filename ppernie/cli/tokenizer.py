"""``ppernie tokenizer``: from the texts of a corpus to a tokenizer."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "learn GLM's tokenizer from the texts of a corpus, for pretraining from text alone"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from ppernie.cli.arguments import add_config

    add_config(parser)
    parser.add_argument("output", type=Path, metavar="DIR", help="folder to write, the config's tokenizer.folder")
    parser.add_argument("--vocab-size", type=int, default=8000, metavar="N", help="number of ids (8000)")


def run(args: argparse.Namespace) -> int:
    from ppernie.data.corpus.settings import load_corpus_config
    from ppernie.data.corpus.tokenizer_training import learn_tokenizer

    config = load_corpus_config(args.config, args.override)
    tokenizer = learn_tokenizer(config, args.output, args.vocab_size)
    print(f"{args.output}: {tokenizer.vocab_size:,} tokens")
    return 0
