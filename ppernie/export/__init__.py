"""Static graphs for Paddle Inference, OpenVINO and ONNX Runtime."""

from ppernie.export.static_graph import Contents, Field, export_model

__all__ = ["Contents", "Field", "export_model"]
