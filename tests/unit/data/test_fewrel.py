"""FewRel as a task's rows and as a corpus's pairs: parts without a common pair of entities, marks, and broken files."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ppernie.config.sections import Config, Source
from ppernie.data.corpus.settings import PairSource, load_corpus_config
from ppernie.data.corpus.triples import read_pairs
from ppernie.data.readers import read_examples
from ppernie.data.readers.fewrel import read_instances
from ppernie.errors import UserError

ROW: dict[str, Any] = {
    "tokens": ["Wilton", "Bridge", "crosses", "the", "Wye", "."],
    "h": ["wilton bridge", "Q2", [[0, 1]]],
    "t": ["the wye", "Q1", [[3, 4], [2]]],
}


@pytest.fixture
def write(tmp_path: Path) -> Callable[[Any], Path]:
    """A file of instances, with the names of two relations beside it."""

    def run(content: Any) -> Path:
        (tmp_path / "pid2name.json").write_text(json.dumps({"P1": ["crosses", "of a bridge"], "P2": ["spouse", ""]}))
        (tmp_path / "val.json").write_text(content if isinstance(content, str) else json.dumps(content))
        return tmp_path / "val.json"

    return run


@pytest.fixture
def refuse(tmp_path: Path, make_config: Callable[..., Config]) -> Callable[..., None]:
    """Holds that the configs of a corpus and of a run refuse the keys of a source."""

    def check(keys: dict[str, Any], problem: str) -> None:
        values = {"output": "out", "tokenizer": {"vocab_file": "v"}, "sources": [{"name": "a", "files": "a"}]}
        corpus = tmp_path / "corpus.yaml"
        corpus.write_text(json.dumps(values | {"pairs": [{"files": "a", **keys}]}))
        with pytest.raises(UserError, match=rf"pairs.*percent.*{problem}"):
            load_corpus_config(corpus)
        with pytest.raises(UserError, match=rf"Data.train.percent.*{problem}"):
            make_config(**{f"Data.train.{key}": value for key, value in keys.items()})

    return check


def examples(path: Path, **source: Any) -> list[dict[str, Any]]:
    where = Source(files=path.name, format="fewrel", **source)
    return read_examples(where, root=str(path.parent), fields={}, task="sequence_classification")


def test_an_example(write: Callable[[Any], Path]) -> None:
    path = write({"P1": [ROW], "P9": [ROW]})
    text = "# Wilton Bridge # crosses $ the Wye $ ."
    assert examples(path) == [
        {"text": text, "label": "crosses", "where": f"{path}: P1[0]"},
        {"text": text, "label": "P9", "where": f"{path}: P9[0]"},
    ]
    fields = {"text": "{head}", "text_pair": "{tail}"}
    assert examples(path, fields=fields)[0] | {"where": ""} == {
        "text": "wilton bridge",
        "text_pair": "the wye",
        "label": "crosses",
        "where": "",
    }


def marked_gap_by_gap(row: dict[str, Any]) -> str:
    """The marks put between tokens, gap by gap."""
    text: list[str] = []
    (h, *_), (t, *_) = row["h"][2], row["t"][2]
    for number, token in enumerate(row["tokens"]):
        text += [mark for mark, place in (("$", t), ("#", h)) if number == place[0]]
        text.append(token)
        text += [mark for mark, place in (("#", h), ("$", t)) if number == place[-1]]
    return " ".join(text)


def test_marks_against_a_brute_force_twin(write: Callable[[Any], Path]) -> None:
    """Also where head and tail are one inside of the other."""
    rng = random.Random(0)
    rows = []
    for _ in range(200):
        size = rng.randrange(1, 9)
        spans = [sorted(rng.choices(range(size), k=2)) for _ in range(2)]
        mentions = [[list(range(first, last + 1))] for first, last in spans]
        rows.append(
            {
                "tokens": [f"w{number}" for number in range(size)],
                "h": ["head", f"Q{rng.random()}", mentions[0]],
                "t": ["tail", f"Q{rng.random()}", mentions[1]],
            }
        )
    texts = [example["text"] for example in examples(write({"P1": rows}))]
    assert texts == [marked_gap_by_gap(row) for row in rows]


def test_the_part_of_a_pair_is_for_good(write: Callable[[Any], Path]) -> None:
    """By sha256 of "Q1 Q2" modulo 100, whichever is the head; the two numbers were worked out apart from the code."""
    turned = ROW | {"h": ["a", "Q1", [[0]]], "t": ["b", "Q2", [[1]]]}
    other = ROW | {"h": ["a", "Q1", [[0]]], "t": ["b", "Q3", [[1]]]}
    path = write({"P1": [ROW, turned], "P2": [other]})
    assert [instance.percentile for instance in read_instances(path, None)] == [39, 39, 68]
    assert len(examples(path, percent=(39, 40))) == 2
    assert len(examples(path, percent=(0, 100))) == 3


def test_real_parts_share_no_pair_of_entities(shared_data: Path) -> None:
    path = shared_data / "fewrel" / "val_wiki.json"
    bounds = [(0, 50), (50, 70), (70, 100)]
    parts = [list(read_instances(path, bound)) for bound in bounds]
    pairs = [{frozenset((i.head.identifier, i.tail.identifier)) for i in part} for part in parts]
    assert not (pairs[0] & pairs[1] or pairs[0] & pairs[2] or pairs[1] & pairs[2])
    assert len({instance.where for part in parts for instance in part}) == sum(map(len, parts)) == 16 * 700
    for part, (first, last) in zip(parts, bounds, strict=True):
        assert len(part) == pytest.approx(112 * (last - first), rel=0.05)
        assert len({instance.relation for instance in part}) == 16


def test_real_examples(shared_data: Path) -> None:
    found = examples(shared_data / "fewrel" / "val_wiki.json", percent=(50, 70))
    assert {"crosses", "spouse", "mother"} < {example["label"] for example in found} and len(found) > 2000
    assert all(example["text"].count("#") >= 2 <= example["text"].count("$") for example in found)


def test_a_corpus_takes_the_part_too(write: Callable[[Any], Path], tmp_path: Path) -> None:
    rows = [ROW | {"h": [f"head {n}", f"Q{n}", [[0]]]} for n in range(50)]
    path = write({"P1": rows})
    source = PairSource(files="val.json", format="fewrel", names="pid2name.json", percent=(20, 60))
    pairs = list(read_pairs(source, path, str(tmp_path)))
    expected = [f"head {n}" for n, i in enumerate(read_instances(path, None)) if 20 <= i.percentile < 60]
    assert [triple for _, triple in pairs] == [(head, "crosses", "the wye") for head in expected]
    assert 0 < len(pairs) < 50 and pairs[0].sentence == "Wilton Bridge crosses the Wye ."


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("{", "val.json: not FewRel's instances by relation"),
        ([ROW], "val.json: not FewRel's instances by relation"),
        ({"P1": 3}, "val.json: not FewRel's instances by relation"),
        ({}, "val.json: holds no instances$"),
        ({"P1": [ROW, {"tokens": ["a"]}]}, r"val.json: P1\[1\]: not FewRel's, which has tokens, h and t"),
        ({"P1": [7]}, r"val.json: P1\[0\]: not FewRel's"),
        ({"P1": [ROW | {"tokens": "a b"}]}, r"P1\[0\]: tokens must be a list of texts"),
        ({"P1": [ROW | {"h": ["a", "Q1"]}]}, r"P1\[0\]: h must be a name, an identifier and lists of token numbers"),
        ({"P1": [ROW | {"t": ["a", 1, [[0]]]}]}, r"P1\[0\]: t must be a name"),
        ({"P1": [ROW | {"t": ["a", "Q1", []]}]}, r"P1\[0\]: t must be a name"),
        ({"P1": [ROW | {"t": ["a", "Q1", [[]]]}]}, r"P1\[0\]: t must be a name"),
        ({"P1": [ROW | {"t": ["a", "Q1", [[5, 6]]]}]}, r"t is at tokens \[\[5, 6\]\], and the sentence has 0 to 5"),
        ({"P1": [ROW | {"h": ["a", "Q1", [[0], [-1]]]}]}, r"h is at tokens \[\[0\], \[-1\]\]"),
        ({"P1": [ROW | {"h": ["a", "Q1", [[0.5]]]}]}, r"h is at tokens \[\[0.5\]\]"),
    ],
)
def test_broken_files(content: Any, problem: str, write: Callable[[Any], Path]) -> None:
    path = write(content)
    with pytest.raises(UserError, match=problem):
        examples(path)
    with pytest.raises(UserError, match=problem):
        list(read_pairs(PairSource(files="val.json", format="fewrel"), path, None))


def test_a_part_without_instances(write: Callable[[Any], Path]) -> None:
    path = write({"P1": [ROW]})
    with pytest.raises(UserError, match=r"holds no instances in percent \[0, 1\]; give a wider range"):
        examples(path, percent=(0, 1))


def test_names_are_beside_the_file(write: Callable[[Any], Path]) -> None:
    path = write({"P1": [ROW]})
    (path.parent / "pid2name.json").unlink()
    with pytest.raises(UserError, match="pid2name.json: no such file; put FewRel's names of relations beside val.json"):
        examples(path)


@pytest.mark.parametrize(
    ("percent", "problem"),
    [
        ([50, 50], r"\[50, 50\] holds nothing; give where a part begins and a higher one where it ends"),
        ([70, 50], r"\[70, 50\] holds nothing"),
        ([0, 101], "must be at most 100; got 101"),
        ([-1, 50], "must be at least 0; got -1"),
        ([0.5, 50], "must be a whole number; got 0.5"),
        ([50], "the list is too short"),
        (50, "must be a list; got 50"),
    ],
)
def test_a_wrong_part(percent: Any, problem: str, refuse: Callable[..., None]) -> None:
    refuse({"format": "fewrel", "percent": percent}, problem)


def test_a_part_of_another_format(refuse: Callable[..., None]) -> None:
    refuse({"format": "jsonl", "percent": [0, 50]}, "goes with format: fewrel, and with no other")
