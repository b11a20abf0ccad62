"""One training step of a network, and the comparison of its numbers with a reference's."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import paddle
import pytest
from paddle.nn import functional as F

from ppernie.architectures import EncoderConfig
from ppernie.zoo.layout import Layout, fit, write

State = dict[str, np.ndarray]
TOLERANCE = 1e-5
ZERO = 1e-6
# Classes of the heads that take a number of them, by the end of their names.
LABELS = {"ForSequenceClassification": 5, "ForTokenClassification": 7}


@dataclass
class Step:
    """Outputs, loss and gradients by parameter name; parameters that the loss does not reach are absent."""

    outputs: State
    loss: np.ndarray
    gradients: State


def classes(architecture: str) -> int:
    """Number of classes of a head, or 0 where it takes none."""
    return next((number for end, number in LABELS.items() if architecture.endswith(end)), 0)


def build(network: type, config: EncoderConfig, state: Mapping[str, np.ndarray]) -> paddle.nn.Layer:
    """Our model with the weights of ``state``, which may lack the pooler."""
    number = classes(network.__name__)
    model = network(config, *([number] if number else []))
    missing, unexpected = model.set_state_dict(dict(state))
    assert not unexpected
    assert all(".pooler." in name for name in missing)
    return model


def named_outputs(architecture: str, result: object) -> dict[str, paddle.Tensor]:
    """The result of a forward by the names that ``loss_of`` uses."""
    if architecture.endswith("Model"):
        return dict(zip(("sequence", "pooled"), result, strict=True))
    return {"cosine" if architecture.endswith("DualEncoder") else "logits": result}


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


@contextlib.contextmanager
def float64(model: paddle.nn.Layer) -> Iterator[None]:
    """Turns ``model`` into float64, so that the reference has no rounding of its own."""
    model.to(dtype="float64")
    paddle.set_default_dtype("float64")
    try:
        yield
    finally:
        paddle.set_default_dtype("float32")


def random_inputs(architecture: str, config: EncoderConfig, rng: np.random.Generator) -> State:
    """Ids, segments and, where the model has them, tasks of four inputs of 4 to 15 tokens, padded on the right."""
    leading = (4, 3) if architecture.endswith("ForMultipleChoice") else (4,)
    lengths = rng.integers(4, 15, leading)
    lengths.flat[0] = 15
    shape = (*leading, 15)
    ids = np.where(np.arange(15) < lengths[..., None], rng.integers(1, config.vocab_size, shape), 0)
    inputs = {"input_ids": ids, "token_type_ids": rng.integers(0, config.type_vocab_size, shape)}
    if config.task_type_vocab_size:
        inputs["task_type_ids"] = rng.integers(0, config.task_type_vocab_size, shape)
    return inputs


def random_labels(architecture: str, config: EncoderConfig, ids: np.ndarray, rng: np.random.Generator) -> State:
    """Labels for ``loss_of``."""
    if architecture.endswith("Model"):
        # Nothing for padding: PaddleNLP gives the padding token's embedding no gradient.
        sequence = rng.random((*ids.shape, config.hidden_size)) * (ids != 0)[..., None]
        pooled = rng.random((len(ids), config.hidden_size))
        return {"sequence": sequence.astype(np.float32), "pooled": pooled.astype(np.float32)}
    if architecture.endswith("ForQuestionAnswering"):
        return {"start": rng.integers(0, 4, len(ids)), "end": rng.integers(0, 4, len(ids))}
    if architecture.endswith("ForMultipleChoice"):
        return {"labels": rng.integers(0, ids.shape[1], len(ids))}
    if architecture.endswith("ForSequenceClassification"):
        return {"labels": rng.integers(0, classes(architecture), len(ids))}
    kept = (ids != 0) & (rng.random(ids.shape) < (0.3 if architecture.endswith("ForMaskedLM") else 1))
    return {"labels": np.where(kept, rng.integers(0, classes(architecture) or config.vocab_size, ids.shape), -100)}


def randomize(model: paddle.nn.Layer, rng: np.random.Generator) -> None:
    """Draws weights; the padding token's row is 0, as the other libraries' ``padding_idx`` has it."""
    for name, parameter in model.named_parameters():
        # Larger weights make the gradients so ill-conditioned that float32 misses 1e-5 in PaddleNLP, too.
        scale = 0.1 if "_embeddings" in name else 0.15
        norm = "norm" in name and name.endswith("weight")
        values = rng.normal(scale=scale, size=parameter.shape).astype(np.float32) + np.float32(norm)
        if name.endswith("word_embeddings.weight"):
            values[0] = 0
        parameter.set_value(values)


def read(state: State, config: EncoderConfig, layout: Layout, architecture: str) -> State:
    """A state of a library's class, of which nothing may be left, as the one of ours with the same name."""
    found = fit(state, config, layout, kind_of(architecture))
    assert not found.left
    return {name: np.asarray(tensor) for name, tensor in found.tensors.items()}


def back(state: State, config: EncoderConfig, layout: Layout, architecture: str) -> State:
    """A state of ours as that of a library."""
    return write(state, config, layout, kind_of(architecture))


def kind_of(architecture: str) -> str:
    """ErnieGramForMaskedLM -> ForMaskedLM."""
    return architecture.removeprefix("Ernie").removeprefix("Gram")


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
    """Gradients with the padding token's embedding as the other libraries treat it: never trained.

    Here only a loss over positions reaches it, that of question answering: elsewhere padding is masked, or its
    labels are. A masked language model trains the row as part of the decoder, in every library.
    """
    if not architecture.endswith("ForQuestionAnswering"):
        return gradients
    name = next(name for name in gradients if name.endswith("word_embeddings.weight"))
    table = gradients[name].copy()
    table[0] = 0
    return gradients | {name: table}


@pytest.fixture
def parity() -> SimpleNamespace:
    """The functions of this file, for the tests below it."""
    return SimpleNamespace(
        build=build,
        read=read,
        write=back,
        classes=classes,
        named_outputs=named_outputs,
        step=step,
        float64=float64,
        random_inputs=random_inputs,
        random_labels=random_labels,
        randomize=randomize,
        assert_close=assert_close,
        without_padding_row=without_padding_row,
    )
