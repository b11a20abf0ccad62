"""Quantised weights as they lie in a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt

from ppernie.errors import UserError
from ppernie.slim.weight_only.arithmetic import Quantization, Scheme, dequantize
from ppernie.zoo.formats import StoredTensor
from ppernie.zoo.formats.rows import RowTensor, take_rows


def scale_name(name: str) -> str:
    """The name of the scales of a quantised weight."""
    return f"{name}_scale"


@dataclass(frozen=True)
class QuantizedTensor(RowTensor):
    """A quantised matrix; read as any other tensor it is the float32 matrix [in, out] that it stands for.

    Attributes:
        weight: its whole numbers, int8 [out, in] or [out, in / 2].
        scale: its scales, float16 [out] or [out, groups].
    """

    weight: StoredTensor
    scale: StoredTensor
    scheme: Scheme

    def rows(self, start: int, stop: int) -> npt.NDArray[Any]:
        return dequantize(take_rows(self.weight, start, stop), take_rows(self.scale, start, stop), self.scheme)


def pair_up(
    tensors: Mapping[str, StoredTensor], quantization: Quantization | None, place: Path
) -> dict[str, StoredTensor]:
    """Weights by name, those that are quantised made of their two tensors.

    Raises:
        UserError: one of the two is missing or is not as the scheme says.
    """
    if quantization is None:
        return dict(tensors)
    quantized, scheme = quantization.weights, quantization.scheme
    missing = [key for name in quantized for key in (name, scale_name(name)) if key not in tensors]
    if missing:
        raise UserError(f"{place}: {', '.join(missing[:10])}: missing, though config.json says that it is quantised")
    scales = {scale_name(name) for name in quantized}
    return {
        name: paired(name, tensor, tensors[scale_name(name)], scheme, place) if name in quantized else tensor
        for name, tensor in tensors.items()
        if name not in scales
    }


def paired(name: str, weight: StoredTensor, scale: StoredTensor, scheme: Scheme, place: Path) -> QuantizedTensor:
    """A quantised weight of its two tensors. Raises UserError where they are not as the scheme says."""
    try:
        outputs, width = weight.shape
        inputs = width * 8 // scheme.bits
        fits = scale.shape == scheme.scale_shape(outputs, inputs)
    except ValueError:
        fits = False
    if not fits or (weight.dtype, scale.dtype) != ("int8", "float16"):
        raise UserError(
            f"{place}: {name} is {weight.dtype} {list(weight.shape)} with scales {scale.dtype} {list(scale.shape)}, "
            f"which are no weights of {scheme.bits} bits"
            + (f" in groups of {scheme.group_size}" if scheme.group_size else "")
        )
    return QuantizedTensor(weight.path, "float32", (inputs, outputs), True, weight, scale, scheme)
