"""Static graphs for Paddle Inference, OpenVINO and ONNX Runtime."""

from ppernie.export.static_graph import Field, export_model

__all__ = ["Field", "export_model"]
