"""Reading YAML files and merging what _BASE_ names."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from ppernie.config.loader import read_settings
from ppernie.config.yaml12 import dump_yaml, parse_yaml
from ppernie.errors import UserError


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Write files by relative path and stand in their folder."""
    monkeypatch.chdir(tmp_path)

    def write_file(name: str, text: str | bytes) -> str:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return name

    return write_file


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3e-5", 3e-5),
        ("1e-3", 1e-3),
        ("2E5", 2e5),
        ("-.5", -0.5),
        ("1.", 1.0),
        ("010", 10),
        ("0x1f", 31),
        ("0o17", 15),
        ("-7", -7),
        ("true", True),
        ("FALSE", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("on", "on"),
        ("No", "No"),
        ("1_000", "1_000"),
        ("1:30", "1:30"),
        ("2024-01-01", "2024-01-01"),
        ("'3e-5'", "3e-5"),
        ("!!str 12", "12"),
        ('"\\ud83d\\ude00"', "\U0001f600"),
        (".inf", math.inf),
    ],
)
def test_scalars_follow_the_core_schema(text: str, value: Any) -> None:
    parsed, _ = parse_yaml(f"key: {text}", "a.yaml")
    assert parsed["key"] == value
    assert type(parsed["key"]) is type(value)


@pytest.mark.parametrize(
    "value",
    [
        3e-5,
        1e22,
        0.1 + 0.2,
        5e-324,
        -0.0,
        7,
        True,
        None,
        "yes",
        "3e-5",
        "null",
        "010",
        "",
        " a: b",
        "\u6587\n",
        "~",
        "<<",
    ],
)
def test_what_is_dumped_reads_back_the_same(value: Any) -> None:
    parsed, _ = parse_yaml(dump_yaml({"key": [value, value]}), "a.yaml")
    assert repr(parsed) == repr({"key": [value, value]})


def test_bases_merge_in_order_deep_for_maps_and_replacing_for_lists(write) -> None:
    write("base/one.yaml", "Train: {epochs: 1, batch_size: 8}\nOptimizer: {no_decay: [bias, norm]}\n")
    write("base/two.yaml", "Train:\n  epochs: 2\n  spike: {factor: 3}\n")
    write(
        "run/own.yaml",
        "_BASE_: [../base/one.yaml, ../base/two.yaml]\nTrain: {spike: null}\nOptimizer: {no_decay: [b]}\n",
    )
    settings = read_settings("run/own.yaml")
    assert settings.values == {
        "Train": {"epochs": 2, "batch_size": 8, "spike": None},
        "Optimizer": {"no_decay": ["b"]},
    }
    assert settings.origin(("Train", "batch_size")) == "base/one.yaml:1"
    assert settings.origin(("Train", "epochs")) == "base/two.yaml:2"
    assert settings.origin(("Optimizer", "no_decay", 0)) == "run/own.yaml:3"
    assert settings.origin(("Train", "spike", "factor")) == "run/own.yaml:2"


def test_a_base_may_be_reached_by_two_ways(write) -> None:
    write("root.yaml", "Train: {epochs: 1}\n")
    write("left.yaml", "_BASE_: root.yaml\nTrain: {batch_size: 2}\n")
    write("right.yaml", "_BASE_: root.yaml\nEval: {every: 3}\n")
    write("own.yaml", "_BASE_: [left.yaml, right.yaml]\n")
    assert read_settings("own.yaml").values == {"Train": {"epochs": 1, "batch_size": 2}, "Eval": {"every": 3}}


def test_byte_order_mark_windows_lines_and_aliases_are_read(write) -> None:
    write("a.yaml", b"\xef\xbb\xbfData:\r\n  train: &source {files: x}\r\n  eval: *source\r\n")
    values = read_settings("a.yaml").values
    assert values == {"Data": {"train": {"files": "x"}, "eval": {"files": "x"}}}
    assert values["Data"]["train"] is not values["Data"]["eval"]


def test_a_cycle_names_the_chain(write) -> None:
    write("a.yaml", "_BASE_: sub/b.yaml\n")
    write("sub/b.yaml", "\n_BASE_: ../a.yaml\n")
    with pytest.raises(UserError, match=r"sub/b\.yaml:2: .*cycle: a\.yaml -> sub/b\.yaml -> a\.yaml"):
        read_settings("a.yaml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "a.yaml: the file is empty"),
        ("# only a comment\n", "a.yaml: the file is empty"),
        ("- Train\n", "a.yaml: the top level must be a map"),
        ("Train: [1, 2\nEval: 3\n", r"a.yaml, line 2, column 5"),
        ("Train: {a: 1}\nTrain: {b: 1}\n", "a.yaml, line 2, column 1: Train is given twice, first in line 1"),
        ("Train:\n  a: {b: 1, b: 2}\n", "line 2, column 13: Train.a.b is given twice, first in line 2"),
        ("Train: {1: 2}\n", "line 1, column 9: the key 1 is not text"),
        ("? [a]\n: 1\n", "is not text"),
        ("Train: !!python/object:os.system {}\n", "the tag !!python/object:os.system has no meaning here"),
        ("Train: !!int many\n", "'many' is not a int"),
        ("Train: &a [*a]\n", "an alias stands inside its own anchor"),
        ("Train: " + "[" * 5000, "a.yaml: maps or lists are nested too deeply"),
        ('Train: "\\ud800"\n', "is not a str"),
        ("Train: *a\n", "undefined alias"),
        ("Train: 1\n---\nEval: 1\n", "a.yaml, line 2"),
        ("Train: \x07\n", "a.yaml, line 1, column 8: the character U+0007 cannot stand in YAML"),
        (b"Train:\n  a: \xff\n", "a.yaml:2: byte 12 is not UTF-8"),
        ("_BASE_: 3\nTrain: {}\n", "a.yaml:1: _BASE_ must be a path or a list of paths"),
        ("_BASE_: none.yaml\n", "a.yaml:1: _BASE_: cannot read the config none.yaml: No such file"),
    ],
)
def test_broken_files_say_where(write, text: str | bytes, message: str) -> None:
    write("a.yaml", text)
    with pytest.raises(UserError) as caught:
        read_settings("a.yaml")
    assert message in str(caught.value)


def test_a_missing_file_or_a_folder_is_a_users_mistake(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No such file"):
        read_settings(tmp_path / "none.yaml")
    with pytest.raises(UserError, match="directory"):
        read_settings(tmp_path)
