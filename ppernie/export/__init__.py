"""Static graphs for Paddle Inference."""

from ppernie.export.static_graph import Field, export_model

__all__ = ["Field", "export_model"]
