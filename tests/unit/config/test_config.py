"""Checking a config, writing it out, its schema and its command."""

from __future__ import annotations

import argparse
import copy
import json
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel, Field

from ppernie import registry
from ppernie.cli import config as command
from ppernie.config import Config, config_schema, dump_config, load_config, parse_config
from ppernie.errors import UserError

RUN = """\
Global: {output_dir: out}
Arch: {name: fam/Classifier, variant: small}
Task: {name: classify}
Data:
  fields: {text: sentence}
  train: {files: train.jsonl}
  eval: {files: [a.tsv, b.tsv], columns: [text, label]}
Optimizer:
  learning_rate: 3e-5
  schedule: {warmup: 0.1}
Train: {batch_size: 8}
"""


class Family(BaseModel):
    hidden_size: int = Field(ge=1)
    max_position_embeddings: int
    act: Literal["gelu", "relu"] = "gelu"


class Options(BaseModel):
    labels: list[str] | None = None


@pytest.fixture(autouse=True)
def stub_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """One family and one task in place of the installed ones."""

    def only(known: str, result: Any):
        def look_up(name: str) -> Any:
            if name != known:
                raise UserError(f"unknown name {name!r}; did you mean {known!r}?")
            return result

        return look_up

    small = {"hidden_size": 64, "max_position_embeddings": 256}
    monkeypatch.setattr(registry, "arch_config", only("fam/Classifier", Family))
    monkeypatch.setattr(registry, "arch_variants", only("fam/Classifier", {"small": small}))
    monkeypatch.setattr(registry, "arch_names", lambda: ["fam/Classifier"])
    monkeypatch.setattr(registry, "task_options", only("classify", Options))
    monkeypatch.setattr(registry, "task_names", lambda: ["classify"])
    monkeypatch.setattr(registry, "arch_tasks", only("fam/Classifier", ("classify", "rank")))


@pytest.fixture
def run_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    Path("run.yaml").write_text(RUN)
    return "run.yaml"


def test_a_network_serves_its_own_tasks(run_file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "arch_tasks", lambda name: ("rank",))
    with pytest.raises(UserError, match="fam/Classifier serves rank, not classify"):
        load_config(run_file)


def problems(path: str, *overrides: str) -> list[str]:
    with pytest.raises(UserError) as caught:
        load_config(path, overrides)
    title, *lines = str(caught.value).split("\n  ")
    assert title == f"{path}: {len(lines)} problem{'s' if len(lines) > 1 else ''}"
    return lines


def test_sections_are_typed_and_defaults_filled(run_file: str) -> None:
    config = load_config(run_file, ["Optimizer.betas=[0.8, 0.9]", "Arch.hidden_size=32", "Task.labels=[x, y]"])
    assert config.Optimizer.learning_rate == 3e-5
    assert config.Optimizer.betas == (0.8, 0.9)
    assert config.Arch.model == Family(hidden_size=32, max_position_embeddings=256)
    assert config.Task.options == Options(labels=["x", "y"])
    assert config.Data.eval is not None and config.Data.eval.files == ["a.tsv", "b.tsv"]
    assert (config.AMP.dtype, config.Eval.batch_size, config.Global.seed) == ("float32", 32, 42)


