"""Readers: formats, fields, the checks of values, and the real data sets."""

import json
import logging
import sys
from collections import Counter
from types import SimpleNamespace

import pytest

from ppernie.config.sections import Source
from ppernie.data import named
from ppernie.data.readers import read_examples
from ppernie.errors import UserError

TABLE = {"columns": ["text", "label"]}


@pytest.fixture
def read(tmp_path):
    """Writes `content` to a file and reads it: read("a.tsv", "x\t1\n", task, fields, columns=[...])."""

    def run(name, content, task="sequence_classification", fields=None, purpose="train", **source):
        raw = content if isinstance(content, bytes) else content.encode()
        (tmp_path / name).write_bytes(raw)
        return read_examples(
            Source(files=name, **source), root=str(tmp_path), fields=fields or {}, task=task, purpose=purpose
        )

    return run


def without_where(examples):
    return [{key: value for key, value in example.items() if key != "where"} for example in examples]


def jsonl(*rows):
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


# Tables and text


def test_tsv_with_header_and_places(read, tmp_path):
    examples = read("a.tsv", "label\ttext\n1\t好\n\n0\t坏\n")
    assert examples == [
        {"text": "好", "label": "1", "where": f"{tmp_path}/a.tsv:2"},
        {"text": "坏", "label": "0", "where": f"{tmp_path}/a.tsv:4"},
    ]


@pytest.mark.parametrize("header, expected", [(None, ["a", "b"]), (False, ["a", "b"]), (True, ["b"])])
def test_named_columns_and_header(read, header, expected):
    examples = read("a.tsv", "a\t1\nb\t2\n", header=header, **TABLE)
    assert [example["text"] for example in examples] == expected


def test_tsv_takes_quotes_literally(read):
    assert read("a.tsv", 'he said "no\t1\n', **TABLE)[0]["text"] == 'he said "no'


def test_empty_texts_are_counted(read, caplog):
    with caplog.at_level(logging.WARNING, "ppernie.data"):
        examples = read("a.tsv", "x\t1\n\t0\n \t0\n", **TABLE)
    assert [example["text"] for example in examples] == ["x", "", " "]
    assert "a.tsv: 2 examples with an empty text, first at " in caplog.text
    assert "a.tsv:2" in caplog.text


def test_only_line_feeds_end_lines(read):
    examples = read("a.tsv", "a\u2028b\x85c\x0bd\t1\n", **TABLE)
    assert examples[0]["text"] == "a\u2028b\x85c\x0bd"


def test_bom_and_crlf(read):
    examples = read("a.tsv", "\ufefftext\tlabel\r\nx\t1\r\n".encode())
    assert without_where(examples) == [{"text": "x", "label": "1"}]


def test_csv_quotes_span_lines_and_places_stay_right(read, tmp_path):
    examples = read("a.csv", 'text,label\r\n"a, ""b""\r\nc",1\r\n\r\nd,0\r\n')
    assert [(e["text"], e["where"]) for e in examples] == [
        ('a, "b"\nc', f"{tmp_path}/a.csv:2"),
        ("d", f"{tmp_path}/a.csv:5"),
    ]


def test_text_lines(read):
    examples = read("a.txt", "甲 \n\n  \n乙", "masked_language_modeling")
    assert [example["text"] for example in examples] == ["甲 ", "乙"]
    assert examples[1]["where"].endswith("a.txt:4")


