from __future__ import annotations

import numpy as np
import paddle
import pytest

from ppernie.slim.distillation import losses

LENGTHS = [5, 2, 3]


@pytest.fixture
def valid() -> np.ndarray:
    return np.arange(5) < np.array(LENGTHS)[:, None]


def draw(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def tensors(*arrays: np.ndarray) -> list[paddle.Tensor]:
    return [paddle.to_tensor(array) for array in arrays]


def softmax(scores: np.ndarray) -> np.ndarray:
    shifted = np.exp(scores - scores.max(-1, keepdims=True))
    return shifted / shifted.sum(-1, keepdims=True)


def test_hidden_states_are_compared_at_tokens(valid: np.ndarray) -> None:
    student, teacher = draw(3, 5, 4), draw(3, 5, 4, seed=1)
    expected = sum(
        ((student[text, token] - teacher[text, token]) ** 2).mean()
        for text, length in enumerate(LENGTHS)
        for token in range(length)
    )
    assert float(losses.hidden_states(*tensors(student, teacher, valid))) == pytest.approx(expected, rel=1e-5)


def test_scores_are_compared_in_cells_of_two_tokens(valid: np.ndarray) -> None:
    student, teacher = draw(3, 5, 2, 3, 4), draw(3, 5, 2, 3, 6, seed=1)
    expected = 0.0
    for text, length in enumerate(LENGTHS):
        for query in range(length):
            for key in range(length):
                for head in range(2):
                    s, t = (side[text, query, head, 0] @ side[text, key, head, 1] for side in (student, teacher))
                    expected += (s / 2 - t / np.sqrt(6)) ** 2 / 2
    assert float(losses.attention_scores(*tensors(student, teacher, valid))) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("pairs", [["qq", "kk", "vv"], ["qk"]])
def test_relations_are_those_of_recut_heads(valid: np.ndarray, pairs: list[str]) -> None:
    """2 heads of 6 against 3 of 8: as 4 heads of 3 and of 6."""
    student, teacher = draw(3, 5, 2, 3, 6), draw(3, 5, 3, 3, 8, seed=1)

    def relation(side: np.ndarray, text: int, length: int, pair: str) -> np.ndarray:
        first, second = (side[text, :length, :, "qkv".index(part)].reshape(length, 4, -1) for part in pair)
        scores = np.einsum("ihd,jhd->hij", first, second) / np.sqrt(first.shape[-1])
        return softmax(scores)

    expected = 0.0
    for text, length in enumerate(LENGTHS):
        for pair in pairs:
            s, t = (relation(side, text, length, pair) for side in (student, teacher))
            expected += (t * np.log(t / s)).sum() / 4 / len(pairs)
    found = losses.relations(*tensors(student, teacher, valid), heads=4, pairs=pairs)
    assert float(found) == pytest.approx(expected, rel=1e-4)


def test_what_stands_in_padding_changes_nothing(valid: np.ndarray) -> None:
    states, heads = draw(3, 5, 4), draw(3, 5, 2, 3, 4)
    other_states, other_heads = states.copy(), heads.copy()
    other_states[~valid], other_heads[~valid] = 100.0, 100.0
    teacher_states, teacher_heads = draw(3, 5, 4, seed=1), draw(3, 5, 2, 3, 4, seed=1)
    for loss, first, second, teacher in (
        (losses.hidden_states, states, other_states, teacher_states),
        (losses.attention_scores, heads, other_heads, teacher_heads),
        (lambda *three: losses.relations(*three, heads=2, pairs=["qk", "vv"]), heads, other_heads, teacher_heads),
    ):
        found = [float(loss(*tensors(student, teacher, valid))) for student in (first, second)]
        assert found[0] == found[1] > 0


def test_relations_between_texts() -> None:
    student, teacher = draw(4, 6), draw(4, 9, seed=1)
    s, t = (softmax(side @ side.T / np.sqrt(side.shape[1])) for side in (student, teacher))
    expected = (t * np.log(t / s)).sum()
    assert float(losses.sentences(*tensors(student, teacher))) == pytest.approx(expected, rel=1e-4)


def test_soft_labels_at_a_temperature() -> None:
    student, teacher = draw(4, 3), draw(4, 3, seed=1)
    expected = -4 * (softmax(teacher / 2) * np.log(softmax(student / 2))).sum()
    assert float(losses.soft_labels(*tensors(student, teacher), 2.0)) == pytest.approx(expected, rel=1e-5)
