"""Networks of GLM-130B's width, made of random numbers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ppernie import registry
from ppernie.errors import UserError
from ppernie.slim.weight_only import Scheme
from ppernie.zoo import manifest
from ppernie.zoo.description import ModelDescription
from ppernie.zoo.formats.rows import RowTensor
from ppernie.zoo.sources import check_architecture

_VARIANT = "glm-130b"
_ARCH = "glm/GlmForBlankInfilling"


class Sizes(NamedTuple):
    """Of a network.

    Attributes:
        bits: of its stored weights: 8, 4, or 16 for half precision.
    """

    layers: int
    hidden: int
    heads: int
    inner: int
    vocab: int
    bits: int

    @property
    def scheme(self) -> Scheme | None:
        """How its weights are quantised; None where they are not."""
        return None if self.bits == 16 else Scheme.model_validate({"bits": self.bits})

    def description(self) -> ModelDescription:
        """What such a network is. Raises UserError where none has these sizes, or they cannot be stored so."""
        fields = manifest.find(_VARIANT).architecture | {
            "num_hidden_layers": self.layers,
            "hidden_size": self.hidden,
            "num_attention_heads": self.heads,
            "intermediate_size": self.inner,
            "vocab_size": self.vocab,
        }
        checked = check_architecture("glm", fields, "no network has these sizes").model_dump()
        if self.bits == 4 and (self.hidden % 2 or self.inner % 2):
            raise UserError("4 bits are stored two to a byte: make --hidden and --inner even, or take --bits 8")
        return ModelDescription(
            arch={"name": _ARCH, **checked}, task=None, max_length=fields["max_position_embeddings"]
        )


@dataclass(frozen=True)
class RandomTensor(RowTensor):
    """Normal numbers of half precision, with the published standard deviation; after some MB they come again."""

    def rows(self, start: int, stop: int) -> npt.NDArray[Any]:
        shape = self.shape[::-1] if self.turned else self.shape
        return np.resize(_numbers(), (stop - start, *shape[1:]))


@cache
def _numbers() -> npt.NDArray[np.float16]:
    """Drawn once: to draw all that a network has takes as long as to quantise them."""
    numbers = np.random.default_rng(0).standard_normal(2**21, dtype=np.float32)
    numbers *= 0.0052
    return numbers.astype(np.float16)


def random_tensors(description: ModelDescription) -> dict[str, RandomTensor]:
    """All weights of a network by name, their rows as they are published."""
    shards = registry.family_shards(description.arch["name"].partition("/")[0])
    assert shards is not None
    return {
        name: RandomTensor(Path(name), "float16", one.cut.shape[::-1] if one.turned else one.cut.shape, one.turned)
        for name, one in shards.layout(description.arch_config()).items()
    }
