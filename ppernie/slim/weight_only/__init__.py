"""Weights in 8 or 4 bits, multiplied as numbers of full precision: arithmetic, choice of weights, folders."""

from ppernie.slim.weight_only.arithmetic import Scheme, dequantize, quantize
from ppernie.slim.weight_only.folder import LayeredModel, open_layers, save_layers
from ppernie.slim.weight_only.tensors import QuantizedTensor

__all__ = ["LayeredModel", "QuantizedTensor", "Scheme", "dequantize", "open_layers", "quantize", "save_layers"]
