"""``ppernie preprocess``: from texts and knowledge graphs to a corpus for pretraining."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from ppernie.cpu import cpu_count

if TYPE_CHECKING:
    from ppernie.data.corpus.settings import CorpusConfig
    from ppernie.data.tokenizers import Tokenizer

HELP = "make a corpus for pretraining out of texts and knowledge graphs"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from ppernie.cli.arguments import add_config

    add_config(parser)
    parser.add_argument("--workers", type=int, default=cpu_count(), metavar="N", help="processes; all cores by default")


def run(args: argparse.Namespace) -> int:
    from ppernie.data.corpus.building import build_corpus
    from ppernie.data.corpus.settings import load_corpus_config
    from ppernie.engine.logs import log_to_console

    log_to_console()
    config = load_corpus_config(args.config, args.override)
    statistics = build_corpus(config, _tokenizer(config), args.workers)
    print("\n".join(f"{name}: {value:,.10g}" for name, value in statistics.items()))
    print(f"{config.output}: written")
    return 0


def _tokenizer(config: CorpusConfig) -> Tokenizer:
    from ppernie.data.tokenizers.settings import tokenizer_of
    from ppernie.zoo.tokenizer import load_tokenizer

    if config.pretrained_model is not None:
        return load_tokenizer(config.pretrained_model)
    tokenizer = tokenizer_of(config.tokenizer) if config.tokenizer is not None else None
    assert tokenizer is not None
    return tokenizer