@pytest.mark.parametrize(
    "name, content, source, message",
    [
        ("a.tsv", "x\t1\nx\t1\ty\n", TABLE, "a.tsv:2: 3 columns instead of 2"),
        ("a.csv", 'x,1\n"y,1\nz,1\n', TABLE, "a.csv:2: broken CSV"),
        ("a.csv", 'x,1\n"y"z,1\n', TABLE, "a.csv:2: broken CSV"),
        ("a.tsv", "x\tx\ny\tz\n", {}, "a.tsv:1: the header repeats"),
        ("a.tsv", "x\t1\n", {"header": False}, "name its columns"),
        ("a.tsv", "x\t1\ny\t2\n", {}, "a.tsv:2: no column 'text' .* the columns are: x, 1"),
        ("a.tsv", "text\tlabel\n", {}, "holds no examples"),
        ("a.txt", "x\n", TABLE, "format text has no columns"),
        ("a.dat", "x\n", {}, "set format"),
        ("a.tsv", "x\t \n", TABLE, "a.tsv:1: label is empty"),
        ("a.tsv", b"ok\t1\n\xe5\xa5\xbd\xff\t1\n", TABLE, "a.tsv:2: byte 8 of the file is not UTF-8"),
        ("a.tsv", b"\xef\xbb\xbfok\xff\t1\n", TABLE, "a.tsv:1: byte 5 of"),
        ("a.json", b"\xef\xbb\xbf[\n\xff]", {"format": "squad"}, "a.json:2: byte 5 of"),
        ("a.tsv", "", TABLE, "a.tsv: is empty"),
        ("a.tsv", "x\t1\n", {**TABLE, "split": "train"}, "split go with dataset"),
    ],
)
def test_broken_files(read, name, content, source, message):
    with pytest.raises(UserError, match=message):
        read(name, content, **source)


# Finding files


def test_globs_are_sorted_and_lists_keep_their_order(tmp_path):
    for name in ("b.txt", "a.txt", "c[1].txt"):
        (tmp_path / name).write_text(name)

    def texts(files):
        source = Source(files=files)
        examples = read_examples(source, root=str(tmp_path), fields={}, task="masked_language_modeling")
        return [example["text"] for example in examples]

    assert texts("*.txt") == ["a.txt", "b.txt", "c[1].txt"]
    assert texts(["b.txt", "a.txt"]) == ["b.txt", "a.txt"]
    assert texts("c[1].txt") == ["c[1].txt"]
    assert texts(str(tmp_path / "a.txt")) == ["a.txt"]


@pytest.mark.parametrize(
    "files, message",
    [
        ("news/trian.jsonl", "did you mean .*news/train.jsonl"),
        ("new/train.jsonl", "did you mean .*news?"),
        ("news/zzz", "holds train.jsonl"),
        ("news", r"is a folder; name its files, for example .*news/\*.jsonl"),
        ("news/*.tsv", "no file matches"),
        ("news/train.jsonl/x", "no such file"),
    ],
)
def test_files_that_are_not_there(tmp_path, files, message):
    (tmp_path / "news").mkdir()
    (tmp_path / "news" / "train.jsonl").write_text("{}")
    with pytest.raises(UserError, match=message):
        read_examples(Source(files=files), root=str(tmp_path), fields={}, task="masked_language_modeling")


def test_limit_counts_examples(read):
    assert len(read("a.txt", "a\n\nb\nc\n", "masked_language_modeling", limit=2)) == 2


# JSON


def test_json_is_told_apart(read):
    rows = [{"text": "a", "label": 1}, {"text": "b", "label": True}]
    expected = [{"text": "a", "label": "1"}, {"text": "b", "label": "true"}]
    assert without_where(read("a.jsonl", jsonl(*rows))) == expected
    assert without_where(read("lines.json", "\n" + jsonl(*rows))) == expected
    assert without_where(read("list.json", json.dumps(rows))) == expected
    assert without_where(read("indented.json", json.dumps(rows, indent=1))) == expected


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("a.jsonl", '{"text": "x", "label": 1}\n[1]\n', "a.jsonl:2: a JSON object is expected"),
        ("a.jsonl", '{"text": "x", "label": 1}\n{"text": }\n', "a.jsonl:2: broken JSON at column 10"),
        ("a.json", '[{"text": "x", "label": 1},\n3]', r"a.json\[1\]: a JSON object"),
        ("a.json", '[{"text": "x",\n}]', "a.json:2: broken JSON"),
        ("a.json", "{\n}", "neither JSON lines"),
        ("a.json", "[]", "holds no examples"),
        ("a.jsonl", jsonl({"text": 3, "label": 1}), r"a.jsonl:1: text must be a text, not 3 \(int\)"),
        ("a.jsonl", jsonl({"text": "x", "label": 0.5}), "a.jsonl:1: label must be"),
        ("a.jsonl", jsonl({"text": "x", "label": None}), "a.jsonl:1: label must be"),
        ("a.jsonl", jsonl({"text": "x"}), "a.jsonl:1: no column 'label'"),
    ],
)
def test_broken_json(read, name, content, message):
    with pytest.raises(UserError, match=message):
        read(name, content)


# Fields


