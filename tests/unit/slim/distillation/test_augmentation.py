from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ppernie.config.sections import Config
from ppernie.data.readers import read_examples
from ppernie.engine.assemble import assemble, build_model
from ppernie.engine.train import train
from ppernie.errors import UserError
from ppernie.parallel.ranks import Alone
from ppernie.parallel.topology import Topology
from ppernie.slim.distillation.augmentation import Augmented
from ppernie.slim.distillation.part_of_speech import SameKind

ALWAYS = {"share": 1.0, "rate": 1.0}


def test_words_of_a_kind_change_places() -> None:
    choose = SameKind(["耳机便宜", "房间漂亮", "酒店和手机"])
    text = "耳机便宜"
    # Nouns for nouns, adjectives for adjectives; a word never for itself.
    found = {text[place.start : place.end]: list(place.words) for place in choose(text)}
    assert found == {"耳机": ["房间", "手机", "酒店"], "便宜": ["漂亮"]}
    # A text that was not seen, too.
    assert [list(place.words) for place in choose("物流便宜")] == [["房间", "手机", "耳机", "酒店"], ["漂亮"]]


def test_draws_depend_on_seed_epoch_and_number_alone(distil: Callable[..., Config]) -> None:
    task_of = [assemble(distil({"soft": {}, "augmentation": ALWAYS})) for _ in range(2)]
    keys = [(7, epoch, number) for epoch in range(3) for number in range(20)]
    drawn = [[p.task.encode(p.train[key[2]], key)["input_ids"] for key in keys] for p in task_of]
    assert drawn[0] == drawn[1]
    changed = {key for key, ids in zip(keys, drawn[0], strict=True) if ids != drawn[0][key[2]]}
    assert changed and {key[1] for key in changed} == {1, 2}
    # Evaluation reads what is written.
    assert not any(isinstance(item, Augmented) for item in task_of[0].eval)


def test_a_masked_language_model_says_what_fits(
    distil: Callable[..., Config], make_config: Callable[..., Config], tmp_path: Path
) -> None:
    model = tmp_path / "masked"
    train(
        make_config(
            **{
                "Arch.name": "ernie3/ErnieForMaskedLM",
                "Task": {"name": "masked_language_modeling"},
                "Train.max_steps": 2,
                "Global.output_dir": str(model),
            }
        )
    )
    section = {**ALWAYS, "words": "masked_lm", "model": f"{model}/best_model", "top_k": 3}
    config = distil({"soft": {}, "augmentation": section})
    parts = assemble(config)
    build_model(config, parts, Alone(Topology()))
    item = parts.train[0]
    assert isinstance(item, Augmented)
    text, drawn = item.example["text"], item.draw((7, 0, 0)).example["text"]
    assert len(drawn) == len(text) and all(new != old for new, old in zip(drawn, text, strict=True))
    assert drawn == item.draw((7, 0, 0)).example["text"]
    headless = distil({"soft": {}, "augmentation": {**section, "model": None}})
    parts = assemble(headless)
    with pytest.raises(UserError, match="predicts no masked tokens"):
        build_model(headless, parts, Alone(Topology()))


def test_real_reviews_keep_their_length_in_words(shared_data: Path) -> None:
    class Source:
        files = str(shared_data / "fewclue" / "eprstmt" / "train_few_all.json")
        dataset = subset = split = format = percent = columns = header = fields = None
        limit = 50

    examples = read_examples(Source, root=None, fields={"text": "sentence"}, task="sequence_classification")
    texts = [example["text"] for example in examples]
    choose = SameKind(texts)
    places = [len(choose(text)) for text in texts]
    assert sum(places) > 5 * len(texts)
    for text in texts:
        ends = [0, *(place.end for place in choose(text))]
        assert all(place.start >= end for place, end in zip(choose(text), ends, strict=False))


def test_mistakes(distil: Callable[..., Config], tmp_path: Path) -> None:
    tags: dict[str, Any] = {
        "Arch.name": "ernie3/ErnieForTokenClassification",
        "Task": {"name": "token_classification"},
        "Data.train": {"files": "tags.jsonl"},
        "Data.eval": None,
    }
    (tmp_path / "tags.jsonl").write_text('{"tokens": ["北", "京"], "tags": ["B-LOC", "O"]}\n', encoding="utf-8")
    with pytest.raises(UserError, match="the examples of token_classification depend on them"):
        assemble(distil({"hidden": {}, "augmentation": {}}, **tags))
