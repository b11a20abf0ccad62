"""Which adapters a network has, as typed fields; without paddle."""

from __future__ import annotations

from pydantic import Field

from ppernie.section import Section


class Lora(Section):
    """Low-rank updates of linear layers (Hu et al. 2021, arXiv:2106.09685)."""

    rank: int = Field(default=8, ge=1, description="Rank of the update of a weight")
    alpha: float = Field(default=16.0, gt=0, description="The update is multiplied by alpha / rank")
    dropout: float = Field(default=0.0, ge=0, lt=1, description="Dropout of what the update reads")
    targets: list[str] | None = Field(
        default=None,
        min_length=1,
        description="Patterns of the layers to update, such as '*.feed_forward.linear?'; null: attention's projections",
    )


class Prefix(Section):
    """Keys and values that every token sees in every layer (P-tuning v2: Liu et al. 2021, arXiv:2110.07602)."""

    tokens: int = Field(default=32, ge=1, description="Keys and values before those of the tokens, in each layer")
    projection: int | None = Field(
        default=None,
        ge=1,
        description="Inner width of two maps that make them of a table; null: learnt as they are",
    )


class Base(Section):
    """The network that adapters were trained on.

    Attributes:
        model: its name, folder, file or address, as ``Global.pretrained_model`` had it.
        new_head: whether its head was left.
        checksum: of the weights that were taken of it (``ppernie.peft.weights.fingerprint``).
    """

    model: str
    new_head: bool
    checksum: str


class Adapters(Section):
    """What a network has beside the weights of its architecture; in a ``ModelDescription``.

    Attributes:
        lora, prefix: one of them.
        base: the network whose weights are needed to complete these; None where all are stored.
    """

    lora: Lora | None = None
    prefix: Prefix | None = None
    base: Base | None = None
