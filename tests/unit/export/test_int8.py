"""Exports in INT8: what they compute, how they are run, and what is refused."""

from __future__ import annotations

import logging
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import paddle
import pytest
import yaml

from ppernie.errors import UserError
from ppernie.export import Contents, Field
from ppernie.export.int8 import Int8Engine, engine_for, export_int8
from ppernie.export.int8_graph import put_int8
from ppernie.inference.deploy import Deploy
from ppernie.inference.predictor import Predictor
from ppernie.slim.quantization import network as int8_network
from ppernie.slim.quantization.calibration import calibrate
from ppernie.slim.quantization.network import linear_names, table_names
from ppernie.slim.quantization.settings import Int8

Inputs = dict[str, np.ndarray]
ENGINES: tuple[Int8Engine, ...] = ("openvino", "onnxruntime", "onnxruntime_dynamic")


def run(network: Any, inputs: Inputs) -> np.ndarray:
    with paddle.no_grad():
        return network(**{name: paddle.to_tensor(ids) for name, ids in inputs.items()}).numpy()


class Case:
    """A tiny classifier and its ranges."""

    def __init__(self, make_model: Callable[..., Any], arch: dict[str, Any]) -> None:
        self.make_model, self.arch = make_model, arch
        self.model = make_model("ErnieForSequenceClassification", num_labels=3)
        self.model.eval()
        batches = [self.sample(seed, 4, 12) for seed in range(4)]
        ranges = calibrate(self.model, run, batches, linear_names(self.model, []), "absmax")
        self.int8 = Int8(ranges=ranges, weight_bits=7, tables=table_names(self.model, []))

    def sample(self, seed: int, batch: int, length: int) -> Inputs:
        ids = np.random.default_rng(seed).integers(1, self.arch["vocab_size"], (batch, length))
        return {"input_ids": ids, "token_type_ids": ids % 2}

    def rounded(self, inputs: Inputs, int8: Int8 | None = None) -> np.ndarray:
        """What Paddle's float operations make of the network in INT8."""
        network = self.make_model("ErnieForSequenceClassification", num_labels=3)
        network.eval()
        int8_network.put_int8(network, int8 or self.int8)
        return run(network, inputs)

    def export(self, folder: Path, engine: Int8Engine = "openvino", tolerance: float = 0.1, **changes: Any) -> Any:
        dims = ("batch", "length")
        fields = [
            Field("input_ids", "int64", dims, 0, self.arch["vocab_size"]),
            Field("token_type_ids", "int64", dims, 0, 2),
        ]
        samples = [self.sample(20, 1, 5), self.sample(21, 3, 13)]
        int8 = changes.get("int8", self.int8)
        contents = Contents(fields, [("batch", "classes")], 32, samples)
        return export_int8(self.model, contents, folder, tolerance, engine, int8)


@pytest.fixture(scope="module")
def case(make_model: Callable[..., Any], arch: dict[str, Any]) -> Case:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ppernie.slim.quantization.network._SMALLEST_TABLE", 100)
        return Case(make_model, arch)


