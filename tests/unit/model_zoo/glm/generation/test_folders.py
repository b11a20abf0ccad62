"""A model folder and its export answer alike, to lines and in a session."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from ppernie.cli.main import main
from ppernie.config import parse_config
from ppernie.errors import UserError
from ppernie.export.model import export_folder
from ppernie.inference.pipeline import open_pipeline
from ppernie.inference.steps import StepsPredictor

LINES = [b"the cat sat", b"a [MASK] ran after [MASK] bird", "雨中".encode(), b'{"text": ""}', b"x " * 90]
SHORT = ["max_target_length=7"]
BEAM = [*SHORT, "decoding.strategy=beam", "decoding.beam_rule=gnmt", "decoding.beams=3"]


@pytest.fixture(scope="module")
def exported(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    tmp_path = tmp_path_factory.mktemp("export")
    rows = [{"text": text} for text in ("the cat sat on", "birds [MASK] in the old trees", "a dog ran")]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    arch = json.loads((folder / "config.json").read_text())["arch"]
    config = parse_config(
        {
            "Global": {"output_dir": str(tmp_path), "device": "cpu", "threads": 1},
            "Arch": arch,
            "Task": {"name": "glm/text_generation", "max_target_length": 9},
            "Data": {
                "tokenizer": {"folder": str(folder)},
                "max_length": 64,
                "train": {"files": str(tmp_path / "rows.jsonl")},
                "root": str(tmp_path),
            },
            "Optimizer": {"learning_rate": 1e-3},
            "Train": {"batch_size": 2, "epochs": 1},
            "Export": {"tolerance": 1e-4},
        }
    )
    report = export_folder(folder, tmp_path / "export", config)
    assert report["differences"]["fp32"]["max_relative"] < 1e-4
    return tmp_path / "export"


def answers(folder: Path, overrides: list[str]) -> list[dict[str, Any]]:
    return list(open_pipeline(folder, device="cpu", threads=1, overrides=overrides).lines(LINES))


def test_an_export_writes_the_same_texts(folder: Path, exported: Path) -> None:
    for overrides in (SHORT, BEAM):
        said = answers(folder, overrides)
        assert answers(exported, overrides) == said
        assert len({answer.get("text") for answer in said}) == len(LINES) and "window" in said[-1]["error"]
    files = {path.name for path in exported.iterdir()}
    assert {"deploy.yml", "prefill.json", "decode.json", "inference.pdiparams"} <= files
    assert not {"prefill.pdiparams", "decode.pdiparams"} & files


def test_sampled_texts_do_not_depend_on_what_runs_together(folder: Path, exported: Path) -> None:
    lines = [*LINES, *LINES]
    said = []
    for model, size in ((folder, 32), (folder, 3), (folder, 1), (exported, 4)):
        pipeline = open_pipeline(model, device="cpu", threads=1, overrides=[*SHORT, "decoding.strategy=sample"])
        pipeline.batch_size = size
        said.append(list(pipeline.lines(lines)))
    assert said[1:] == said[:-1]
    assert said[0][0] != said[0][len(LINES)]


def test_a_token_around_prompts_is_an_error_in_its_line(folder: Path) -> None:
    pipeline = open_pipeline(folder, device="cpu", threads=1, overrides=SHORT)
    first, second, third = pipeline.lines([b"the cat sat", b"the <sop> cat", b"a dog"])
    assert set(first) == set(third) == {"text"}
    assert "the prompt holds <sop>" in second["error"]


def test_limits_are_checked_before_the_runtime(exported: Path) -> None:
    predictor = StepsPredictor(exported, device="cpu", threads=1)
    step = predictor.deploy.steps["prefill"]
    upper = {field.name: field.upper for field in step.inputs}
    rows = predictor.deploy.sizes["rows"]
    sound = {
        "input_ids": np.full((1, 4), 5),
        "position_ids": np.zeros((1, rows, 4), np.int64),
        "visible": np.zeros((1, 3, 4), np.int64),
    }
    predictor.run("prefill", sound)
    for name in sound:
        for value in (-1, upper[name]):
            with pytest.raises(UserError, match=f"{name}: id {value}"):
                predictor.run("prefill", sound | {name: np.full_like(sound[name], value)})
    with pytest.raises(UserError, match=r"length is 65 tokens, outside 1\.\.64"):
        predictor.run("prefill", {name: np.repeat(array, 17, -1)[..., :65] for name, array in sound.items()})
    with pytest.raises(ValueError, match="rows is"):
        predictor.run("prefill", sound | {"position_ids": np.zeros((1, 4, 4), np.int64)})


def test_a_broken_export_is_named(exported: Path, tmp_path: Path) -> None:
    exported = shutil.copytree(exported, tmp_path / "copy")
    (exported / "decode.json").unlink()
    with pytest.raises(UserError, match=r"no decode\.json"):
        open_pipeline(exported)
    values = yaml.safe_load((exported / "deploy.yml").read_text())
    values["steps"]["prefill"]["weights"] = "../elsewhere"
    (exported / "deploy.yml").write_text(yaml.safe_dump(values))
    with pytest.raises(UserError, match=r"steps\.prefill\.weights"):
        open_pipeline(exported)
    shutil.rmtree(exported)
    with pytest.raises(UserError, match="no such model folder"):
        open_pipeline(exported)


def test_a_session_answers_piped_prompts(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    prompts = ["the cat sat", "x " * 90, "a dog\\", "ran"]
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(prompts)))
    assert main(["complete", "--model", str(folder), "--device", "cpu", "--threads", "1", "-o", *SHORT]) == 0
    out, err = capsys.readouterr()
    rows = [{"text": "the cat sat"}, {"text": "a dog\nran"}]
    expected = [answer["text"] for answer in open_pipeline(folder, threads=1, overrides=SHORT)(rows)]
    assert out == f"{expected[0]}\n\n{expected[1]}\n"
    assert "the window holds 64" in err


def test_options_on_the_command_line_are_checked(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for wrong, said in (
        ("decoding.strategy=best", "decoding.strategy"),
        ("beams", "expected an option"),
        ("tokens=3", "tokens"),
        ("max_target_length.x=3", "max_target_length: "),
    ):
        assert main(["complete", "--model", str(folder), "-o", wrong]) == 2
        assert said in capsys.readouterr().err
