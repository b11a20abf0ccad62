"""The benchmark of widths: its count of operations, and its table at a tiny size."""

from __future__ import annotations

import re
from typing import Any

import paddle
import pytest
from paddle import nn

from ppernie.bench.infer_side import LABELS
from ppernie.bench.width import multiply_adds
from ppernie.cli.main import main
from ppernie.export.rewrite import inference_form

TINY = ["--layers", "3", "--hidden", "16", "--heads", "4", "--batch", "2", "--length", "8"]


@pytest.mark.parametrize(("heads", "neurons"), [(2, 32), (1, 24)])
def test_operations_are_those_of_what_is_exported(
    make_model: Any, monkeypatch: pytest.MonkeyPatch, heads: int, neurons: int, arch: dict[str, Any]
) -> None:
    """Of a pass of the network in the form that is exported, all its products are counted."""
    for field, value in (("num_attention_heads", heads), ("head_dim", 8), ("intermediate_size", neurons)):
        monkeypatch.setitem(arch, field, value)
    model = make_model("ErnieForSequenceClassification", num_labels=LABELS)
    counted, matmul = [], paddle.matmul

    def product(x: paddle.Tensor, y: paddle.Tensor, **how: Any) -> paddle.Tensor:
        found = matmul(x, y, **how)
        counted.append(int(found.size) * x.shape[-1])
        return found

    with inference_form(model), paddle.no_grad():
        for layer in model.sublayers():
            if isinstance(layer, nn.Linear):
                layer.register_forward_post_hook(
                    lambda layer, inputs, output: counted.append(int(output.size) * layer.weight.shape[0])
                )
        monkeypatch.setattr("ppernie.export.rewrite.paddle.matmul", product)
        model(paddle.ones([3, 7], "int64"))
    # Six projections and two products of attention in each of two layers, the pooler and the head.
    assert len(counted) == 2 * 8 + 2
    assert multiply_adds(model.config, 3, 7) == sum(counted)


def test_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "width", *TINY, "--widths", "0.5", "--rounds", "1", "--threads", "1"]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    header, _, whole, half = ([cell.strip() for cell in line.split("|")[1:-1]] for line in lines)
    cells = dict(zip(header, half, strict=True))
    assert whole[:3] == ["1.0", "4", "64"] and half[:3] == ["0.5", "2", "32"]
    assert whole[header.index("time ratio")] == "1.000" and whole[-1] == "+0.0%"
    share, time = float(cells["ratio"]), float(cells["time ratio"])
    assert 0.5 < share < 0.51  # pooler and head are as large as ever
    # Of numbers with three digits.
    assert float(cells["deviation"].rstrip("%")) == pytest.approx(100 * (time / share - 1), abs=1)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--widths", "1.5"], "bench width: 1.5 is no share"),
        (["--widths", "0.1"], "0.1 of 4 heads or neurons leaves none"),
        (["--heads", "3"], "bench width: .*hidden_size"),
    ],
)
def test_what_cannot_be_measured(options: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "width", *TINY, *options]) == 2
    assert re.search(said, error := capsys.readouterr().err), error