@pytest.mark.parametrize(
    "overrides",
    [
        (),
        ("Optimizer.learning_rate=1", "Optimizer.schedule.warmup=100", "Optimizer.epsilon=1e-12"),
        ("Optimizer.schedule.warmup=0.0", "Data.tokenizer={}", "Train.spike.factor=2"),
        ("Global.output_dir='3e-5'", "+Data.fields.label='null'", "Task.labels=['yes', '1', '']"),
    ],
)
def test_the_resolved_config_loads_as_an_equal_one(run_file: str, overrides: tuple[str, ...]) -> None:
    config = load_config(run_file, overrides)
    text = dump_config(config)
    Path("resolved.yaml").write_text(text, encoding="utf-8")
    again = load_config("resolved.yaml")
    assert again == config
    assert dump_config(again) == text
    assert parse_config(config.resolved()) == config
    assert list(config.resolved()) == list(Config.model_fields)


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        ("Train.epocs=3", "unknown key; did you mean Train.epochs?"),
        ("Train.learning_rate=3", "unknown key; did you mean Optimizer.learning_rate?"),
        ("Optimizer.schedule.warm_up=3", "unknown key; did you mean Optimizer.schedule.warmup?"),
        ("amp={}", "unknown key; did you mean AMP?"),
        ("Arch.hiden_size=3", "unknown key; did you mean Arch.hidden_size?"),
        ("Task.label=[a, b]", "unknown key; did you mean Task.labels?"),
        ("Train.qqqq=3", "unknown key"),
        ("Train.epochs='3'", "must be a whole number; got the text '3'"),
        ("Train.epochs=true", "must be a whole number; got true"),
        ("Train.epochs=3.0", "must be a whole number; got 3.0"),
        ("Train.epochs=0", "must be at least 1; got 0"),
        ("Global.output_dir=3", "must be text; got 3"),
        ("Data.tokenizer.lowercase='true'", "must be true or false; got the text 'true'"),
        ("Optimizer.learning_rate=.nan", "must be a finite number; got nan"),
        ("Optimizer.clip_norm=0", "must be above 0.0; got 0"),
        ("Optimizer.schedule.warmup=1.5", "must be below 1.0 or a whole number; got 1.5"),
        ("Optimizer.betas=[0.9, 0.9, 0.9]", "must be a list of at most 2; got a list of 3"),
        ("Optimizer.no_decay=bias", "must be a list; got the text 'bias'"),
        ("AMP.dtype=int8", "must be 'float32', 'bfloat16' or 'float16'; got the text 'int8'"),
        ("Data.fields=3", "must be a map; got 3"),
        ("Data.train.files=3", "must be text or a list; got 3"),
        ("Eval=", "must be a map of keys; got null"),
        ("Arch.hidden_size='64'", "must be a whole number; got the text '64'"),
        ("Arch.act=silu", "must be 'gelu' or 'relu'; got the text 'silu'"),
        ("Arch.name=fam/Clasifier", "unknown name 'fam/Clasifier'; did you mean 'fam/Classifier'?"),
        ("Arch.variant=smal", "fam/Classifier has no variant 'smal'; did you mean small?"),
        ("Arch.variant=", "name a variant (small) or give the architecture's fields"),
        ("Task.name=clasify", "unknown name 'clasify'; did you mean 'classify'?"),
        ("Data.max_length=257", "257 tokens do not fit the 256 positions of Arch.max_position_embeddings"),
        ("Data.test={limit: 3}", "must name one of files, dataset, corpus, and no other"),
    ],
)
def test_each_problem_names_key_origin_and_remedy(run_file: str, override: str, problem: str) -> None:
    key = override.partition("=")[0]
    assert problems(run_file, override) == [f"{key} (-o {override}): {problem}"]


def test_an_unknown_variant_hides_no_other_problem_of_the_architecture(run_file: str) -> None:
    lines = problems(run_file, "Arch.variant=smal", "Arch.hidden_size=0")
    assert [line.split(" ")[0] for line in lines] == ["Arch.variant", "Arch.hidden_size"]


def test_problems_of_all_sections_come_together(run_file: str) -> None:
    Path("run.yaml").write_text(RUN.replace("{batch_size: 8}", "{epochs: '3'}").replace("Task: {name: classify}\n", ""))
    lines = problems(
        run_file, "Global.seed=-1", "Data.max_length=999", "Data.eval.dataset=x", "Data.eval.limit=0", "Eval"
    )
    assert lines == [
        "-o Eval: expected Section.key=value",
        "Global.seed (-o Global.seed=-1): must be at least 0; got -1",
        "Task: required key is missing (What the run asks of the model)",
        "Data.eval.limit (-o Data.eval.limit=0): must be at least 1; got 0",
        "Train.epochs (run.yaml:10): must be a whole number; got the text '3'",
        "Train.batch_size (run.yaml:10): required key is missing (Examples in a batch on one device)",
        "Data.eval (run.yaml:6): must name one of files, dataset, corpus, and no other",
        "Data.max_length (-o Data.max_length=999): 999 tokens do not fit the 256 positions of "
        + "Arch.max_position_embeddings",
    ]


@pytest.mark.parametrize(
    ("overrides", "faulty"),
    [
        (("Optimizer.schedule.warmup=10", "Train.max_steps=10"), "Optimizer.schedule.warmup"),
        (("Optimizer.schedule={name: wsd, warmup: 0.6, decay: 0.5}",), "Optimizer.schedule.decay"),
        (
            ("Optimizer.schedule={name: wsd, warmup: 5, decay: 0.6}", "Train.max_steps=10"),
            "Optimizer.schedule.decay",
        ),
        (("Optimizer.schedule.warmup=9", "Train.max_steps=10"), None),
        (("Optimizer.schedule={name: wsd, warmup: 0.5, decay: 0.5}",), None),
        (("Optimizer.schedule={name: cosine, warmup: 0.6, decay: 0.5}",), None),
    ],
)
def test_the_schedule_fits_the_run(run_file: str, overrides: tuple[str, ...], faulty: str | None) -> None:
    if faulty is None:
        load_config(run_file, overrides)
    else:
        (line,) = problems(run_file, *overrides)
        assert line.startswith(f"{faulty} (")


def test_programs_give_plain_values(run_file: str) -> None:
    values = load_config(run_file).resolved()
    given = copy.deepcopy(values)
    assert parse_config(values).Optimizer.betas == (0.9, 0.999)
    assert values == given
    with pytest.raises(UserError, match=r"config: 1 problem\n  Train.epochs: must be a whole number"):
        parse_config(values | {"Train": {"epochs": "1", "batch_size": 1}})
    with pytest.raises(UserError, match="only maps, lists"):
        parse_config(values | {"Global": Path("x")})
    with pytest.raises(UserError, match="expected a map of sections"):
        parse_config([])  # type: ignore[arg-type]