def test_templates_and_overriding(read):
    rows = jsonl({"abst": "摘要", "keyword": ["词", "b c"], "year": 1999, "label": "0"})
    fields = {"text": "{year}: {abst} {{}}", "text_pair": "abst"}
    examples = read("a.jsonl", rows, fields=fields)
    assert examples[0]["text"] == "1999: 摘要 {}"
    source = Source(files=examples[0]["where"].rpartition(":")[0], fields={"text_pair": "{keyword}"})
    examples = read_examples(source, root=None, fields=fields, task="sequence_classification")
    assert without_where(examples) == [
        {"text": "1999: 摘要 {}", "text_pair": "词; b c", "label": "0"},
    ]


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"txt": "a"}, r"fields.txt: .* did you mean text\?"),
        ({"text": "{a"}, "fields.text"),
        ({"text": "{a!r}"}, "without a format"),
        ({"text": "{}"}, "without a format"),
        ({"text": "{b}"}, "a.jsonl:1: no column 'b' for the field text; the columns are: a, n, label"),
        ({"text": "{n}"}, "a.jsonl:1: the column n holds None"),
        ({"text": "a", "text_pair": "b"}, "no column 'b' for the field text_pair"),
    ],
)
def test_broken_fields(read, fields, message):
    with pytest.raises(UserError, match=message):
        read("a.jsonl", jsonl({"a": "x", "n": None, "label": "0"}), fields=fields)


def test_targets_are_optional_at_prediction_only(read):
    rows = jsonl({"sentence": "x"}, {"sentence": "y", "label": None}, {"sentence": "z", "label": 1})
    fields = {"text": "sentence", "label": "label"}
    examples = read("a.jsonl", rows, fields=fields, purpose="predict")
    assert without_where(examples) == [{"text": "x"}, {"text": "y"}, {"text": "z", "label": "1"}]
    with pytest.raises(UserError, match="no column 'label'"):
        read("a.jsonl", rows, fields=fields, purpose="eval")
    with pytest.raises(UserError, match="a.jsonl:2: the column label holds None"):
        read("a.jsonl", rows, fields={"text": "sentence", "label": "{label}"}, purpose="predict")


def test_dash_is_dropped_from_pairs_only(read, caplog):
    pairs = jsonl({"text": "a", "text_pair": "b", "label": "-"}, {"text": "c", "text_pair": "d", "label": "x"})
    with caplog.at_level(logging.WARNING, "ppernie.data"):
        assert [example["text"] for example in read("a.jsonl", pairs)] == ["c"]
    assert "a.jsonl: 1 rows labelled" in caplog.text
    single = jsonl({"text": "a", "label": "-"}, {"text": "b", "label": "+"})
    assert [example["label"] for example in read("a.jsonl", single)] == ["-", "+"]


# Tasks


def test_similarity(read):
    columns = ["text", "text_pair", "label"]
    examples = read("a.tsv", "a\tb\t4.75\nc\td\t1\n", "cross_similarity", columns=columns)
    assert [example["label"] for example in examples] == [4.75, 1.0]
    for label in ("high", "nan", "inf", ""):
        with pytest.raises(UserError, match="a.tsv:1: label must be a finite number"):
            read("a.tsv", f"a\tb\t{label}\n", "cross_similarity", columns=columns)
    with pytest.raises(UserError, match="a.jsonl:1: text_pair must be a text, not None"):
        read("a.jsonl", jsonl({"text": "a", "text_pair": None, "label": 1}), "cross_similarity")
    with pytest.raises(UserError, match="no column 'text_pair'"):
        read("a.tsv", "a\t1\n", "cross_similarity", **TABLE)


def test_multiple_choice(read):
    row = {"text": "a#idiom#b", "choices": ["x", "y"], "label": 1}
    assert without_where(read("a.jsonl", jsonl(row, {**row, "label": "0"}), "multiple_choice")) == [
        row,
        {**row, "label": 0},
    ]
    for change, message in [
        ({"label": 2}, "index from 0 to 1"),
        ({"label": -1}, "index from 0 to 1"),
        ({"label": True}, "index from 0 to 1"),
        ({"label": "y"}, "index from 0 to 1"),
        ({"choices": "xy"}, "list of texts"),
        ({"choices": ["x", 2]}, "list of texts"),
        ({"choices": ["x"]}, "two or more"),
    ]:
        with pytest.raises(UserError, match=f"a.jsonl:1: .*{message}"):
            read("a.jsonl", jsonl({**row, **change}), "multiple_choice")


