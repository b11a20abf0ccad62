"""Tasks whose networks write texts step by step: what a session, and an export, need of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    import paddle

    from ppernie.decoding.generate import Reader
    from ppernie.inference.deploy import Field
    from ppernie.inference.steps import StepsPredictor
    from ppernie.tasks.base import Batch


class Step(NamedTuple):
    """A kind of step as a network of its own.

    Attributes:
        layer: the network.
        inputs: arguments of its ``forward``, in order.
        outputs: names of the dimensions of each output.
    """

    layer: paddle.nn.Layer
    inputs: Sequence[Field]
    outputs: Sequence[tuple[str, ...]]


class Steps(NamedTuple):
    """All kinds of steps by name, and the sizes of the dimensions that have always the same."""

    kinds: Mapping[str, Step]
    sizes: Mapping[str, int]


@runtime_checkable
class StepwiseTask(Protocol):
    """A generative task that tells its network's steps apart."""

    def reader(self, network: Any) -> Reader:
        """The network, or its export, as the decoding takes it."""

    def write(self, reader: Reader, batch: Batch) -> np.ndarray:
        """``Task.run`` with a reader."""

    def stream(self, reader: Reader, text: str) -> Iterator[str]:
        """What is written for a text, as it comes. Raises UserError where the text is none that can be answered."""

    def steps(self, network: Any) -> Steps:
        """The steps to be exported."""

    def exported(self, predictor: StepsPredictor, arch: Any) -> Any:
        """What takes the network's place, made of its export and its configuration."""
