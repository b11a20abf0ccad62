from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import pytest

from ppernie.config.sections import Config
from ppernie.data.tokenizers import ErnieTokenizer, Tokenizer
from ppernie.errors import UserError
from ppernie.slim.pruning import vocabulary
from ppernie.slim.pruning.settings import Vocabulary
from ppernie.slim.pruning.vocabulary import kept_tokens, prune_vocabulary
from ppernie.zoo.folder import load_model, read_description, read_weights, save_model

TEXTS = ["学习", "学以致用", "打扫北京"]


def prune(folder: Path, config: Config, **options: Any) -> Path:
    target = folder.with_name("pruned")
    prune_vocabulary(folder, target, Vocabulary(**options), config)
    return target


def answers(folder: Path, text: str) -> np.ndarray:
    network, task, _ = load_model(folder)
    network.eval()
    features = [task.encode(task.expand({"text": text}, False)[0], (0, 0, 0))]
    with paddle.no_grad():
        return task.run(network, task.collate(features))


@pytest.fixture
def few(make_config: Callable[..., Config], tmp_path: Path) -> Config:
    """A config whose data is a few texts, with the characters of which only some of the vocabulary occur."""
    rows = [{"text": text, "label": "动词"} for text in TEXTS]
    for name in ("train", "eval"):
        (tmp_path / f"few_{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    changes = {f"Data.{name}.files": f"few_{name}.jsonl" for name in ("train", "eval")}
    return make_config(**changes, **{"Data.max_length": 8})


def test_texts_whose_tokens_stay_get_the_same_answers(classifier: Path, few: Config) -> None:
    pruned = prune(classifier, few, max_size=40, max_length=8)
    _, task, description = load_model(pruned)
    characters = sorted(set("".join(TEXTS)))
    assert sorted(task.tokenizer.tokens) == sorted([*task.tokenizer.special_tokens, *characters])
    assert description.arch["vocab_size"] == task.tokenizer.vocab_size == 5 + len(characters)
    assert description.arch["max_position_embeddings"] == description.max_length == 8
    for text in (*TEXTS, "北京打", "用学致习"):
        assert (answers(pruned, text) == answers(classifier, text)).all()


def test_masked_words_keep_their_scores(make_folder: Callable[..., Path], few: Config) -> None:
    whole = make_folder("ernie3/ErnieForMaskedLM", {"name": "masked_language_modeling"})
    pruned = prune(whole, few, max_size=40)
    before, after = load_model(whole)[1].tokenizer, load_model(pruned)[1].tokenizer
    kept = [before.vocab[token] for token in after.tokens]
    assert len(kept) < before.vocab_size
    found = answers(whole, "学[MASK]致用")[..., kept]
    np.testing.assert_allclose(answers(pruned, "学[MASK]致用"), found, rtol=1e-5, atol=1e-6)


def test_the_most_frequent_tokens_stay_in_their_order(tokenizer: Tokenizer) -> None:
    counts = np.zeros(tokenizer.vocab_size, np.int64)
    counts[[20, 10, 30, 15]] = [3, 5, 1, 3]
    special = [tokenizer.vocab[token] for token in tokenizer.special_tokens]
    assert kept_tokens(counts, tokenizer, 8) == sorted([*special, 10, 15, 20])
    assert kept_tokens(counts, tokenizer, 7) == sorted([*special, 10, 15])
    assert kept_tokens(counts, tokenizer, 100) == sorted([*special, 10, 15, 20, 30])


def test_padding_goes_with_its_token(few: Config, make_folder: Callable[..., Path]) -> None:
    """A vocabulary whose [PAD] is not the first."""
    labels = {"name": "sequence_classification", "labels": ["动词", "地名"]}
    folder = make_folder("ernie3/ErnieForSequenceClassification", labels)
    tokens = list(load_model(folder)[1].tokenizer.tokens)
    tokens.remove("[PAD]")
    described = read_description(folder)
    described = described.model_copy(update={"arch": described.arch | {"pad_token_id": len(tokens)}})
    weights = {name: np.asarray(tensor).copy() for name, tensor in read_weights(folder).items()}
    save_model(folder, weights, described, ErnieTokenizer([*tokens, "[PAD]"]), {})
    pruned = prune(folder, few, max_size=40)
    _, task, description = load_model(pruned)
    assert description.arch["pad_token_id"] == task.tokenizer.pad_id == task.tokenizer.vocab_size - 1
    assert (answers(pruned, "学习") == answers(folder, "学习")).all()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"max_size": 1000}, "fewer than 1000; pruning brings none back"),
        ({"max_size": 5}, "5 leaves no token beside the 5 special ones"),
        ({"max_size": 20, "max_length": 33}, "the model has 32 positions, fewer than 33"),
        ({"max_size": 20, "max_length": 4}, "do not hold the inputs of Data.max_length = 8"),
    ],
)
def test_what_cannot_be(classifier: Path, few: Config, options: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError, match=says):
        prune(classifier, few, **options)
    assert not classifier.with_name("pruned").exists()


def test_a_tokenizer_with_a_model_of_its_own(
    classifier: Path, few: Config, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Pieces:
        tokens, vocab_size, special_tokens = tokenizer.tokens, tokenizer.vocab_size, tokenizer.special_tokens

    opened = vocabulary.open_model(classifier)._replace(tokenizer=Pieces())  # type: ignore[arg-type]
    monkeypatch.setattr(vocabulary, "open_model", lambda folder: opened)
    with pytest.raises(UserError, match="Pieces takes its pieces from a model of its own"):
        prune(classifier, few, max_size=20)


def test_no_data(classifier: Path, make_config: Callable[..., Config]) -> None:
    with pytest.raises(UserError, match="Data.train and Data.eval are missing"):
        prune(classifier, make_config(**{"Data.train": None, "Data.eval": None}), max_size=20)