@pytest.mark.parametrize(
    "content",
    [
        "海\tO\n钓\tB-X\n\n\n啊\tO\n",
        "海 O\n钓 B-X\n\n啊 O",
        "海 NN _ O\n钓 NN _ B-X\n\n-DOCSTART- -X- O O\n\n啊 UH _ O\n\n",
        "海 钓\tO B-X\n\n啊\tO\n",
        "啊\tO\n海 钓\tO B-X \n",
        "0\t海\x02钓\tO\x02B-X\n1\t啊\tO\n",
        "海\x02钓\tO\x02B-X\n啊\tO\n",
    ],
)
def test_conll_layouts(read, content):
    examples = without_where(read("a.conll", content, "token_classification"))
    assert {"tokens": ["海", "钓"], "tags": ["O", "B-X"]} in examples
    assert {"tokens": ["啊"], "tags": ["O"]} in examples
    assert len(examples) == 2


@pytest.mark.parametrize(
    "content, message",
    [
        ("海 O\n钓\n", "a.conll:2: some lines"),
        ("海\n钓 O\n", "a.conll:2: some lines"),
        ("啊 海\tO O\n海 钓\tO\n", "a.conll:2: 2 tokens but 1 tags"),
        ("0\t海\x02钓\tO\n", "a.conll:1: 2 tokens but 1 tags"),
        ("海\n钓\n", "a.conll:1: no column 'tags'"),
    ],
)
def test_broken_conll(read, content, message):
    with pytest.raises(UserError, match=message):
        read("a.conll", content, "token_classification")


def test_token_classification_at_prediction(read):
    task = "token_classification"
    assert without_where(read("a.conll", "海\n钓\n", task, purpose="predict")) == [{"tokens": ["海", "钓"]}]
    assert without_where(read("a.txt", "海钓\n", task, purpose="predict")) == [{"text": "海钓"}]
    with pytest.raises(UserError, match="2 tokens but 1 tags"):
        read("a.jsonl", jsonl({"tokens": ["a", "b"], "tags": ["O"]}), task)


def squad(context, *answers, **question):
    asked = {"id": "q1", "question": "谁", "answers": [{"text": t, "answer_start": s} for t, s in answers]}
    paragraph = {"context": context, "qas": [{**asked, **question}]}
    return json.dumps({"version": "1", "data": [{"paragraphs": [paragraph]}]}, indent=1)


@pytest.mark.parametrize("source", [{}, {"format": "squad"}])
def test_squad(read, tmp_path, source):
    assert read("a.json", squad("甲乙甲乙", ("甲", 2), ("乙", 1)), "span_extraction", **source) == [
        {
            "id": "q1",
            "question": "谁",
            "context": "甲乙甲乙",
            "answers": [{"text": "甲", "start": 2}, {"text": "乙", "start": 1}],
            "where": f"{tmp_path}/a.json: question q1",
        }
    ]


@pytest.mark.parametrize("start, nearest", [(0, 1), (1, 1), (2, 1), (3, 1), (4, 5), (6, 5), (9, 5), (99, 5), (-1, 1)])
def test_answers_move_to_the_nearest_place(read, caplog, start, nearest):
    with caplog.at_level(logging.WARNING, "ppernie.data"):
        examples = read("a.json", squad("o甲乙oo甲乙", ("甲乙", start)), "span_extraction")
    assert examples[0]["answers"] == [{"text": "甲乙", "start": nearest}]
    assert ("1 answers moved" in caplog.text) == (start != nearest)


def test_answers_that_are_not_there(read, caplog):
    document = squad("甲乙", ("丙", 0))
    with pytest.raises(UserError, match="question q1: the context does not have the answer '丙'"):
        read("a.json", document, "span_extraction")
    with caplog.at_level(logging.WARNING, "ppernie.data"):
        examples = read("a.json", document, "span_extraction", purpose="eval")
    assert examples[0]["answers"] == [{"text": "丙", "start": -1}]
    assert "1 answers that their context does not have" in caplog.text


