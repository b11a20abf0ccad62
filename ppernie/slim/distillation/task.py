"""A task whose training follows a teacher: its own objectives, where they are asked for, and those of a distiller."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ppernie.slim.distillation.augmentation import Augmented

if TYPE_CHECKING:
    import paddle

    from ppernie.slim.distillation.distiller import Distiller
    from ppernie.tasks.base import Batch, Features, Item, Task


class DistilledTask:
    """Stands for a task while it trains; evaluation and answers are the task's.

    Attributes:
        objectives: ``hard``, or the names of a task that has several, and the distiller's.
    """

    def __init__(self, task: Task, distiller: Distiller) -> None:
        self._task, self._distiller = task, distiller
        hard = distiller.section.hard
        self._hard = {name: "hard" if name == "loss" else name for name in task.objectives} if hard else {}
        own = {new: hard.weight * task.objectives[name] for name, new in self._hard.items()} if hard else {}
        self.objectives: Mapping[str, float] = own | distiller.objectives
        # A teacher with a tokenizer of its own reads the same examples.
        teacher = distiller.teacher
        self._teacher_task = (
            type(task)(task.options, teacher.tokenizer, task.max_length) if teacher and teacher.tokenizer else None
        )

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._task, name)

    def encode(self, item: Item, key: tuple[int, ...]) -> Features:
        """Ids and labels; of an item to learn from the words may be others each time."""
        own = item.draw(key) if isinstance(item, Augmented) else item
        features = self._task.encode(own, key)
        if self._teacher_task is not None:
            features["teacher"] = self._teacher_task.encode(own, key)
        return features

    def collate(self, features: Sequence[Features]) -> Batch:
        """The task's batch and, for a teacher with another tokenizer, its inputs as ``teacher_...``."""
        batch = self._task.collate(features)
        if self._teacher_task is not None:
            theirs = self._teacher_task.collate([f["teacher"] for f in features])
            batch |= {f"teacher_{name}": theirs[name] for name in self._teacher_task.input_names}
        return batch

    def losses(self, outputs: Any, batch: Mapping[str, paddle.Tensor]) -> dict[str, paddle.Tensor]:
        """The sums of a batch's objectives over their units."""
        own = self._task.losses(outputs, batch) if self._hard else {}
        found = {self._hard[name]: value for name, value in own.items()}
        return found | self._distiller.losses(outputs, batch)

    def weights(self, batch: Batch) -> dict[str, float]:
        """The numbers of units of a batch's objectives."""
        own = self._task.weights(batch) if self._hard else {}
        return {self._hard[name]: value for name, value in own.items()} | self._distiller.weights(batch)
