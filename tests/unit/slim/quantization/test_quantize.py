"""``Slim.quantization``: from a trained model to one in INT8, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import pytest
import yaml
from paddle import nn

from ppernie.cli.main import main
from ppernie.config.sections import Config
from ppernie.data.samples import sample_items
from ppernie.engine.train import train
from ppernie.errors import UserError
from ppernie.inference.pipeline import open_pipeline
from ppernie.slim.quantization.folder import quantize
from ppernie.slim.quantization.layers import Int8Embedding, Int8Linear
from ppernie.slim.quantization.settings import Quantization
from ppernie.slim.weight_only import Scheme
from ppernie.zoo.folder import load_model, read_description
from ppernie.zoo.layerwise import convert_layers

LAYERS = ("self_attn.qkv_proj", "self_attn.out_proj", "feed_forward.linear1", "feed_forward.linear2")
ALL = {f"backbone.encoder.layers.{n}.{layer}" for n in (0, 1) for layer in LAYERS} | {"backbone.pooler", "classifier"}

# Ten examples tell no half point, and what takes how long is not asked.
UNMEASURED = ("Slim.gate=null", "Slim.latency=null")


@pytest.fixture
def config(make_config: Callable[..., Config]) -> Config:
    return make_config(**{"Train.max_steps": 2})


@pytest.fixture
def model(config: Config) -> Path:
    train(config)
    return Path(config.Global.output_dir) / "best_model"


def options(**values: Any) -> Quantization:
    return Quantization(weight_bits=8, **values)


def test_ranges_are_those_of_the_inputs(model: Path, config: Config, tmp_path: Path) -> None:
    quantize(model, tmp_path / "int8", options(samples=10), config)
    int8 = read_description(tmp_path / "int8").int8
    assert int8 is not None and set(int8.ranges) == ALL and int8.tables == []
    network, task, description = load_model(model)
    network.eval()
    seen = []
    network.classifier.register_forward_pre_hook(lambda _, inputs: seen.append(float(inputs[0].abs().max())))
    for item in sample_items(task, description.task_name, config.Data.train, config.Data, 10):
        with paddle.no_grad():
            task.run(network, task.collate([task.encode(item, (0, 0, 0))]))
    assert int8.ranges["classifier"] == pytest.approx(max(seen), rel=1e-5)


def test_the_network_then_computes_as_int8(model: Path, config: Config, tmp_path: Path) -> None:
    quantize(model, tmp_path / "int8", options(float_layers=["classifier"]), config)
    network, _, _ = load_model(tmp_path / "int8")
    kinds = {name: type(layer) for name, layer in network.named_sublayers()}
    assert {name for name, kind in kinds.items() if kind is Int8Linear} == ALL - {"classifier"}
    assert issubclass(kinds["classifier"], nn.Linear)
    plain, rounded = (open_pipeline(folder, device="cpu")(["北京", "学习"]) for folder in (model, tmp_path / "int8"))
    scores = np.array([[list(answer["scores"].values()) for answer in answers] for answers in (plain, rounded)])
    assert 1e-6 < np.abs(scores[0] - scores[1]).max() < 0.01


def test_tables_become_int8(
    make_config: Callable[..., Config], model: Path, config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ppernie.slim.quantization.network._SMALLEST_TABLE", 100)
    quantize(model, tmp_path / "int8", options(embeddings="row"), config)
    network, _, description = load_model(tmp_path / "int8")
    assert description.int8 is not None
    assert description.int8.tables == ["backbone.embeddings.word_embeddings"]
    assert isinstance(network.backbone.embeddings.word_embeddings, Int8Embedding)


def test_the_budget_leaves_the_most_sensitive_layers_in_float(model: Path, config: Config, tmp_path: Path) -> None:
    quantize(model, tmp_path / "all", options(sensitivity=True), config)
    report = json.loads((tmp_path / "all" / "sensitivity.json").read_text())
    assert set(report["layers"]) == ALL and report["float_layers"] == []
    assert list(report["layers"].values()) == sorted(report["layers"].values(), reverse=True)
    assert min(report["layers"].values()) > 0
    quantize(model, tmp_path / "some", options(budget=report["error"] / 2), config)
    kept = json.loads((tmp_path / "some" / "sensitivity.json").read_text())
    assert kept["float_layers"] == list(report["layers"])[: len(kept["float_layers"])] != []
    assert kept["error"] <= report["error"] / 2
    int8 = read_description(tmp_path / "some").int8
    assert int8 is not None and set(int8.ranges) == ALL - set(kept["float_layers"])
    with pytest.raises(UserError, match=r"Slim.quantization.budget: 1e-12 leaves no layer"):
        quantize(model, tmp_path / "none", options(budget=1e-12), config)
    assert not (tmp_path / "none").exists()


def test_a_terminal_is_told_how_far_the_layers_are(
    model: Path, config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    quantize(model, tmp_path / "int8", options(budget=0.5), config)
    said = capsys.readouterr().err
    assert f"Each layer alone:   0%|          | 0/{len(ALL)}" in said and "Layers left in float:" in said


def test_a_quantised_model_is_exported_and_predicts(
    model: Path, run_values: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, rows = tmp_path / "run.yaml", tmp_path / "rows.jsonl"
    file.write_text(yaml.safe_dump(run_values, allow_unicode=True))
    rows.write_text('{"text": "北京"}\n一心一意\n', encoding="utf-8")
    recipe = ["-c", str(file), "-o", "Slim.quantization={embeddings: table}", "Export.int8_tolerance=0.5", *UNMEASURED]
    compressed, export = str(tmp_path / "run" / "compressed" / "model"), str(tmp_path / "run" / "export")
    assert main(["compress", *recipe]) == 0
    assert main(["export_model", *recipe, "--model", compressed]) == 0
    assert (tmp_path / "run" / "export" / "inference.onnx").exists()
    capsys.readouterr()
    assert main(["predict", "--model", export, "--input", str(rows), "--device", "cpu"]) == 0
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    expected = open_pipeline(compressed, device="cpu")(["北京", "一心一意"])
    for answer, other in zip(answers, expected, strict=True):
        assert answer["scores"] == pytest.approx(other["scores"], abs=1e-3)
    assert main(["export_model", *recipe, "--model", str(model), "--output", f"{export}2"]) == 0
    assert (tmp_path / "run" / "export2" / "inference.json").exists()


def test_training_goes_on_in_int8(
    model: Path, run_values: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "run.yaml"
    file.write_text(yaml.safe_dump(run_values, allow_unicode=True))
    recipe = ["-c", str(file), "-o", "Slim.quantization={training: true}", "Train.epochs=1", *UNMEASURED]
    assert main(["compress", *recipe]) == 0
    trained = tmp_path / "run" / "compressed" / "model"
    network, _, description = load_model(trained)
    assert isinstance(network.classifier, Int8Linear) and description.int8 is not None
    before = load_model(model)[0].classifier.weight.numpy()
    assert np.abs(network.classifier.weight.numpy() - before).max() > 1e-4
    assert sorted(path.name for path in trained.parent.iterdir() if path.is_dir()) == ["model", "steps"]
    assert main(["compress", *recipe]) == 0
    assert "Slim.quantization has ended" in capsys.readouterr().out
    assert main(["train", *recipe, f"Global.pretrained_model={model}", f"Global.output_dir={tmp_path / 'again'}"]) == 2
    assert "goes on from a calibrated model" in capsys.readouterr().err


def test_what_is_refused(
    make_config: Callable[..., Config], model: Path, config: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "int8"
    with pytest.raises(UserError, match="calibrates on real inputs: name Data.train or Data.eval"):
        quantize(model, target, options(), make_config(**{"Data.train": None, "Data.eval": None}))
    with pytest.raises(UserError, match=r"float_layers: \*.ffn is no layer; there are backbone"):
        quantize(model, target, options(float_layers=["*.ffn"]), config)
    with pytest.raises(UserError, match="leaves no linear layer"):
        quantize(model, target, options(float_layers=["*"]), config)
    convert_layers(model, tmp_path / "stored", scheme=Scheme(bits=8))
    with pytest.raises(UserError, match="stored: is quantised already"):
        quantize(tmp_path / "stored", target, options(), config)
    assert not target.exists()
    quantize(model, target, options(), config)
    with pytest.raises(UserError, match="int8: is quantised already"):
        quantize(target, tmp_path / "twice", options(), config)
    with pytest.raises(UserError, match="int8: is quantised already"):
        convert_layers(target, tmp_path / "twice", scheme=Scheme(bits=8))
    description = json.loads((target / "config.json").read_text())
    for wrong in (float("nan"), float("inf"), 0.0):
        description["int8"]["ranges"]["classifier"] = wrong
        (target / "config.json").write_text(json.dumps(description))
        with pytest.raises(UserError, match=r"config.json: not a model description: int8.ranges.classifier"):
            load_model(target)


@pytest.mark.parametrize(("bias", "reason"), [(np.nan, "not finite"), (0.0, "all 0")])
def test_a_broken_network_has_no_ranges(
    model: Path, config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bias: float, reason: str
) -> None:
    network, task, description = load_model(model)
    for parameter in network.backbone.pooler.parameters():
        parameter.set_value(np.full(parameter.shape, bias, np.float32))
    monkeypatch.setattr("ppernie.slim.quantization.folder.load_model", lambda _: (network, task, description))
    with pytest.raises(UserError, match=f"classifier: the numbers that enter it are {reason}"):
        quantize(model, tmp_path / "int8", options(), config)
