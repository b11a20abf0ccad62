from __future__ import annotations

import numpy as np
import paddle

from ppernie.nn.masks import MASKED, interval_mask


def picture(start: list[int], context: list[int], own: list[int]) -> list[str]:
    """One row of the batch, x where a query (down) sees a key (across)."""
    mask = interval_mask(paddle.to_tensor([[start, context, own]])).numpy()
    assert mask.shape == (1, 1, len(start), len(start))
    assert set(np.unique(mask)) <= {0.0, MASKED}
    return ["".join("x" if value == 0 else "." for value in row) for row in mask[0, 0]]


def test_a_source_and_what_is_written_after_it() -> None:
    assert picture([0] * 5, [3] * 5, [0] * 5) == ["xxx..", "xxx..", "xxx..", "xxxx.", "xxxxx"]


def test_no_source() -> None:
    assert picture([0] * 3, [0] * 3, [0] * 3) == ["x..", "xx.", "xxx"]


def test_samples_in_one_window() -> None:
    start, context = [0, 0, 0, 3, 3], [2, 2, 2, 4, 4]
    assert picture(start, context, start) == ["xx...", "xx...", "xxx..", "...x.", "...xx"]


def test_choices_behind_one_prompt() -> None:
    assert picture([0] * 6, [2] * 6, [0, 0, 2, 2, 4, 4]) == ["xx....", "xx....", "xxx...", "xxxx..", "xx..x.", "xx..xx"]


def test_padding_on_the_left() -> None:
    assert picture([2] * 5, [4] * 5, [2] * 5) == ["..xx.", "..xx.", "..xx.", "..xx.", "..xxx"]


def test_rows_of_a_batch_differ() -> None:
    visible = paddle.to_tensor([[[0, 0], [2, 2], [0, 0]], [[0, 0], [0, 0], [0, 0]]])
    mask = interval_mask(visible).numpy()
    assert (mask[:, 0, 0] == [[0, 0], [0, MASKED]]).all()