def test_answers_in_other_shapes(read):
    row = {"id": 0, "question": "谁", "context": "甲乙"}
    for answers in (
        {"answers": {"text": ["乙"], "answer_start": [1]}},
        {"answers": ["乙"], "answer_starts": [1]},
        {"answers": [{"text": "乙", "start": 1}]},
    ):
        examples = read("a.jsonl", jsonl({**row, **answers}), "span_extraction")
        assert examples[0]["answers"] == [{"text": "乙", "start": 1}]
        assert examples[0]["id"] == "0"
    assert read("a.jsonl", jsonl({**row, "answers": []}), "span_extraction")[0]["answers"] == []
    for answers in (
        "乙",
        ["乙"],
        [{"text": "乙"}],
        [{"text": "", "start": 0}],
        [{"text": "乙", "start": "1"}],
    ):
        with pytest.raises(UserError, match="a.jsonl:1: (answers must|an answer is)"):
            read("a.jsonl", jsonl({**row, "answers": answers}), "span_extraction")


def test_broken_squad(read):
    with pytest.raises(UserError, match=r"data\[0\].paragraphs\[0\] is not in the SQuAD layout \('context'\)"):
        read("a.json", squad("x", ("x", 0)).replace("context", "contxt"), "span_extraction")
    with pytest.raises(UserError, match="not in the SQuAD layout"):
        read("a.json", '{"data": [3]}', "span_extraction")
    twice = jsonl(*[{"id": "q", "question": "谁", "context": "x", "answers": []}] * 2)
    with pytest.raises(UserError, match="a.jsonl:2: the id q occurs twice"):
        read("a.jsonl", twice, "span_extraction", purpose="eval")
    assert len(read("a.jsonl", twice, "span_extraction")) == 2


def test_cluewsc_marks_the_original_places(read):
    target = {"span1_text": "小明", "span1_index": 0, "span2_text": "他", "span2_index": 5}
    row = {"text": "小明说了，他来", "target": target, "label": "true"}
    assert read("a.json", jsonl(row), format="cluewsc")[0]["text"] == "_小明_说了，[他]来"
    behind = {"span1_text": "小明", "span1_index": 3, "span2_text": "他", "span2_index": 0}
    assert read("a.json", jsonl({**row, "text": "他说，小明", "target": behind}), format="cluewsc")[0]["text"] == (
        "[他]说，_小明_"
    )
    for change, message in [
        ({"span2_index": 4}, "no '他' at index 4"),
        ({"span2_text": "小", "span2_index": 0}, "overlap"),
        ({"span2_text": "明", "span2_index": 1}, "overlap"),
        ({"span2_text": ""}, "no '' at index 5"),
        ({"span2_index": "5"}, "a cluewsc row has"),
    ]:
        with pytest.raises(UserError, match=f"a.json:1: .*{message}"):
            read("a.json", jsonl({**row, "target": {**target, **change}}), format="cluewsc")
    with pytest.raises(UserError, match="a.json:1: a cluewsc row has"):
        read("a.json", jsonl({"text": "x", "label": "true"}), format="cluewsc")


# Named data sets


class FakeDataset(list):
    label_list = None


@pytest.fixture
def load_dataset(monkeypatch):
    """Replaces PaddleNLP's load_dataset by a function of the test."""

    def install(function):
        monkeypatch.setitem(sys.modules, "paddlenlp.datasets", SimpleNamespace(load_dataset=function))

    return install


def read_named(dataset, fields=None, task="sequence_classification", purpose="train", **source):
    return read_examples(Source(dataset=dataset, **source), root=None, fields=fields or {}, task=task, purpose=purpose)


def test_paddlenlp_indices_become_names(load_dataset):
    def load(path, **options):
        assert (path, options) == ("clue", {"name": "tnews", "splits": "train"})
        data = FakeDataset([{"sentence": "x", "label": 1}, {"sentence": "y", "label": 0}])
        data.label_list = ["100", "101"]
        return data

    load_dataset(load)
    examples = read_named("paddlenlp/clue", {"text": "sentence"}, subset="tnews", split="train")
    assert examples == [
        {"text": "x", "label": "101", "where": "paddlenlp/clue/tnews/train:0"},
        {"text": "y", "label": "100", "where": "paddlenlp/clue/tnews/train:1"},
    ]


