"""One training step of our models, and the comparison of its numbers with a reference's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import paddle
import pytest
from paddle.nn import functional as F

from model_zoo.ernie3 import modeling
from model_zoo.ernie3.config import ErnieConfig

State = dict[str, np.ndarray]
TOLERANCE = 1e-5
ZERO = 1e-6
LABELS = {"ErnieForSequenceClassification": 5, "ErnieForTokenClassification": 7}


@dataclass
class Step:
    """Outputs, loss and gradients by parameter name; parameters that the loss does not reach are absent."""

    outputs: State
    loss: np.ndarray
    gradients: State


def build(architecture: str, config: ErnieConfig, state: Mapping[str, np.ndarray]) -> paddle.nn.Layer:
    """Our model with the weights of ``state``, which may lack the pooler."""
    model = getattr(modeling, architecture)(config, *([LABELS[architecture]] if architecture in LABELS else []))
    missing, unexpected = model.set_state_dict(dict(state))
    assert not unexpected
    assert all(".pooler." in name for name in missing)
    return model


def named_outputs(architecture: str, result: object) -> dict[str, paddle.Tensor]:
    """The result of a forward by the names that ``loss_of`` uses."""
    if architecture == "ErnieModel":
        return dict(zip(("sequence", "pooled"), result, strict=True))
    return {"cosine" if architecture == "ErnieDualEncoder" else "logits": result}


def loss_of(outputs: Mapping[str, paddle.Tensor], labels: Mapping[str, np.ndarray]) -> paddle.Tensor:
    """Cross-entropy for integer labels, -100 ignored; the weighted sum of the squared outputs for others."""
    targets = {name: paddle.to_tensor(array) for name, array in labels.items()}
    if "start" in targets:
        start, end = (F.cross_entropy(outputs["logits"][..., i], targets[k]) for i, k in enumerate(targets))
        return (start + end) / 2
    if "labels" in targets:
        kept = paddle.nonzero(targets["labels"].flatten() != -100).flatten()
        logits = outputs["logits"].reshape([-1, outputs["logits"].shape[-1]])
        return F.cross_entropy(logits.gather(kept), targets["labels"].flatten().gather(kept))
    # Squares, since a sum of both signs may nearly cancel and so have no relative precision.
    factors = {name: target.astype(outputs[name].dtype) for name, target in targets.items()}
    return paddle.add_n([(outputs[name] ** 2 * factor).sum() for name, factor in factors.items()])


def step(
    model: paddle.nn.Layer,
    forward: Callable[..., dict[str, paddle.Tensor]],
    inputs: Mapping[str, np.ndarray],
    labels: Mapping[str, np.ndarray],
) -> Step:
    """Runs ``forward`` in training mode and differentiates its loss."""
    model.train()
    outputs = forward(**{name: paddle.to_tensor(array) for name, array in inputs.items()})
    loss = loss_of(outputs, labels)
    loss.backward()
    gradients = {name: p.grad.numpy() for name, p in model.named_parameters() if p.grad is not None}
    return Step({name: output.numpy() for name, output in outputs.items()}, loss.numpy(), gradients)


def difference(ours: np.ndarray, reference: np.ndarray) -> float:
    """Largest absolute difference over the reference's largest magnitude."""
    assert ours.shape == reference.shape
    return float(np.abs(ours - reference).max() / np.abs(reference).max())


def assert_close(
    ours: Mapping[str, np.ndarray], reference: Mapping[str, np.ndarray], tolerance: float = TOLERANCE
) -> None:
    """Every array of ``reference`` within ``tolerance``.

    Some biases have no gradient: a key's shifts all scores of a query alike, and so do the last biases before a
    softmax over positions or choices. What rounding leaves there is held against the largest array.
    """
    scale = max(np.abs(array).max() for array in reference.values())
    far = {}
    for name, array in reference.items():
        if name.endswith(".bias") and np.abs(array).max() < ZERO * scale:
            assert np.abs(ours[name]).max() < ZERO * scale, name
        elif not (found := difference(ours[name], array)) < tolerance:
            far[name] = found
    assert not far, far


def without_padding_row(gradients: State, architecture: str) -> State:
    """Foreign gradients, with the padding token's embedding as the other libraries treat it: never trained.

    Here only a loss over positions reaches it, that of question answering: elsewhere padding is masked, or its
    labels are. A masked language model trains the row as part of the decoder, in every library.
    """
    if architecture != "ErnieForQuestionAnswering":
        return gradients
    name = "ernie.embeddings.word_embeddings.weight"
    table = gradients[name].copy()
    table[0] = 0
    return gradients | {name: table}


@pytest.fixture
def parity() -> SimpleNamespace:
    """The functions of this file, for the tests beside it."""
    return SimpleNamespace(
        build=build,
        named_outputs=named_outputs,
        step=step,
        assert_close=assert_close,
        without_padding_row=without_padding_row,
    )
