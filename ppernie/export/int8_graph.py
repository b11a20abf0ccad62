"""Whole numbers put into an ONNX graph in float, with scales that were measured before.

An engine that finds a product between ``DequantizeLinear`` computes it in whole numbers. What is written is what
``ppernie.slim.quantization.layers`` computes: one scale for a layer's inputs, one for each output of its weight.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ppernie.errors import UserError
from ppernie.slim.quantization.settings import LARGEST, Int8, largest_weight


def put_int8(model: Any, int8: Int8, parameters: Mapping[str, Sequence[str]], unsigned: bool) -> None:
    """Makes products and tables INT8.

    Args:
        model: an ``onnx.ModelProto`` of ``read_graph``; it is changed.
        int8: the layers, and the ranges of their inputs.
        parameters: names of weights [in, out] and of tables [rows, size] in the graph, by layer.
        unsigned: inputs become whole numbers from 0 on, which some engines multiply faster; they stand for the same.

    Raises:
        UserError: the graph does not multiply by a layer's weight, or look up in its table.
    """
    ranges = {weight: largest for name, largest in int8.ranges.items() for weight in parameters.get(name, [name])}
    tables = [table for name in int8.tables for table in parameters.get(name, [name])]
    rewriter = _Rewriter(model, largest_weight(int8.weight_bits))
    found = set()
    for node in list(model.graph.node):
        if node.op_type == "MatMul" and node.input[1] in ranges:
            x, weight = node.input
            found.add(weight)
            node.input[:] = [rewriter.entering(x, ranges[weight], unsigned), rewriter.weight(weight)]
        if node.op_type == "Gather" and node.input[0] in tables:
            table, ids = node.input
            found.add(table)
            rewriter.look_up(table, ids, node.output[0], by_row=int8.table_scales == "row")
        else:
            rewriter.nodes.append(node)
    if missing := sorted({*ranges, *tables} - found):
        raise UserError(
            f"the graph has no layer with {', '.join(missing)}, which is to be INT8; quantise the model again"
        )
    rewriter.finish()


class _Rewriter:
    """Nodes and weights of the graph that is to be; what has a name already is not made again."""

    def __init__(self, model: Any, largest_weight: int) -> None:
        import onnx

        self.onnx, self.model, self.largest_weight = onnx, model, largest_weight
        self.nodes: list[Any] = []
        self._tensors = {tensor.name: tensor for tensor in model.graph.initializer}
        self._made: set[str] = set()

    def entering(self, x: str, largest: float, unsigned: bool) -> str:
        """A product's input, rounded."""
        name = f"{x}.{largest:.9g}"
        scale = self._tensor(f"{name}.scale", np.float32(largest / LARGEST))
        zero = self._tensor(f"{name}.zero", np.uint8(LARGEST + 1) if unsigned else np.int8(0))
        numbers = self._node("QuantizeLinear", [x, scale, zero], f"{name}.int8")
        return self._node("DequantizeLinear", [numbers, scale, zero], f"{name}.rounded")

    def weight(self, name: str) -> str:
        """A weight [in, out], rounded with a scale for each output."""
        numbers, scales = round_rows(self._array(name).T, self.largest_weight)
        tensors = [
            self._tensor(f"{name}.int8", np.ascontiguousarray(numbers.T)),
            self._tensor(f"{name}.scale", scales),
            self._tensor(f"{name}.zero", np.zeros(len(scales), np.int8)),
        ]
        return self._node("DequantizeLinear", tensors, f"{name}.rounded", axis=1)

    def look_up(self, name: str, ids: str, output: str, by_row: bool) -> None:
        """Rows of a table."""
        table = self._array(name)
        numbers, scale = round_rows(table if by_row else table.reshape(1, -1), LARGEST)
        rows = self._node("Gather", [self._tensor(f"{name}.int8", numbers.reshape(table.shape)), ids], f"{output}.int8")
        rows = self._node("Cast", [rows], f"{output}.whole", to=self.onnx.TensorProto.FLOAT)
        steps = self._tensor(f"{name}.scale", scale.reshape(-1, 1))
        if by_row:
            steps = self._node("Gather", [steps, ids], f"{output}.scale")
        self._node("Mul", [rows, steps], output)

    def finish(self) -> None:
        """Puts them in the place of the graph's own, and leaves out weights that nothing reads any more."""
        graph = self.model.graph
        read = {name for node in self.nodes for name in node.input}
        for field, content in (
            (graph.node, self.nodes),
            (graph.initializer, [tensor for name, tensor in self._tensors.items() if name in read]),
        ):
            del field[:]
            field.extend(content)
        self.onnx.checker.check_model(self.model)

    def _array(self, name: str) -> npt.NDArray[np.float32]:
        return self.onnx.numpy_helper.to_array(self._tensors[name])

    def _tensor(self, name: str, value: Any) -> str:
        self._tensors[name] = self.onnx.numpy_helper.from_array(np.asarray(value), name)
        return name

    def _node(self, kind: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        if output not in self._made:
            self._made.add(output)
            self.nodes.append(self.onnx.helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output


def round_rows(rows: npt.NDArray[np.float32], largest: int) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    """Whole numbers up to ``largest``, and the scale of each row [rows, numbers]; rows of zeros have the scale 1."""
    scales = np.abs(rows).max(1) / np.float32(largest)
    scales[scales == 0] = 1
    return np.rint(rows / scales[:, None]).astype(np.int8), scales