def test_the_schema_describes_every_key_of_files() -> None:
    schema = config_schema()
    assert list(schema["properties"]) == ["_BASE_", *Config.model_fields]
    train = schema["$defs"]["TrainSection"]
    assert train["additionalProperties"] is False
    assert all(key["description"] for section in schema["$defs"].values() for key in section["properties"].values())
    (case,) = schema["properties"]["Arch"]["allOf"]
    assert case["if"]["properties"]["name"] == {"const": "fam/Classifier"}
    assert set(case["then"]["properties"]) == {"name", "variant", *Family.model_fields}
    assert case["then"]["properties"]["variant"]["enum"] == ["small", None]
    (case,) = schema["properties"]["Task"]["allOf"]
    assert set(case["then"]["properties"]) == {"name", *Options.model_fields}


def test_the_schema_accepts_what_loads_and_partial_files(run_file: str) -> None:
    validator = pytest.importorskip("jsonschema").Draft202012Validator
    schema = config_schema()
    validator.check_schema(schema)
    config = load_config(run_file).resolved()
    for good in (
        config,
        {"_BASE_": ["a.yaml"], "Arch": {"hidden_size": 3}},
        {"Optimizer": {"schedule": {"warmup": 5}}},
    ):
        assert not list(validator(schema).iter_errors(good))
    faulty: tuple[dict[str, Any], ...] = (
        {"Trian": {}},
        {"Train": {"epocs": 1}},
        {"Arch": {"name": "fam/Classifier", "hiden_size": 1}},
        {"Task": {"name": "other"}},
        {"Optimizer": {"schedule": {"warmup": 1.5}}},
    )
    for bad in faulty:
        assert list(validator(schema).iter_errors(bad)), bad


def run_command(*words: str) -> int:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return command.run(parser.parse_args(words))


def test_show_prints_the_resolved_config(run_file: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command("show", "-c", run_file, "-o", "Train.epochs=7", "Global.seed=1", "-o", "Eval.every=5") == 0
    assert capsys.readouterr().out == dump_config(
        load_config(run_file, ["Train.epochs=7", "Global.seed=1", "Eval.every=5"])
    )


def test_check_reports_each_file(run_file: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("bad.yaml").write_text("_BASE_: run.yaml\nTrain: {epochs: 0}\n")
    assert run_command("check", run_file) == 0
    assert run_command("check", "none.yaml", run_file, "bad.yaml") == 2
    captured = capsys.readouterr()
    assert captured.out == "run.yaml: ok\nrun.yaml: ok\n"
    assert "none.yaml: No such file" in captured.err
    assert "bad.yaml: 1 problem\n  Train.epochs (bad.yaml:2): must be at least 1; got 0" in captured.err


def test_schema_is_written_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "schema.json"
    assert run_command("schema", "--out", str(out)) == 0
    assert run_command("schema") == 0
    assert json.loads(out.read_text()) == json.loads(capsys.readouterr().out) == config_schema()
    with pytest.raises(UserError, match="cannot write the schema"):
        run_command("schema", "--out", str(tmp_path / "none" / "schema.json"))


CORPUS = ("Data.train={corpus: texts}",)


def test_a_run_over_a_corpus_says_how_long_it_is_and_when_it_saves(run_file: str) -> None:
    told = problems(run_file, *CORPUS)
    assert [line.split()[0] for line in told] == ["Train.max_steps", "Train.save_every"]
    assert all("is missing" in line for line in told)
    (line,) = problems(run_file, *CORPUS, "Train.max_steps=many", "Train.save_every=9")
    assert "whole number" in line
    load_config(run_file, [*CORPUS, "Train.max_steps=20", "Train.save_every=9"])


def test_what_a_corpus_has_not_is_refused(run_file: str) -> None:
    run = ("Train.max_steps=20", "Train.save_every=9", "Data.train={corpus: texts, limit: 5, fields: {text: a}}")
    told = problems(run_file, *run)
    assert [line.split(" (")[0] for line in told] == ["Data.train.limit", "Data.train.fields"]


def test_growth_goes_up_in_a_run_over_a_corpus(run_file: str) -> None:
    growth = "{steps: 30, length: 512, batch_size: 16, accumulate_steps: 2}"
    (line,) = problems(run_file, "Train.progressive={steps: 3}")
    assert "growth is for runs over a corpus" in line
    told = problems(run_file, *CORPUS, "Train.max_steps=20", "Train.save_every=9", f"Train.progressive={growth}")
    assert [line.split("): ")[1].split(",")[0] for line in told] == [
        "512 exceeds Data.max_length = 128",
        "16 exceeds Train.batch_size = 8",
        "2 exceeds Train.accumulate_steps = 1",
    ]
