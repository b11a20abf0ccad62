"""Triples beside the sentences that state them: given as pairs, or found by the names that a sentence holds."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ppernie.data.corpus import Corpus
from ppernie.data.corpus.encoding import SentenceEncoder
from ppernie.data.corpus.graph import Graph
from ppernie.data.corpus.settings import GraphSource, PairSource
from ppernie.data.corpus.triples import read_graph, read_pairs
from ppernie.data.tokenizers import ErnieTokenizer
from ppernie.errors import UserError


@pytest.fixture(scope="module")
def encoder(small_tokenizer: ErnieTokenizer) -> SentenceEncoder:
    return SentenceEncoder(small_tokenizer)


def _holds(sentence: list[str], name: str) -> bool:
    """Whether whole words of the sentence make up the name."""
    return any(
        "".join(sentence[start:stop]) == name
        for start in range(len(sentence))
        for stop in range(start + 1, len(sentence) + 1)
    )


@pytest.mark.parametrize("seed", range(20))
def test_sentences_that_hold_head_and_tail(
    seed: int, encoder: SentenceEncoder, small_tokenizer: ErnieTokenizer
) -> None:
    rng = random.Random(seed)

    def name() -> str:
        return "".join(rng.choices("天地玄黄", k=rng.choice([1, 1, 2, 3])))

    triples = [(name(), rng.choice("宇宙"), name()) for _ in range(25)]
    sentences = [[name() for _ in range(rng.randrange(1, 7))] for _ in range(12)]
    titles = [rng.choice([None, name(), f" {name()} ", "absent"]) for _ in sentences]
    graph = Graph([("graph", triples)], encoder, small_tokenizer.unk_id)
    tokens, _ = encoder(["".join(sentence) for sentence in sentences])
    begins = np.array([number == 0 for s in sentences for word in s for number in range(len(word))])
    numbers = np.repeat(np.arange(len(sentences)), [len("".join(s)) for s in sentences])
    found = [
        (
            int(sentence),
            *(small_tokenizer.decode(graph.name(i).tolist()).replace(" ", "") for i in graph.triples[triple]),
        )
        for sentence, triple in graph.facts(graph.occurrences(tokens, begins, numbers), titles)
    ]
    expected = {
        (number, *triple)
        for number, (sentence, title) in enumerate(zip(sentences, titles, strict=True))
        for triple in triples
        if triple[0] != triple[2] and _holds(sentence, triple[0]) and _holds(sentence, triple[2])
        if title is None or title.strip() in (triple[0], triple[2])
    }
    assert len(found) == len(set(found))
    assert set(found) == expected


def test_names_outside_of_the_vocabulary(encoder: SentenceEncoder, small_tokenizer: ErnieTokenizer) -> None:
    triples = [("鬱", "宇", "天"), ("天", "鬱", "地"), ("天", "宇", "天")]
    graph = Graph([("graph", triples)], encoder, small_tokenizer.unk_id)
    assert len(graph.triples) == 1  # a relation need not be known to the vocabulary
    # The other graph does not make up for one of which nothing is left.
    graphs = [("whole", triples), ("lost", [triples[0], triples[2]])]
    with pytest.raises(UserError, match="lost: no triple is left, as names"):
        Graph(graphs, encoder, small_tokenizer.unk_id)


def test_a_title_is_the_name_that_it_is_by_its_tokens(
    encoder: SentenceEncoder, small_tokenizer: ErnieTokenizer
) -> None:
    triples = [("cats", "宇", "dog"), ("cats", "\u0301", "dog")]  # the second relation has no token
    graph = Graph([("graph", triples)], encoder, small_tokenizer.unk_id)
    assert len(graph.triples) == 1
    both = np.array([[0, number] for number in sorted({*graph.triples[0, [0, 2]]})])
    found = [len(graph.facts(both, [title])) for title in (None, "CATS", " Dog ", "the", "")]
    assert found == [1, 1, 1, 0, 0]


def test_which_graph_a_triple_and_a_name_are_of(encoder: SentenceEncoder, small_tokenizer: ErnieTokenizer) -> None:
    graphs = [("one", [("天", "宇", "地"), ("玄", "宙", "黄")]), ("two", [("玄", "宙", "黄"), ("天", "宇", "黄")])]
    graph = Graph(graphs, encoder, small_tokenizer.unk_id)

    def read(numbers: list[int]) -> str:
        return "".join(small_tokenizer.decode(graph.name(number).tolist()) for number in numbers)

    owners = {read(row): owner.tolist() for row, owner in zip(graph.triples.tolist(), graph.triple_in, strict=True)}
    assert owners == {"天宇地": [True, False], "玄宙黄": [True, True], "天宇黄": [False, True]}
    names = {read([number]): owner.tolist() for number, owner in enumerate(graph.name_in)}
    alone = {"地": [True, False], "宇": [False, False], "宙": [False, False]}
    assert names == alone | dict.fromkeys("天玄黄", [True, True])


def _texts(corpus: Corpus, tokenizer: ErnieTokenizer) -> list[list[str]]:
    return [[tokenizer.decode(ids.tolist()).replace(" ", "") for ids in fact[:4]] for fact in corpus.facts]


def test_facts_of_a_corpus(build: Callable[..., Corpus], small_tokenizer: ErnieTokenizer, tmp_path: Path) -> None:
    """Of a document that is a copy the facts go too."""
    rows = [("天", "天来地。玄来地。"), ("黄", "天来地。玄来黄。"), ("天", "天来地。玄来地。")]
    lines = [json.dumps({"title": title, "text": text}) for title, text in rows]
    (tmp_path / "a.txt").write_text("\n".join(lines), encoding="utf-8")
    (tmp_path / "graph.tsv").write_text("天\t宇\t地\n地\t宙\t玄\n玄\t宙\t黄\n", encoding="utf-8")
    pairs = [("天 cats", "dog", "the", "the dog cats"), ("天", "\u0301", "地", "天地")]
    objects = [dict(zip(("head", "relation", "tail", "text"), pair, strict=True)) for pair in pairs]
    (tmp_path / "pairs.jsonl").write_text("\n".join(map(json.dumps, objects)), encoding="utf-8")
    source = {"name": "a", "files": "a.txt", "format": "jsonl", "title": "title"}
    corpus = build(sources=[source], graphs=[{"files": "graph.tsv"}], pairs=[{"files": "pairs.jsonl"}])
    assert _texts(corpus, small_tokenizer) == [
        ["天cats", "dog", "the", "thedogcats"],
        ["天", "宇", "地", "天来地。"],
        ["玄", "宙", "黄", "玄来黄。"],
    ]
    assert corpus.facts[1].words.tolist() == [1, 1, 1, 1] and corpus.facts[1].words.dtype == np.uint8
    assert corpus.facts[0].head.dtype == np.uint16
    assert corpus.statistics["documents repeated"] == 1 and corpus.statistics["facts without words"] == 1
    with pytest.raises(IndexError):
        corpus.facts[3]


def test_facts_come_as_the_weights_of_their_sources_say(build: Callable[..., Corpus], tmp_path: Path) -> None:
    """Those of pairs by the weight of these, and those of a graph by that of the texts that they were found in."""
    for name, text in {"a": "天来地。", "b": "天往地。天收地。", "c": "玄往黄。"}.items():
        (tmp_path / f"{name}.txt").write_text(text, encoding="utf-8")
    (tmp_path / "graph.tsv").write_text("天\t宇\t地\n玄\t宙\t黄\n", encoding="utf-8")
    for name, text in {"light": "日月", "heavy": "盈昃"}.items():
        pair = {"head": text[0], "relation": "宿", "tail": text[1], "text": text}
        (tmp_path / f"{name}.jsonl").write_text(json.dumps(pair), encoding="utf-8")
    weights = {"a": 1.0, "b": 2.0, "c": 0.0}
    corpus = build(
        sources=[{"name": name, "files": f"{name}.txt", "weight": weight} for name, weight in weights.items()],
        graphs=[{"files": "graph.tsv"}],
        pairs=[{"files": "light.jsonl"}, {"files": "heavy.jsonl", "weight": 3.0}],
    )
    # Light and heavy, a, b twice, c.
    assert len(corpus.facts) == 6
    draws = corpus.fact_draws()
    assert [draws.find(number)[0] for number in range(len(draws))] == [0, 1, 1, 1, 2, 3, 3, 4, 4]


def test_released_graphs(shared_data: Path) -> None:
    wordnet = GraphSource(files="wn18rr_text/train.txt", format="wordnet")
    assert next(read_graph(wordnet, str(shared_data))) == ("land reform", "hypernym", "reform")
    freebase = GraphSource(
        files="fb15k237_text/train2id.txt", format="openke", names="fb15k237_text/entities.tsv", name_column=3
    )
    triples = list(read_graph(freebase, str(shared_data)))
    assert triples[0] == ("Dominican Republic", "form of government", "republic")
    assert 0.98 * 272_115 < len(triples) <= 272_115


def test_released_pairs(shared_data: Path) -> None:
    fewrel = PairSource(files="", format="fewrel", names="fewrel/pid2name.json")
    pair = next(read_pairs(fewrel, shared_data / "fewrel" / "val_wiki.json", str(shared_data)))
    assert pair.triple == ("cape girardeau bridge", "crosses", "mississippi river")
    path = shared_data / "ernie_repo_samples" / "ie_clean" / "dev.json"
    pairs = list(read_pairs(PairSource(files="", format="spo"), path, None))
    # One range of the file is empty.
    assert sum(not all(triple) for _, triple in pairs) == 1
    assert all(head in sentence and tail in sentence for sentence, (head, _, tail) in pairs)


@pytest.mark.parametrize(
    ("format", "content", "problem"),
    [
        ("tsv", "a\tb", "g:1: 2 columns, and 3 are needed"),
        ("jsonl", '{"head": "a", "tail": 3}', "g:1: head, relation and tail must be texts; it has head, tail"),
        ("jsonl", "{", "g:1: broken JSON"),
        ("openke", "1\n0 0 9", "g:2: expected the numbers of a head"),
        ("tsv", "a\tr\t ", "holds no triple whose parts have names"),
    ],
)
def test_broken_graphs(format: str, content: str, problem: str, tmp_path: Path) -> None:
    (tmp_path / "g").write_text(content, encoding="utf-8")
    for name in ("entity2id.txt", "relation2id.txt"):
        (tmp_path / name).write_text("1\na\t0\n", encoding="utf-8")
    with pytest.raises(UserError, match=problem):
        list(read_graph(GraphSource(files="g", format=format), str(tmp_path)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("format", "content", "problem"),
    [
        ("jsonl", {"text": 1}, "p:1: text must be a text"),
        ("spo", {"text": "a", "spo_list": [{}]}, "p:1: text and spo_list"),
    ],
)
def test_broken_pairs(format: str, content: Any, problem: str, tmp_path: Path) -> None:
    (tmp_path / "p").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(UserError, match=problem):
        list(read_pairs(PairSource(files="p", format=format), tmp_path / "p", None))  # type: ignore[arg-type]
