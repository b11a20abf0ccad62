from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import paddle
import pytest

from ppernie.errors import UserError
from ppernie.slim.distillation.answers import check_answers, count_answers, soft_loss

IDS = np.array([[1, 7, 8, 2], [1, 9, 2, 0]])
LABELS = np.array([[-100, 0, 2, -100], [-100, 1, -100, -100]])


@pytest.mark.parametrize(
    ("dims", "shape", "labels", "expected"),
    [
        (("batch", "classes"), (2, 5), np.zeros(2, int), np.log(5)),
        (("batch", "choices"), (2, 7), np.zeros(2, int), np.log(7)),
        (("batch", "length", "classes"), (2, 4, 3), LABELS, np.log(3)),
        # Of masked tokens the network returns those alone.
        (("batch", "length", "vocabulary"), (3, 50), np.zeros(3, int), np.log(50)),
        # A start and an end among 4 and 3 tokens.
        (("batch", "length", "start_end"), (2, 4, 2), np.zeros((2, 2), int), (np.log(4) + np.log(3)) / 2),
    ],
)
def test_undecided_networks_differ_by_what_there_is_to_choose_from(
    dims: tuple[str, ...], shape: tuple[int, ...], labels: np.ndarray, expected: float
) -> None:
    task: Any = SimpleNamespace(output_dims=dims, tokenizer=SimpleNamespace(pad_id=0))
    arrays = {"input_ids": IDS, "labels": labels}
    batch = {name: paddle.to_tensor(array) for name, array in arrays.items()}
    outputs = paddle.zeros(shape)
    mean = float(soft_loss(task, outputs, outputs, batch, 1.0)) / count_answers(task, arrays)
    assert mean == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("dims", [("batch",), ("batch", "classes")])
def test_scores_are_compared_by_their_squares(dims: tuple[str, ...]) -> None:
    task: Any = SimpleNamespace(output_dims=dims, tokenizer=SimpleNamespace(pad_id=0))
    shape = (2,) if dims == ("batch",) else (2, 1)
    student, teacher = paddle.zeros(shape), paddle.full(shape, 3.0)
    assert float(soft_loss(task, student, teacher, {}, 2.0)) == 18.0


def test_other_answers_are_refused(make_task: Callable[..., Any]) -> None:
    with pytest.raises(UserError, match="does not know what text_generation answers"):
        check_answers("text_generation", make_task("text_generation", max_length=128))
