"""The quickstart: from the dictionary that jieba brings to a served model, measured beside two baselines."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ppernie.config import load_config
from ppernie.data import jieba_words
from ppernie.data.vocabulary import character_vocabulary
from ppernie.engine.logs import log_to_console
from ppernie.engine.train import train
from ppernie.files import write_file
from ppernie.table import render
from ppernie.tasks.metrics.classification import ClassificationScore

if TYPE_CHECKING:
    from ppernie.config.sections import Config

logger = logging.getLogger("ppernie")

# Characters rarer than this become [UNK], so that the model meets [UNK] while it learns.
_MIN_COUNT = 2
# Words that the dictionary does not hold: new places, people, firms, idioms and verbs.
_NEW_WORDS = ("雄安新区", "王亚平", "宁德时代新能源公司", "躺平摆烂", "三万六千", "直播带货", "元宇宙", "内卷化")


def quickstart(config_file: str, overrides: Sequence[str]) -> str:
    """Trains, exports and predicts as a config says; goes on where an earlier call was interrupted.

    Returns:
        The tables that the command prints: metrics beside the baselines, the export's differences, predictions.
    """
    log_to_console()
    config = load_config(config_file, overrides)
    began = time.monotonic()
    words = {split: jieba_words.load(split) for split in ("train", "test")}
    _write_vocabulary(config, words["train"])
    results = train(config, resume="auto")
    trained = time.monotonic()

    from ppernie.export.model import export_folder
    from ppernie.inference.pipeline import open_pipeline

    output = Path(config.Global.output_dir)
    report = export_folder(output / "best_model", output / "export", config)
    pipeline = open_pipeline(output / "export")
    answers = pipeline(list(_NEW_WORDS))
    logger.info("Fitting the baselines")
    rows = [
        _row("majority", *_majority(words["train"], words["test"])),
        _row("character 1-3-grams, linear SVM", *_ngrams(words["train"], words["test"])),
        _row("ppernie, nano encoder", results["test"]["accuracy"], results["test"]["macro_f1"]),
    ]
    differences = [
        {"export against the network": precision, **{k: f"{v:.1e}" for k, v in difference.items()}}
        for precision, difference in report["differences"].items()
    ]
    predictions = [
        {"word": word, "kind": answer["label"], "score": f"{answer['score']:.3f}"}
        for word, answer in zip(_NEW_WORDS, answers, strict=True)
    ]
    summary = f"{len(words['test'])} held-out words; training took {trained - began:.0f} s. Files: {output}"
    return "\n\n".join(["", render(rows), render(differences), render(predictions), summary])


def _write_vocabulary(config: Config, rows: Sequence[dict[str, Any]]) -> None:
    """Characters of the training words, unless the run starts from a model that has its own vocabulary."""
    if config.Global.pretrained_model is not None or config.Data.tokenizer is None:
        return
    path = Path(str(config.Data.tokenizer.vocab_file))
    tokens = character_vocabulary((row["word"] for row in rows), _MIN_COUNT)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_file(path, "".join(f"{token}\n" for token in tokens))


def _majority(train: Sequence[dict[str, Any]], test: Sequence[dict[str, Any]]) -> tuple[float, float]:
    kind = Counter(row["kind"] for row in train).most_common(1)[0][0]
    return _score([kind] * len(test), test)


def _ngrams(train: Sequence[dict[str, Any]], test: Sequence[dict[str, Any]]) -> tuple[float, float]:
    """A linear classifier on which 1- to 3-grams of characters, and of the word's ends, occur."""
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.svm import LinearSVC

    grams = CountVectorizer(analyzer="char", ngram_range=(1, 3), binary=True, lowercase=False)
    features = grams.fit_transform(f"^{row['word']}$" for row in train)
    model = LinearSVC(C=0.1, random_state=0).fit(features, [row["kind"] for row in train])
    return _score(model.predict(grams.transform(f"^{row['word']}$" for row in test)), test)


def _score(predicted: Sequence[str], rows: Sequence[dict[str, Any]]) -> tuple[float, float]:
    kinds = sorted(set(predicted) | {row["kind"] for row in rows})
    metric = ClassificationScore()
    metric.update([kinds.index(kind) for kind in predicted], [kinds.index(row["kind"]) for row in rows])
    scores = metric.compute()
    return scores["accuracy"], scores["macro_f1"]


def _row(model: str, accuracy: float, macro_f1: float) -> dict[str, object]:
    return {"model": model, "accuracy": f"{accuracy:.4f}", "macro F1": f"{macro_f1:.4f}"}
