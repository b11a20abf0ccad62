"""Adapters as arrays: laid into the weights that they belong to, and those weights told apart from others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import xxhash

from ppernie.errors import UserError
from ppernie.peft.plan import DOWN, UP
from ppernie.peft.settings import Base, Lora
from ppernie.zoo.layout import Tensor, read_into

_DOWN, _UP = f".{DOWN}.weight", f".{UP}.weight"


class _Updated(NamedTuple):
    """A weight [in, out] with ``scale * down @ up`` added when it is read, in float32."""

    weight: Tensor
    down: Tensor
    up: Tensor
    scale: float

    @property
    def shape(self) -> tuple[int, ...]:
        return self.weight.shape

    def read_into(self, out: np.ndarray) -> None:
        out[...] = np.asarray(self)

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        whole = _read(self.weight)
        whole += np.float32(self.scale) * (_read(self.down) @ _read(self.up))
        return whole


def merged(tensors: Mapping[str, Tensor], lora: Lora) -> dict[str, Tensor]:
    """The weights of a network with LoRA as those of the plain network; they are added when they are read."""
    names = {name.removesuffix(_DOWN) for name in tensors if name.endswith(_DOWN)}
    plain = {name: tensor for name, tensor in tensors.items() if not name.endswith((_DOWN, _UP))}
    updated = {
        f"{name}.weight": _Updated(
            tensors[f"{name}.weight"], tensors[name + _DOWN], tensors[name + _UP], lora.alpha / lora.rank
        )
        for name in names
    }
    return plain | updated


def unmerged(tensors: Mapping[str, Tensor], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """Merged weights for the network that has LoRA still, its parameters of these shapes: its updates are 0."""
    nothing = {name: np.zeros(shape, np.float32) for name, shape in shapes.items() if name.endswith((_DOWN, _UP))}
    return {**nothing, **tensors}


def fingerprint(tensors: Mapping[str, Tensor]) -> str:
    """XXH3 of names, shapes and float32 values, in hexadecimal; equal however and in which order they are stored.

    Raises:
        UserError: a tensor cannot be read.
    """
    digest = xxhash.xxh3_64()
    for name in sorted(tensors):
        digest.update(f"{name} {list(tensors[name].shape)}".encode())
        digest.update(_read(tensors[name]).data)
    return digest.hexdigest()


def check_base(stored: Base, checksum: str, place: str) -> None:
    """Raises UserError where adapters of one base meet another one."""
    if stored.checksum != checksum:
        raise UserError(
            f"{place}: these adapters belong to {stored.model} with the checksum {stored.checksum}, and the weights "
            f"here have {checksum}; give them the base that they were trained on"
        )


def _read(tensor: Tensor) -> np.ndarray:
    array = np.empty(tensor.shape, np.float32)
    read_into(tensor, array)
    return array