@pytest.fixture(scope="module")
def exported(case: Case, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("int8") / "export"
    case.export(folder)
    return folder


@pytest.fixture
def copied(exported: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(exported, tmp_path / "copied"))


@pytest.mark.parametrize("engine", ENGINES)
def test_an_export_computes_what_was_calibrated(case: Case, tmp_path: Path, engine: Int8Engine) -> None:
    report = case.export(tmp_path / "export", engine)
    assert report["engine"] == engine.removesuffix("_dynamic")
    assert 0 < report["differences"]["fp32"]["max_relative"] <= (0.1 if engine == "onnxruntime_dynamic" else 1e-5)
    assert sorted(path.name for path in (tmp_path / "export").iterdir()) == ["deploy.yml", "inference.onnx"]
    inputs = case.sample(30, 5, 7)
    (output,) = Predictor(tmp_path / "export", precision="fp32", threads=1).run(inputs)
    plain, rounded = run(case.model, inputs), case.rounded(inputs)
    assert output.shape == (5, 3) and output.dtype == np.float32
    if engine == "onnxruntime_dynamic":  # its ranges are others
        assert 1e-6 < np.abs(output - plain).max() < 0.05 * np.abs(plain).max()
    else:
        assert np.abs(rounded - plain).max() > 1e-3 * np.abs(plain).max()
        np.testing.assert_allclose(output, rounded, atol=1e-5)


def test_the_graph_holds_whole_numbers(case: Case, exported: Path) -> None:
    graph = onnx.load(exported / "inference.onnx").graph
    types = {tensor.name: onnx.TensorProto.DataType.Name(tensor.data_type) for tensor in graph.initializer}
    matrices = {tensor.name for tensor in graph.initializer if len(tensor.dims) == 2 and np.prod(tensor.dims) > 512}
    assert {types[name] for name in matrices} == {"INT8"}
    read = {node.input[0]: node.op_type for node in graph.node if node.input}
    # 3 projections of attention for each fused one: every product of a layer, and the word table.
    assert sum(read[name] == "DequantizeLinear" for name in types if name.endswith("w_0.int8") and name in read) == 14
    assert sum(read[name] == "Gather" for name in types if name.endswith("w_0.int8")) == 1


def saturated(int8: Int8) -> Int8:
    """Ranges that cut nearly all of two layers' inputs."""
    few = {"backbone.encoder.layers.0.feed_forward.linear2": 1e-4, "classifier": 1e-3}
    return int8.model_copy(update={"ranges": int8.ranges | few})


def test_an_older_export_stays_where_a_scale_is_saturated(
    case: Case, copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(model: Any, int8: Int8, *others: Any, **named: Any) -> None:
        put_int8(model, saturated(int8), *others, **named)

    monkeypatch.setattr("ppernie.export.int8.put_int8", broken)
    before = (copied / "inference.onnx").read_bytes()
    with pytest.raises(UserError, match=r"copied: nothing was exported: the static graph differs .* tolerance of 1"):
        case.export(copied)
    assert (copied / "inference.onnx").read_bytes() == before


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
def test_the_proof_is_against_the_network_that_rounds(case: Case, tmp_path: Path, engine: Int8Engine) -> None:
    """Training with these ranges would fit what they leave of the inputs, and nothing else."""
    inputs, int8 = case.sample(31, 4, 9), saturated(case.int8)
    plain, rounded = run(case.model, inputs), case.rounded(inputs, int8)
    assert np.abs(rounded - plain).max() > 0.1 * np.abs(plain).max()
    case.export(tmp_path / "export", engine, tolerance=1e-5, int8=int8)
    (output,) = Predictor(tmp_path / "export", precision="fp32", threads=1).run(inputs)
    np.testing.assert_allclose(output, rounded, atol=1e-5)
    # The network is left in float.
    assert (run(case.model, inputs) == plain).all()


@pytest.mark.parametrize("engine", ENGINES)
def test_ranges_without_a_layer_are_refused(case: Case, tmp_path: Path, engine: Int8Engine) -> None:
    ranges = case.int8.ranges | {"backbone.encoder.layers.7.linear": 1.0}
    said = "export: nothing was exported: the model is quantised in backbone.encoder.layers.7.linear, which is no "
    with pytest.raises(UserError, match=said):
        case.export(tmp_path / "export", engine, int8=case.int8.model_copy(update={"ranges": ranges}))
    assert not list(tmp_path.iterdir())


def test_an_engine_that_needs_ranges_says_so(case: Case, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="the model is in float, and openvino needs ranges"):
        case.export(tmp_path / "export", int8=None)
    assert not list(tmp_path.iterdir())


def test_a_float_network_runs_with_ranges_of_its_own(case: Case, tmp_path: Path) -> None:
    case.export(tmp_path / "export", "onnxruntime_dynamic", int8=None)
    assert Predictor(tmp_path / "export").run(case.sample(1, 0, 4))[0].shape == (0, 3)


def test_limits_are_checked_as_ever(case: Case, exported: Path) -> None:
    predictor = Predictor(exported, threads=1)
    with pytest.raises(UserError, match="input_ids: id 10000000"):
        predictor.run(case.sample(0, 2, 4) | {"input_ids": np.full((2, 4), 10**7)})
    with pytest.raises(UserError, match="33 tokens"):
        predictor.run(case.sample(0, 1, 33))
    inputs = case.sample(3, 9, 6)
    (together,) = predictor.run(inputs)
    (alone,) = predictor.run({name: ids[8:] for name, ids in inputs.items()})
    np.testing.assert_allclose(alone[0], together[8], atol=1e-5)


@pytest.mark.parametrize(("engine", "package"), [("openvino", "openvino"), ("onnxruntime", "onnxruntime")])
def test_the_engine_that_is_missing_is_named(
    case: Case, copied: Path, monkeypatch: pytest.MonkeyPatch, engine: Int8Engine, package: str
) -> None:
    path = copied / "deploy.yml"
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | {"engine": engine}))
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UserError, match=rf"needs the package {package}, which is not installed: .*\[int8\]"):
        Predictor(copied)
    with pytest.raises(UserError, match=f"needs the package {package}"):
        case.export(copied, engine)


