"""The section ``Slim.quantization``, and what a quantised model folder says of itself; without paddle."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ppernie.cpu import cpu_has_vnni
from ppernie.section import Section

Observer = Literal["absmax", "histogram", "kl", "mse", "emd"]
Tables = Literal["row", "table"]
WeightBits = Literal[7, 8]

#: The largest whole number that inputs become.
LARGEST = 127


def largest_weight(bits: WeightBits) -> int:
    """The largest whole number that weights become."""
    return 2 ** (bits - 1) - 1


def own_weight_bits() -> WeightBits:
    """The most that sums on this CPU do not overflow with."""
    return 8 if cpu_has_vnni() else 7


class Quantization(Section):
    """How the linear layers of a network become INT8."""

    observer: Observer = Field(
        default="absmax",
        description="What chooses the range of a layer's inputs: their largest magnitude, the 99.9th percentile, or the"
        " least loss by divergence (kl), squares (mse) or mean and deviation (emd)",
    )
    samples: int = Field(
        default=128, ge=1, description="Inputs to calibrate on, from all over Data.train or else Data.eval"
    )
    weight_bits: WeightBits | None = Field(
        default=None,
        description="Of the weights: 7 for CPUs without VNNI, where sums over 8 bits overflow; null looks at this CPU",
    )
    float_layers: list[str] = Field(
        default=[], description="Layers that stay in float, as patterns of their names, such as *.feed_forward.linear2"
    )
    embeddings: Tables | None = Field(
        default=None, description="Tables become INT8 with a scale for each row, or one for the table; null: float"
    )
    training: bool = Field(default=False, description="Go on training as Train says, with layers that compute as INT8")
    sensitivity: bool = Field(
        default=False, description="Write sensitivity.json: what quantising each layer alone does to the outputs"
    )
    budget: float | None = Field(
        default=None,
        gt=0,
        description="Largest error of the outputs on the calibration inputs, relative to them; the most sensitive"
        " layers stay in float until it is met. null: no layer stays for that",
    )


class Int8(Section):
    """What ``config.json`` says of a quantised folder, whose weights are float.

    Attributes:
        ranges: by the name of each linear layer that computes in INT8, the largest magnitude that its inputs keep.
        weight_bits: of the weights.
        tables: names of the embeddings that are INT8.
        table_scales: whether each row of these has a scale, or each table.
    """

    ranges: dict[str, Annotated[float, Field(gt=0)]] = Field(min_length=1)
    weight_bits: WeightBits
    tables: list[str] = []
    table_scales: Tables = "row"
