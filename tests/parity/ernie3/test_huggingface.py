"""Our models against Hugging Face's: outputs, loss and every gradient.

The goldens come from ``make_golden.py``; the oracles are dumps of larger models.
"""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import paddle
import pytest
from safetensors.numpy import load_file

from model_zoo.ernie3.config import ErnieConfig
from model_zoo.ernie3.convert import LAYOUTS

GOLDEN = Path(__file__).parent / "golden"
CASES = sorted(path.stem for path in GOLDEN.glob("Ernie*.npz"))


class Golden:
    """One case: its config, and the arrays of each group by name."""

    def __init__(self, case: str) -> None:
        self.architecture = case.partition("_")[0]
        self.arrays = dict(np.load(GOLDEN / f"{case}.npz"))
        self.config = ErnieConfig(**json.loads(str(self.arrays["config"])))
        encoder = np.load(GOLDEN / "encoder.npz")
        prefix = "ernie." if self.group("head") else ""
        names = set(self.arrays["names"])
        shared = {prefix + name: encoder[name] for name in encoder.files if prefix + name in names}
        self.weights = shared | self.group("head")

    def group(self, group: str) -> dict[str, np.ndarray]:
        return {name.partition(":")[2]: array for name, array in self.arrays.items() if name.startswith(f"{group}:")}


@pytest.fixture(params=CASES)
def golden(request: pytest.FixtureRequest) -> Golden:
    return Golden(request.param)


def test_goldens_cover_every_combination() -> None:
    goldens = [Golden(case) for case in CASES]
    switches = {(bool(g.config.task_type_vocab_size), g.config.layer_norm_eps, g.config.hidden_act) for g in goldens}
    assert len({g.architecture for g in goldens}) == 7
    assert switches == set(itertools.product([True, False], [1e-12, 1e-5], ["gelu", "relu"]))


def test_training_step(golden: Golden, parity: SimpleNamespace) -> None:
    architecture, config = golden.architecture, golden.config
    model = parity.build(
        architecture, config, parity.read(golden.weights, config, LAYOUTS["huggingface"], architecture)
    )

    def forward(**inputs: paddle.Tensor) -> dict[str, paddle.Tensor]:
        return parity.named_outputs(architecture, model(**inputs))

    ours = parity.step(model, forward, golden.group("input"), golden.group("label"))
    parity.assert_close(ours.outputs, golden.group("output"))
    parity.assert_close({"loss": ours.loss}, {"loss": golden.arrays["loss"]})
    gradients = parity.write(ours.gradients, config, LAYOUTS["huggingface"], architecture)
    parity.assert_close(parity.without_padding_row(gradients, architecture), golden.group("gradient"))


def test_evaluation(golden: Golden, parity: SimpleNamespace) -> None:
    architecture, config = golden.architecture, golden.config
    # Dropout must do nothing here, however probable.
    dropping = config.model_copy(update={"hidden_dropout_prob": 0.5, "attention_probs_dropout_prob": 0.5})
    model = parity.build(
        architecture, dropping, parity.read(golden.weights, config, LAYOUTS["huggingface"], architecture)
    )
    model.eval()
    with paddle.no_grad():
        result = model(**{name: paddle.to_tensor(array) for name, array in golden.group("input").items()})
    outputs = {name: output.numpy() for name, output in parity.named_outputs(architecture, result).items()}
    parity.assert_close(outputs, golden.group("output"))


@pytest.mark.parametrize("case", [case for case in CASES if case.startswith("ErnieForMaskedLM")])
def test_masked_positions_alone_are_enough(case: str, parity: SimpleNamespace) -> None:
    golden = Golden(case)
    architecture, config = golden.architecture, golden.config
    model = parity.build(
        architecture, config, parity.read(golden.weights, config, LAYOUTS["huggingface"], architecture)
    )
    labels = golden.group("label")["labels"].ravel()
    masked = np.flatnonzero(labels != -100)

    def forward(**inputs: paddle.Tensor) -> dict[str, paddle.Tensor]:
        return {"logits": model(**inputs, masked_positions=paddle.to_tensor(masked))}

    ours = parity.step(model, forward, golden.group("input"), {"labels": labels[masked]})
    reference = golden.group("output")["logits"].reshape(-1, config.vocab_size)[masked]
    parity.assert_close(ours.outputs, {"logits": reference})
    parity.assert_close({"loss": ours.loss}, {"loss": golden.arrays["loss"]})
    parity.assert_close(
        parity.write(ours.gradients, config, LAYOUTS["huggingface"], architecture), golden.group("gradient")
    )


@pytest.mark.parametrize(
    ("folder", "architecture"),
    [("ernie_mlm", "ErnieForMaskedLM"), ("ernie_cls", "ErnieForSequenceClassification")],
)
def test_oracle(folder: str, architecture: str, shared_oracles: Path, parity: SimpleNamespace) -> None:
    root = shared_oracles / folder
    fields = json.loads((root / "config.json").read_text())
    config = ErnieConfig(**{name: value for name, value in fields.items() if name in ErnieConfig.model_fields})
    weights = parity.read(load_file(root / "model.safetensors"), config, LAYOUTS["huggingface"], architecture)
    model = parity.build(architecture, config, weights)
    io = np.load(root / "io.npz")
    inputs = {"input_ids": io["ids"], "token_type_ids": io["tt"], "task_type_ids": io["task"]}
    assert np.array_equal(io["mask"], io["ids"] != config.pad_token_id)

    def forward(**inputs: paddle.Tensor) -> dict[str, paddle.Tensor]:
        return {"logits": model(**inputs)}

    ours = parity.step(model, forward, inputs, {"labels": io["y"]})
    parity.assert_close(ours.outputs, {"logits": io["logits"]})
    parity.assert_close({"loss": ours.loss}, {"loss": io["loss"]})
    # Computed in float32 and up to 1.5e-5 away from the same model's gradients in float64.
    reference = dict(np.load(root / "grads.npz"))
    gradients = parity.write(ours.gradients, config, LAYOUTS["huggingface"], architecture)
    parity.assert_close(gradients, reference, tolerance=3e-5)
