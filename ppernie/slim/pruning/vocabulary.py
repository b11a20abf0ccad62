"""Vocabulary pruning: the rows of tables for tokens that the data has none of, and for positions beyond its texts."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ppernie.data.tokenizers import ErnieTokenizer
from ppernie.errors import UserError
from ppernie.parallel.plan import Plan, Vocab, VocabHead
from ppernie.slim.pruning.counts import token_counts
from ppernie.slim.pruning.model import Model, described_with, open_model, shapes_of

if TYPE_CHECKING:
    from ppernie.config.sections import Config
    from ppernie.data.tokenizers import Tokenizer
    from ppernie.slim.pruning.settings import Vocabulary
    from ppernie.zoo.description import ModelDescription

logger = logging.getLogger("ppernie")

_KEY = "Slim.vocabulary"


def prune_vocabulary(source: Path, target: Path, options: Vocabulary, config: Config) -> None:
    """Writes the model with the tokens that the data needs, and a vocabulary of these.

    Tokens keep their order. A text whose tokens all stay is cut into the same ones, and the network computes the same.

    Args:
        config: names the data whose tokens count; the task is the folder's.

    Raises:
        UserError: the folder, its tokenizer or its network cannot be pruned, or not so; or the data cannot be read.
    """
    model = open_model(source)
    _check(options, model, config)
    length = options.max_length or model.description.max_length
    described = model.description.model_copy(update={"max_length": min(length, model.description.max_length)})
    counts = token_counts(config, described.build_task(model.tokenizer), described.task_name)
    kept = kept_tokens(counts, model.tokenizer, options.max_size)
    tokenizer = ErnieTokenizer([model.tokenizer.tokens[i] for i in kept], lowercase=model.tokenizer.lowercase)
    fewer = described_with(described, _KEY, vocab_size=len(kept), pad_token_id=tokenizer.pad_id)
    pruned = Model(fewer, _rows(model, kept), tokenizer, model.plan)
    _check_rest(pruned, fewer)
    if options.max_length is not None:
        pruned = _shortened(pruned, options.max_length)
    pruned.save(target)
    occurring = np.flatnonzero(counts)
    share = counts[np.intersect1d(kept, occurring)].sum() / counts.sum()
    logger.info("Vocabulary: %d of %d tokens kept, %.2f %% of those in the data", len(kept), len(counts), 100 * share)


def kept_tokens(counts: np.ndarray, tokenizer: Tokenizer, size: int) -> list[int]:
    """Ids of the special tokens and of the most frequent others that occur, at most ``size``, ascending."""
    special = sorted(tokenizer.vocab[token] for token in tokenizer.special_tokens)
    # Of equally frequent tokens the first.
    by_count = np.argsort(-counts, kind="stable").tolist()
    others = [i for i in by_count if counts[i] and i not in special]
    return sorted([*special, *others[: size - len(special)]])


def vocabulary_weights(names: list[str], plan: Plan) -> list[str]:
    """Those of the parameters that have a row for each token."""
    found = []
    for name in names:
        rule = plan.rule(name.rpartition(".")[0], has_parameters=True)
        if rule is not None and isinstance(rule.kind, (Vocab, VocabHead)):
            found.append(name)
    return found


def _check(options: Vocabulary, model: Model, config: Config) -> None:
    tokenizer, special = model.tokenizer, len(model.tokenizer.special_tokens)
    if not isinstance(tokenizer, ErnieTokenizer):
        raise UserError(
            f"{_KEY}: {type(tokenizer).__name__} takes its pieces from a model of its own, in which none can be left "
            "out; vocabularies of ERNIE (vocab.txt) can be pruned"
        )
    if options.max_size > tokenizer.vocab_size:
        raise UserError(
            f"{_KEY}.max_size: the model has {tokenizer.vocab_size} tokens, fewer than {options.max_size}; pruning "
            "brings none back"
        )
    if options.max_size <= special:
        raise UserError(f"{_KEY}.max_size: {options.max_size} leaves no token beside the {special} special ones")
    if options.max_length is None:
        return
    positions = model.config.max_position_embeddings
    if options.max_length > positions:
        raise UserError(f"{_KEY}.max_length: the model has {positions} positions, fewer than {options.max_length}")
    if config.Data.max_length > options.max_length:
        raise UserError(
            f"{_KEY}.max_length: {options.max_length} positions do not hold the inputs of Data.max_length = "
            f"{config.Data.max_length}; set that lower, too"
        )


def _rows(model: Model, kept: list[int]) -> dict[str, np.ndarray]:
    tables = vocabulary_weights(list(model.weights), model.plan)
    return {name: array[kept] if name in tables else array for name, array in model.weights.items()}


def _check_rest(pruned: Model, described: ModelDescription) -> None:
    """All that has a row for each token must be in the plan."""
    shapes = shapes_of(described, pruned.tokenizer)
    others = [name for name, array in pruned.weights.items() if array.shape != shapes[name]]
    if others:
        raise UserError(
            f"{_KEY}: {', '.join(others)} of {described.arch['name']} depend on the vocabulary, and its plan does not "
            "say how"
        )


def _shortened(model: Model, length: int) -> Model:
    """The model with the first ``length`` positions: what the shorter network has less of is cut at its end."""
    described = described_with(model.description, f"{_KEY}.max_length", max_position_embeddings=length)
    shapes = shapes_of(described, model.tokenizer)
    weights = {name: array[tuple(map(slice, shapes[name]))] for name, array in model.weights.items()}
    return model._replace(description=described, weights=weights)
