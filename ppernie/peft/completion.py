"""Adapters that are stored alone, completed by the network that they belong to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ppernie.errors import UserError
from ppernie.peft.weights import check_base, fingerprint, merged
from ppernie.zoo.layout import Tensor
from ppernie.zoo.pretrained import found_in
from ppernie.zoo.sources import open_source

if TYPE_CHECKING:
    from ppernie.zoo.description import ModelDescription


def completed(
    adapters: Mapping[str, Tensor], description: ModelDescription, shapes: Mapping[str, tuple[int, ...]], place: str
) -> dict[str, Tensor]:
    """All weights of the network of ``description.build_network``: low-rank updates are added to the base's.

    Args:
        adapters: what is stored: adapters, and what else has learnt.
        shapes: of the network's parameters, by name.
        place: of the adapters, for messages.

    Raises:
        UserError: the base is not where it was, or is another network.
    """
    tuning = description.tuning
    assert tuning is not None and tuning.base is not None
    try:
        source = open_source(tuning.base.model)
        config = description.arch_config()
        found = found_in(source, description.arch["name"], config, shapes, new_head=tuning.base.new_head)
    except UserError as error:
        raise UserError(
            f"{place}: the base of these adapters cannot be opened: {error}. Say where it lies now in config.json "
            "(tuning.base.model)"
        ) from error
    check_base(tuning.base, fingerprint(found.tensors), place)
    both = {**found.tensors, **adapters}
    return both if tuning.lora is None else merged(both, tuning.lora)
