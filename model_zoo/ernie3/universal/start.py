"""What this package's networks take of other weights to start from."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from ppernie.errors import UserError
from ppernie.zoo.layout import Fit, Tensor, fit
from ppernie.zoo.sources import Source, check_architecture

logger = logging.getLogger("ppernie")

_WORDS = "embeddings.word_embeddings.weight"
_HEADS = ("nlu_head.", "nlg_head.", "reordering.", "distance.", "classifier.")


def start_from(source: Source, shapes: Mapping[str, tuple[int, ...]], *, new_head: bool = False) -> Fit:
    """The stored tensors for a network's parameters; of the others it draws its own.

    From a network of this package comes all that both have. A released encoder is of another architecture: from it
    come the tables of words and of types, and their norm, where they are as large; the log names them.

    Args:
        shapes: of the network's parameters, by name.
        new_head: leave what heads are stored.

    Raises:
        UserError: the shapes of what both networks have differ, or the encoder is of another width or vocabulary.
    """
    is_own = source.kind is not None and source.kind.startswith("Universal")
    stored = source.tensors if is_own else _encoder(source)
    both = {
        name: tensor for name, tensor in stored.items() if name in shapes and not (new_head and name.startswith(_HEADS))
    }
    unequal = [
        f"{name} is {list(tensor.shape)} there and {list(shapes[name])} here"
        for name, tensor in both.items()
        if tuple(tensor.shape) != shapes[name]
    ]
    if unequal and (is_own or unequal[0].startswith(_WORDS)):
        more = f" and {len(unequal) - 10} more" if len(unequal) > 10 else ""
        raise UserError(
            f"{source.place}: does not fit Arch: {'; '.join(unequal[:10])}{more}; choose its sizes"
            + (" (Global.new_head makes a head anew)" if unequal[0].startswith(_HEADS) else "")
        )
    taken = {name: tensor for name, tensor in both.items() if tuple(tensor.shape) == shapes[name]}
    if is_own:
        return Fit(taken, [name for name in stored if name not in taken])
    logger.info("From %s, a network of another architecture, come %s alone", source.place, ", ".join(taken))
    return Fit(taken, [])


def _encoder(source: Source) -> Mapping[str, Tensor]:
    """The tensors of an encoder by our names, the words first."""
    config = check_architecture(source.family, source.architecture, str(source.place))
    found = fit(source.tensors, config, source.layout, "Model", new_head=True, place=str(source.place)).tensors
    return {_WORDS: found[_WORDS], **found}