def test_paddlenlp_tags_unlabelled_rows_and_targets(load_dataset):
    tagged = FakeDataset([{"tokens": ["a", "b"], "labels": [0, 1]}])
    tagged.label_list = ["O", "B-X"]
    load_dataset(lambda *_, **__: tagged)
    examples = read_named("paddlenlp/msra_ner", {"tags": "labels"}, "token_classification", split="train")
    assert examples[0]["tags"] == ["O", "B-X"]
    unlabelled = FakeDataset([{"text": "x", "label": "", "qid": "0"}, {"text": "y", "label": -1}])
    load_dataset(lambda *_, **__: unlabelled)
    examples = read_named("paddlenlp/chnsenticorp", purpose="predict", split="test")
    assert without_where(examples) == [{"text": "x"}, {"text": "y"}]
    target = {"span1_text": "小明", "span1_index": 0, "span2_text": "他", "span2_index": 3}
    load_dataset(lambda *_, **__: FakeDataset([{"text": "小明说他", "target": target, "label": "true"}]))
    examples = read_named("paddlenlp/clue", subset="cluewsc2020", split="dev", format="cluewsc")
    assert examples[0]["text"] == "_小明_说[他]"


def test_paddlenlp_failures_say_what_to_do(load_dataset):
    def refuse(*_, **__):
        raise RuntimeError("Downloading failed!")

    load_dataset(refuse)
    message = "paddlenlp/clue tnews train could not be loaded: RuntimeError: Downloading failed!.* files:"
    with pytest.raises(UserError, match=message):
        read_named("paddlenlp/clue", subset="tnews", split="train")
    with pytest.raises(UserError, match="no data set cleu; did you mean paddlenlp/clue"):
        read_named("paddlenlp/cleu", split="train")
    with pytest.raises(UserError, match="needs a split"):
        read_named("paddlenlp/clue", subset="tnews")
    with pytest.raises(UserError, match="no data set clue: known are jieba_words and paddlenlp/NAME"):
        read_named("clue", split="train")
    with pytest.raises(UserError, match="format: tsv goes with files"):
        read_named("paddlenlp/clue", format="tsv", split="train")
    with pytest.raises(UserError, match="no columns or header"):
        read_named("paddlenlp/clue", columns=["text"], split="train")


def test_builtin_data_sets(monkeypatch):
    def load(split):
        return [{"word": "海", "tag": split}]

    monkeypatch.setitem(sys.modules, "ppernie.data.jieba_words", SimpleNamespace(load=load))
    assert read_named("jieba_words", {"text": "word", "label": "tag"}, split="dev") == [
        {"text": "海", "label": "dev", "where": "jieba_words/dev:0"}
    ]
    with pytest.raises(UserError, match="jieba_words has no subsets"):
        read_named("jieba_words", subset="x", split="dev")
    assert set(named.BUILTIN) == {"jieba_words"}


# Real data

FEWCLUE = {
    "tnews": ({"text": "sentence"}, 1185, 1098, 15),
    "eprstmt": ({"text": "sentence"}, 160, 160, 2),
    "bustm": ({"text": "sentence1", "text_pair": "sentence2"}, 160, 160, 2),
    "ocnli": ({"text": "sentence1", "text_pair": "sentence2"}, 160, 160, 3),
    "csl": ({"text": "abst", "text_pair": "{keyword}"}, 160, 160, 2),
    "cluewsc": ({}, 160, 159, 2),
}


@pytest.mark.parametrize("name", FEWCLUE)
def test_fewclue(shared_data, name):
    fields, train, dev, labels = FEWCLUE[name]
    root = str(shared_data / "fewclue" / name)
    for part, count in (("train", train), ("dev", dev)):
        source = Source(files=f"{part}_few_all.json", format="cluewsc" if name == "cluewsc" else None)
        examples = read_examples(source, root=root, fields=fields, task="sequence_classification")
        assert len(examples) == count
        assert len({example["label"] for example in examples}) == labels
        if name == "cluewsc":
            assert all(example["text"].count("_") == 2 for example in examples)


def test_fewclue_chid(shared_data):
    fields = {"text": "content", "choices": "candidates", "label": "answer"}
    for part in ("train", "dev"):
        source = Source(files=f"fewclue/chid/{part}_few_all.json")
        examples = read_examples(source, root=str(shared_data), fields=fields, task="multiple_choice")
        assert len(examples) == 202
        assert {example["text"].count("#idiom#") for example in examples} == {1}
        assert {len(example["choices"]) for example in examples} == {7}
        assert {example["label"] for example in examples} == set(range(7))