@pytest.mark.parametrize(
    ("weight_bits", "vnni", "warned"), [(8, False, True), (8, True, False), (7, False, False), (7, True, False)]
)
def test_weights_too_fine_for_the_cpu_are_told(
    copied: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    weight_bits: int,
    vnni: bool,
    warned: bool,
) -> None:
    path = copied / "deploy.yml"
    deploy = yaml.safe_load(path.read_text())
    assert deploy["weight_bits"] in (7, 8)
    path.write_text(yaml.safe_dump(deploy | {"weight_bits": weight_bits}))
    monkeypatch.setattr("ppernie.inference.predictor.cpu_has_vnni", lambda: vnni)
    monkeypatch.setattr(logging.getLogger("ppernie"), "propagate", True)
    Predictor(copied)
    assert ("Slim.quantization.weight_bits=7" in caplog.text) == warned


def test_weights_for_cpus_without_vnni_run_in_onnx_runtime() -> None:
    found = [engine_for(Int8(ranges={"classifier": 1.0}, weight_bits=bits)) for bits in (7, 8)]
    assert found == ["onnxruntime", "openvino"]


def test_what_an_int8_export_cannot_do_is_told(copied: Path) -> None:
    with pytest.raises(UserError, match="runs in INT8 on a CPU"):
        Predictor(copied, device="gpu")
    with pytest.raises(UserError, match="runs in INT8 on a CPU"):
        Predictor(copied, tensorrt=True)
    (copied / "inference.onnx").write_bytes(b"broken")
    with pytest.raises(UserError, match="OpenVINO cannot load the model; export it again"):
        Predictor(copied)
    (copied / "inference.onnx").unlink()
    with pytest.raises(UserError, match=r"no inference\.onnx"):
        Deploy.read(copied)


@pytest.mark.parametrize("scales", ["row", "table"])
def test_a_table_is_looked_up_in_whole_numbers(scales: str, tmp_path: Path) -> None:
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    table = np.random.default_rng(0).normal(0, 1, (7, 4)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("Gather", ["table", "ids"], ["rows"])],
        "tables",
        [helper.make_tensor_value_info("ids", TensorProto.INT64, [None])],
        [helper.make_tensor_value_info("rows", TensorProto.FLOAT, [None, 4])],
        [numpy_helper.from_array(table, "table")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    int8 = Int8.model_construct(ranges={}, weight_bits=8, tables=["words"], table_scales=scales)
    put_int8(model, int8, {"words": ["table"]}, unsigned=False)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    step = np.abs(table).max(1 if scales == "row" else None, keepdims=True) / 127
    (rows,) = session.run(None, {"ids": np.array([6, 0, 6])})
    np.testing.assert_allclose(rows, (np.rint(table / step) * step)[[6, 0, 6]], atol=1e-6)
