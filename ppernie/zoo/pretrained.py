"""Networks with pretrained weights, from wherever they come."""

from __future__ import annotations

import gc
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ppernie import registry
from ppernie.errors import UserError
from ppernie.zoo.layout import Fit, Kind, fit
from ppernie.zoo.sources import Source, check_architecture, open_source
from ppernie.zoo.weights import fill, lazy_network

if TYPE_CHECKING:
    import paddle
    from pydantic import BaseModel

logger = logging.getLogger("ppernie")

ENCODER = "encoder"


@contextmanager
def _no_collection() -> Iterator[None]:
    """Keeps the garbage collector away: one pass over the objects of Paddle takes longer than the loading."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@_no_collection()
def from_pretrained(
    source: str | Path,
    head: str | None = None,
    *,
    num_labels: int | None = None,
    new_head: bool = False,
    variant: str | None = None,
    dequantize: bool = False,
    **overrides: Any,
) -> paddle.nn.Layer:
    """A network with pretrained weights, in evaluation mode.

    The encoder's weights must fit to the name and the number. A head that is asked for and not stored is drawn anew,
    and the log lists it; one that is stored in another shape or in part is an error.

    Args:
        source: the name of a released model (``ppernie download list``), a folder that ppernie, PaddleNLP or Hugging
            Face wrote, a weight file, an archive of PaddlePaddle/ERNIE, or the http(s) address of one of the two.
        head: the task that the network is for, such as ``sequence_classification``; ``encoder`` for none. By default
            the head that is stored.
        num_labels: classes of the head, where it has some; by default those that are stored.
        new_head: draw the head anew though one is stored.
        variant: the released model whose shape a weight file has that lies alone.
        dequantize: quantised weights become float32; else they stay as they are stored, and cannot learn.
        overrides: fields of the family's configuration, such as ``hidden_dropout_prob``.

    Raises:
        UserError: the source is unknown, unreachable, damaged or not the network that is asked for.
    """
    opened = open_source(source, variant)
    config = check_architecture(opened.family, opened.architecture | overrides, "from_pretrained")
    model, new = load_network(
        opened, _wanted(opened, head), config, num_labels=num_labels, new_head=new_head, dequantize=dequantize
    )
    # Of the encoder only a pooler may be new, and only where nothing reads it.
    if head is None and (lacking := [name for name in new if not name.startswith("backbone.")]):
        raise UserError(f"{opened.place}: lacks {', '.join(lacking[:10])}; name the head to be made new (head=...)")
    model.eval()
    return model


def load_network(
    source: Source,
    kind: Kind,
    config: BaseModel,
    *,
    num_labels: int | None = None,
    new_head: bool = False,
    dequantize: bool = False,
) -> tuple[paddle.nn.Layer, list[str]]:
    """Builds a network and lays the source's weights over it; the arguments are ``from_pretrained``'s.

    Returns:
        The network, and the names of its parameters that are not stored and were drawn; they are logged.

    Raises:
        UserError: the weights do not fit.
    """
    counted = source.layout.heads[kind].counted
    found = fit(
        source.tensors,
        config,
        source.layout,
        kind,
        stored_kind=source.kind,
        labels=num_labels,
        new_head=new_head,
        place=str(source.place),
    )
    labels = num_labels
    if counted and labels is None:
        labels = _stored_labels(found)
        if labels is None:
            raise UserError(
                f"{source.place}: holds no such head; say how many classes the new one has (num_labels=...)"
            )
    from ppernie.slim.weight_only.network import lay_stored

    name = source.brand + kind
    network_class = registry.network_class(source.family, name)
    model = lazy_network(lambda: network_class(config, **({"num_labels": labels} if counted else {})))
    left = lay_stored(model, found.tensors, str(source.place), dequantize=dequantize)
    return model, lay(model, Fit(left, found.left), str(source.place))


def lay(model: paddle.nn.Layer, found: Fit, place: str) -> list[str]:
    """Fills a network's parameters; those for which nothing is stored are drawn, logged, and returned by name."""
    own = dict(model.named_parameters())
    fill(own, found.tensors)
    new = [name for name in own if name not in found.tensors]
    if new:
        model.reset_parameters(new)
    tell(found, new, place)
    return new


def found_in(
    source: Source,
    arch: str,
    config: BaseModel,
    shapes: Mapping[str, tuple[int, ...]],
    *,
    labels: int | None = None,
    new_head: bool = False,
) -> Fit:
    """What a network takes of stored weights to start from.

    Args:
        arch: name of the network's architecture, ``family/Class``.
        config: of the architecture.
        shapes: of the network's parameters, by name.
        labels, new_head: as of ``fit``.

    Raises:
        UserError: the weights do not fit.
    """
    start = registry.arch_start(arch)
    if start is not None:
        return start(source, shapes, config, new_head=new_head)
    return fit(
        source.tensors,
        config,
        source.layout,
        source.kind_of(arch),
        stored_kind=source.kind,
        labels=labels,
        new_head=new_head,
        place=str(source.place),
    )


def tell(found: Fit, new: Sequence[str], place: str) -> None:
    """Logs what was drawn anew, and what was left."""
    if new:
        logger.warning("Some weights were not in %s and are newly initialized: %s", place, new)
    if found.left:
        logger.info("Of %s these weights of another head were left: %s", place, found.left)


def _wanted(source: Source, head: str | None) -> Kind:
    if head == ENCODER:
        if "Model" not in source.layout.heads:
            raise UserError(f"{source.place}: a network of {source.family} has no encoder that stands alone")
        return "Model"
    if head is not None:
        return registry.task_arch(source.family, head).removeprefix(source.brand)
    return source.stored_kind()


def _stored_labels(found: Fit) -> int | None:
    bias = found.tensors.get("classifier.bias")
    return None if bias is None else bias.shape[0]
