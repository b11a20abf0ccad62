"""From a network to an export in INT8 that has proven to compute what was calibrated or trained."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Literal

import paddle

from ppernie.errors import UserError
from ppernie.export.int8_graph import put_int8
from ppernie.export.onnx_graph import convert, read_graph
from ppernie.export.rewrite import inference_form, weights_by_origin
from ppernie.export.static_graph import Contents, save_graph, write_proven
from ppernie.inference.deploy import GRAPH, ONNX, WEIGHTS
from ppernie.inference.engines import check_engine
from ppernie.slim.quantization.network import check_layers, rounding
from ppernie.slim.quantization.settings import Int8, own_weight_bits

Int8Engine = Literal["openvino", "onnxruntime", "onnxruntime_dynamic"]


def engine_for(int8: Int8) -> Int8Engine:
    """The quicker one of a model whose weights have 8 bits, or 7 for CPUs without VNNI: ``ppernie bench int8``."""
    return "openvino" if int8.weight_bits == 8 else "onnxruntime"


def export_int8(
    model: paddle.nn.Layer, contents: Contents, folder: Path, tolerance: float, engine: Int8Engine, int8: Int8 | None
) -> dict[str, Any]:
    """Writes ``inference.onnx`` and ``deploy.yml`` and proves them against the network that rounds as they do.

    What rounding does to the outputs is not judged here, but by the scores of what comes out. A network without ranges
    is compared in float.

    The folder appears whole or not at all; an export that stands there is replaced at the very end.

    Args:
        model: the network in float; it is left as it was.
        folder: where the export goes.
        tolerance: largest accepted difference, relative to an output's largest magnitude.
        engine: what is to run it.
        int8: which layers are INT8, and the ranges of their inputs; None where each input is to have a range of its
            own, which is for ``onnxruntime_dynamic`` alone, and makes all linear layers INT8.

    Returns:
        What was written to ``deploy.yml``.

    Raises:
        UserError: a package is absent, the network has no ranges, or some of no layer of it, the graph differs from
            the model, or the folder cannot be written.
    """
    if int8 is None and engine != "onnxruntime_dynamic":
        raise UserError(
            f"{folder}: nothing was exported: the model is in float, and {engine} needs ranges; compress it with "
            "Slim.quantization first, or take Export.engine=onnxruntime_dynamic"
        )
    if int8 is not None:
        try:
            check_layers(model, int8)
        except UserError as error:
            raise UserError(f"{folder}: nothing was exported: the model {error}") from error
    deploy = contents.deploy(
        tolerance=tolerance,
        engine="openvino" if engine == "openvino" else "onnxruntime",
        weight_bits=own_weight_bits() if int8 is None else int8.weight_bits,
    )
    check_engine(deploy.engine)

    def write(temporary: Path) -> None:
        with tempfile.TemporaryDirectory() as scratch:
            with inference_form(model):
                parameters = weights_by_origin(model)
                save_graph(model, deploy.inputs, Path(scratch))
            plain = Path(scratch, "plain.onnx")
            convert(Path(scratch, GRAPH), Path(scratch, WEIGHTS), plain)
            _write(read_graph(plain), temporary / ONNX, parameters, engine, int8, deploy.weight_bits == 7)

    # Quantisation-aware training has fitted the network that rounds, which may lie far from the one in float.
    reference = nullcontext() if int8 is None else rounding(model, int8)
    return write_proven(model, contents, deploy, folder, write, reference)


def _write(
    model: Any,
    target: Path,
    parameters: Mapping[str, list[str]],
    engine: Int8Engine,
    int8: Int8 | None,
    reduce_range: bool,
) -> None:
    import onnx

    if engine == "onnxruntime_dynamic":
        layers = parameters if int8 is None else int8.ranges
        _quantize_dynamic(model, target, {weight for name in layers for weight in parameters[name]}, reduce_range)
        return
    assert int8 is not None
    put_int8(model, int8, parameters, unsigned=engine == "onnxruntime")
    onnx.save(model, str(target))


def _quantize_dynamic(model: Any, target: Path, weights: Collection[str], reduce_range: bool) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    products = [node.name for node in model.graph.node if node.op_type == "MatMul" and node.input[1] in weights]
    quantize_dynamic(
        model,
        target,
        nodes_to_quantize=products,
        op_types_to_quantize=["MatMul"],
        per_channel=True,
        weight_type=QuantType.QInt8,
        reduce_range=reduce_range,
    )
