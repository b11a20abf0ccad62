"""Weights in 8 or 4 bits, multiplied as numbers of full precision: arithmetic, layers, folders."""

from ppernie.slim.weight_only.arithmetic import Quantization, Scheme, dequantize, quantize
from ppernie.slim.weight_only.tensors import QuantizedTensor

__all__ = ["Quantization", "QuantizedTensor", "Scheme", "dequantize", "quantize"]
