"""What networks say of a batch, compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import paddle

from ppernie.slim.distillation import losses
from ppernie.slim.distillation.answers import soft_loss
from ppernie.slim.distillation.links import Link
from ppernie.slim.distillation.settings import Distillation
from ppernie.slim.distillation.taps import States
from ppernie.tasks.base import Task


class Lesson(NamedTuple):
    """What a network says of a batch: states of its layers, and what it returns."""

    states: States
    outputs: Any

    def constant(self) -> Lesson:
        """The same without a way back for gradients."""
        outputs = self.outputs
        return Lesson(self.states.detached(), outputs.detach() if isinstance(outputs, paddle.Tensor) else outputs)


def rows(ids: paddle.Tensor) -> paddle.Tensor:
    """Ids of any shape as [rows, length], the rows in which an encoder sees them."""
    return ids.reshape([-1, ids.shape[-1]])


def compare(
    section: Distillation,
    link: Link,
    task: Task,
    project: Callable[[int, paddle.Tensor], paddle.Tensor],
    student: Lesson,
    teacher: Lesson,
    batch: Mapping[str, paddle.Tensor],
) -> dict[str, paddle.Tensor]:
    """The sums of a batch's losses, of those that the section names.

    Args:
        project: a layer's hidden states, as wide as the teacher's.
    """
    valid = rows(batch["input_ids"]) != task.tokenizer.pad_id
    (own, taught), found = (student.states, teacher.states), dict[str, list[paddle.Tensor]]()
    if section.hidden:
        found["hidden"] = [
            losses.hidden_states(project(layer, own.hidden[layer]), taught.hidden[above], valid)
            for layer, above in link.hidden
        ]
    if section.attention:
        found["attention"] = [
            losses.attention_scores(own.projected[layer], taught.projected[above], valid)
            for layer, above in link.attention
        ]
    if section.relation:
        heads, pairs = link.relation_heads, section.relation.pairs
        found["relation"] = [
            losses.relations(own.projected[layer], taught.projected[above], valid, heads, pairs)
            for layer, above in link.relation
        ]
    if section.sentence:
        found["sentence"] = [
            losses.sentences(own.hidden[layer][:, 0], taught.hidden[above][:, 0]) for layer, above in link.sentence
        ]
    if section.soft:
        found["soft"] = [soft_loss(task, student.outputs, teacher.outputs, batch, section.soft.temperature)]
    return {loss: paddle.add_n(values) for loss, values in found.items()}
