from __future__ import annotations

from typing import Any

import pytest

from ppernie.architectures import EncoderConfig
from ppernie.errors import UserError
from ppernie.slim.distillation.layers import layer_pairs
from ppernie.slim.distillation.links import link
from ppernie.slim.distillation.settings import Distillation


def config(arch: dict[str, Any], **changes: Any) -> EncoderConfig:
    return EncoderConfig(**(arch | changes))


def test_layer_maps() -> None:
    assert layer_pairs("uniform", 4, 12, "k") == ((1, 3), (2, 6), (3, 9), (4, 12))
    assert layer_pairs("uniform", 4, 6, "k") == ((1, 1), (2, 3), (3, 4), (4, 6))
    assert layer_pairs("last", 4, 12, "k") == ((4, 12),)
    assert layer_pairs([1, 1, 12], 3, 12, "k") == ((1, 1), (2, 1), (3, 12))
    for wrong in ([1, 2], [1, 2, 13]):
        with pytest.raises(UserError, match="k: .* must name one of the teacher's 12 layers for each of 3"):
            layer_pairs(wrong, 3, 12, "k")
    with pytest.raises(UserError, match="deeper than its teacher"):
        layer_pairs("uniform", 12, 4, "k")


def test_heads_and_widths_must_fit(arch: dict[str, Any]) -> None:
    student, teacher = config(arch), config(arch, hidden_size=24, num_attention_heads=3)
    with pytest.raises(UserError, match="has 2 heads and its teacher 3; take relation"):
        link(Distillation(teacher="t", attention={}), student, teacher)
    with pytest.raises(UserError, match="16 does not divide the widths 16 and 24; take a divisor of 8"):
        link(Distillation(teacher="t", relation={"heads": 16}), student, teacher)
    assert link(Distillation(teacher="t", relation={"heads": 8}), student, teacher).relation == ((2, 2),)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"teacher": "t"}, "nothing is learnt"),
        ({"hidden": {}}, "neither a teacher nor students"),
        ({"students": {"a": {"learns_from": "teacher"}}, "soft": {}}, "learns from the teacher, and none is named"),
        ({"students": {"a": {}}, "soft": {}}, "only its own task"),
        ({"students": {"own": {}}, "soft": {}, "hard": {}}, "choose another name"),
    ],
)
def test_sections_that_make_no_sense(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Distillation(**values)
