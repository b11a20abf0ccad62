"""Static graphs as ONNX."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ppernie.errors import UserError
from ppernie.extras import extra_package

# The first with LayerNormalization.
_OPSET = 17


def convert(graph: Path, weights: Path, target: Path) -> None:
    """Writes a graph of Paddle Inference as ONNX.

    Raises:
        UserError: a package is absent, or the graph holds what ONNX does not.
    """
    paddle2onnx = extra_package("paddle2onnx", "int8")
    try:
        # Its default tool folds constants, for which it installs packages without a word.
        paddle2onnx.export(str(graph), str(weights), str(target), opset_version=_OPSET, optimize_tool="none")
    except Exception as error:
        raise UserError(f"{graph.parent}: paddle2onnx cannot convert the graph ({error})") from error


def read_graph(file: Path) -> Any:
    """An ``onnx.ModelProto`` whose nodes have names, and whose weights are initialisers."""
    onnx = extra_package("onnx", "int8")
    model = onnx.load(str(file))
    nodes = []
    for number, node in enumerate(model.graph.node):
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            tensor = node.attribute[0].t
            tensor.name = node.output[0]
            model.graph.initializer.append(tensor)
        else:
            node.name = node.name or f"{node.op_type}.{number}"
            nodes.append(node)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model