@pytest.mark.parametrize("name, count", [("eprstmt", 19565), ("bustm", 4251)])
def test_fewclue_unlabelled(shared_data, name, count):
    source = Source(files=f"fewclue/{name}/unlabeled.json")
    fields = FEWCLUE[name][0]
    options = {"root": str(shared_data), "fields": fields, "task": "sequence_classification"}
    assert len(read_examples(source, purpose="predict", **options)) == count
    with pytest.raises(UserError, match="unlabeled.json:1: no column 'label'"):
        read_examples(source, **options)


@pytest.mark.parametrize(
    "name, count",
    [
        ("train_data/train.txt", 400),
        ("dev_data/dev_1.txt", 99),
        ("train_data_one_sent_multilingual/multi_train.tsv", 2000),
        ("dev_data_one_sent_multilingual/multi_dev.tsv", 500),
    ],
)
def test_sentiment(shared_data, name, count):
    source = Source(files=name, format="tsv", columns=["text", "label"])
    root = str(shared_data / "ernie_repo_samples/text_classification/data")
    examples = read_examples(source, root=root, fields={}, task="sequence_classification")
    assert len(examples) == count
    assert {example["label"] for example in examples} == {"0", "1"}


@pytest.mark.parametrize("name, count", [("train_data_pointwise/train.txt", 1999), ("dev_data/dev.txt", 100)])
def test_text_matching(shared_data, name, count):
    source = Source(files=name, format="tsv", columns=["text", "text_pair", "label"])
    root = str(shared_data / "ernie_repo_samples/text_matching/data")
    examples = read_examples(source, root=root, fields={}, task="cross_similarity")
    assert len(examples) == count
    assert {example["label"] for example in examples} == {0.0, 1.0}


@pytest.mark.parametrize(
    "name, count, entities",
    [
        ("msra_ner/train/train.tsv", 800, 603 + 386 + 324),
        ("msra_ner/dev/dev.tsv", 500, 437 + 250 + 184),
        ("train_data/train.txt", 200, 136 + 88 + 86),
        ("dev_data/dev.txt", 100, 84 + 54 + 42),
    ],
)
def test_msra_ner(shared_data, name, count, entities):
    source = Source(files=name, format="conll")
    root = str(shared_data / "ernie_repo_samples/sequence_labeling/data")
    examples = read_examples(source, root=root, fields={}, task="token_classification")
    tags = Counter(tag for example in examples for tag in example["tags"])
    assert len(examples) == count
    assert set(tags) == {"O", *(f"{prefix}-{kind}" for prefix in "BI" for kind in ("PER", "ORG", "LOC"))}
    assert sum(tags[f"B-{kind}"] for kind in ("PER", "ORG", "LOC")) == entities


@pytest.mark.parametrize(
    "name, count, answers, notes",
    [("cmrc2018/cmrc2018_trial.json", 1002, 1, [2, 5]), ("drcd/DRCD_dev.json", 3524, 2, [])],
)
def test_reading_comprehension(shared_data, caplog, name, count, answers, notes):
    source = Source(files=name)
    with caplog.at_level(logging.WARNING, "ppernie.data"):
        examples = read_examples(source, root=str(shared_data), fields={}, task="span_extraction")
    assert len(examples) == count
    assert {len(example["answers"]) for example in examples} == {answers}
    for example in examples:
        for answer in example["answers"]:
            assert example["context"].startswith(answer["text"], answer["start"])
    # Two questions are empty, and five answers of one paragraph start one character too late.
    assert sorted(record.args[1] for record in caplog.records) == notes


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("part, count", [("train", 5749), ("dev", 1500)])
def test_stsb(shared_data, language, part, count):
    source = Source(files=f"stsb-{language}-{part}.csv", columns=["text", "text_pair", "label"])
    root = str(shared_data / "stsb_en_zh")
    examples = read_examples(source, root=root, fields={}, task="cross_similarity")
    labels = [example["label"] for example in examples]
    assert (len(labels), min(labels), max(labels)) == (count, 0, 5)
