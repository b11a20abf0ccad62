"""``ppernie preprocess``: from texts and knowledge graphs to a corpus for pretraining."""

from __future__ import annotations

import argparse

from ppernie.cpu import cpu_count

HELP = "make a corpus for pretraining out of texts and knowledge graphs"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from ppernie.cli.arguments import add_config

    add_config(parser)
    parser.add_argument("--workers", type=int, default=cpu_count(), metavar="N", help="processes; all cores by default")


def run(args: argparse.Namespace) -> int:
    from ppernie.data.corpus.building import build_corpus
    from ppernie.data.corpus.settings import load_corpus_config
    from ppernie.engine.logs import log_to_console
    from ppernie.zoo.tokenizer import corpus_tokenizer

    log_to_console()
    config = load_corpus_config(args.config, args.override)
    statistics = build_corpus(config, corpus_tokenizer(config), args.workers)
    print("\n".join(f"{name}: {value:,.10g}" for name, value in statistics.items()))
    print(f"{config.output}: written")
    return 0
