"""What the pretraining tasks share: several objectives over streams of samples from a corpus."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ppernie.errors import UserError
from ppernie.tasks.base import Batch, Example, Item, Task

if TYPE_CHECKING:
    import numpy as np
    import paddle

    from ppernie.data.corpus import Corpus
    from ppernie.data.streams import Stream


class PretrainingTask(Task):
    """Base of the tasks that learn from a corpus and answer nothing.

    A subclass sets ``objectives`` and ``metric_names``; an evaluation has the mean loss of every objective, named as
    that is, and their weighted sum as ``loss``.
    """

    metric_names = ("loss",)

    @abstractmethod
    def streams(self, corpus: Corpus, arch: Any) -> Mapping[str, Stream]:
        """The streams that a step takes batches of. Raises UserError where the corpus lacks what one needs.

        Args:
            arch: configuration of the network that is to learn from them.
        """

    def evaluation_streams(self, corpus: Corpus, arch: Any) -> Mapping[str, Stream]:
        """The streams of an evaluation: those of another corpus, where nothing but the corpus tells samples apart."""
        return self.streams(corpus, arch)

    def start_values(self, corpus: Corpus, arch: Any) -> dict[str, np.ndarray]:
        """What parameters start at in place of drawn values, by name; those of pretrained weights stay."""
        return {}

    @abstractmethod
    def losses(self, outputs: Any, batch: Mapping[str, paddle.Tensor]) -> dict[str, paddle.Tensor]:
        """Sums over the batch's labelled units, of the objectives that the batch has."""

    @abstractmethod
    def weights(self, batch: Batch) -> dict[str, float]:
        """Numbers of labelled units, of the objectives that the batch has."""

    def loss(self, outputs: Any, batch: Mapping[str, paddle.Tensor]) -> paddle.Tensor:
        raise NotImplementedError("a pretraining task has losses")

    def expand(self, example: Example, labelled: bool) -> list[Item]:
        raise UserError("a pretraining task reads a corpus; name one as Data.train.corpus")

    def score(self, items: Sequence[Item], results: Sequence[Any]) -> dict[str, float]:
        return {}

    def answer(self, items: Sequence[Item], results: Sequence[Any]) -> dict[str, Any]:
        raise UserError("a pretraining network answers nothing; fine-tune it for a task, and predict with that")
