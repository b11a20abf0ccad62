"""Answers of two networks to the same task, side by side: distributions or scores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ppernie.errors import UserError
from ppernie.tasks.base import IGNORED

if TYPE_CHECKING:
    import paddle

    from ppernie.tasks.base import Batch, Task

_TOKENS, _MASKED, _SPANS = (("batch", "length", last) for last in ("classes", "vocabulary", "start_end"))
_TEXTS = (("batch", "classes"), ("batch", "choices"), ("batch",))


def check_answers(name: str, task: Task) -> None:
    """Raises UserError for a task whose answers are not known here."""
    dims = getattr(task, "output_dims", ())
    if dims not in (_TOKENS, _MASKED, _SPANS, *_TEXTS):
        raise UserError(f"Slim.distillation.soft: does not know what {name} answers; leave it out")


def count_answers(task: Task, batch: Batch) -> float:
    """How many distributions or scores a batch's answers are."""
    if task.output_dims == _TOKENS:
        return float((batch["labels"] != IGNORED).sum())
    if task.output_dims == _MASKED:
        return float(len(batch["labels"]))
    return float(len(batch["input_ids"])) * (2 if task.output_dims == _SPANS else 1)


def soft_loss(
    task: Task,
    student: paddle.Tensor,
    teacher: paddle.Tensor,
    batch: Mapping[str, paddle.Tensor],
    temperature: float,
) -> paddle.Tensor:
    """The loss between a student's and a teacher's outputs, summed over ``count_answers`` of them."""
    from ppernie.nn.masks import MASKED
    from ppernie.slim.distillation import losses

    def answers(outputs: paddle.Tensor) -> paddle.Tensor:
        if task.output_dims == _TOKENS:
            return outputs[batch["labels"] != IGNORED]
        if task.output_dims == _SPANS:
            padding = (batch["input_ids"] == task.tokenizer.pad_id).astype(outputs.dtype)
            return (outputs + padding.unsqueeze(-1) * MASKED).transpose([0, 2, 1]).flatten(0, 1)
        return outputs

    pair = answers(student), answers(teacher)
    if student.ndim == 1 or student.shape[-1] == 1:
        return losses.scores(*(outputs.flatten() for outputs in pair))
    return losses.soft_labels(*pair, temperature)
