"""``ppernie lexicon``: the n-grams of a corpus that stand together more often than by chance."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ppernie.errors import UserError

if TYPE_CHECKING:
    from ppernie.data.corpus.lexicon import Lexicon
    from ppernie.data.tokenizers import Tokenizer

HELP = "make a lexicon of n-grams from a corpus, for pretraining that hides whole n-grams"

# Shown of each length.
_EXAMPLES = 8


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("corpus", type=Path, metavar="CORPUS", help="folder that ppernie preprocess wrote")
    parser.add_argument("output", type=Path, metavar="FILE", help="lexicon to write")
    parser.add_argument(
        "--top",
        type=int,
        nargs="+",
        default=[200_000, 100_000],
        metavar="K",
        help="the most n-grams of 2, 3, ... tokens to keep (200000 100000)",
    )


def run(args: argparse.Namespace) -> int:
    from ppernie.data.corpus import open_corpus
    from ppernie.data.corpus.lexicon import build_lexicon
    from ppernie.table import render

    if min(args.top) < 0:
        raise UserError(f"--top {min(args.top)}: a number of n-grams is 0 or more")
    corpus = open_corpus(args.corpus)
    tokenizer = corpus.tokenizer()
    lexicon = build_lexicon(corpus, tokenizer, args.top)
    lexicon.save(args.output)
    print(render(_rows(lexicon, tokenizer)))
    print(f"{args.output}: {len(lexicon)} n-grams")
    return 0


def _rows(lexicon: Lexicon, tokenizer: Tokenizer) -> list[dict[str, object]]:
    return [
        {
            "tokens": table.shape[1],
            "n-grams": len(table),
            "the likeliest": ", ".join(
                " ".join(tokenizer.id_to_token(token) for token in ngram) for ngram in table[:_EXAMPLES].tolist()
            ),
        }
        for table in lexicon.ngrams
    ]
