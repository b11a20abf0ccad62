"""PaddleNLP's GLM and ChatGLM on random weights, live: logits, loss and every gradient."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import paddle
import pytest
from paddle.nn import functional as F

from model_zoo.glm.config import GlmConfig
from model_zoo.glm.convert import layout, read_config
from model_zoo.glm.modeling import GlmForBlankInfilling
from ppernie.zoo.layout import fit, write

paddlenlp = pytest.importorskip("paddlenlp.transformers")

BATCH, LENGTH, KIND = 3, 11, "ForBlankInfilling"
SIZES = {"vocab_size": 61, "hidden_size": 32, "num_attention_heads": 4, "max_sequence_length": 24}
GLM = SIZES | {
    "num_layers": 3,
    "attention_dropout_prob": 0.0,
    "embedding_dropout_prob": 0.0,
    "output_dropout_prob": 0.0,
    "output_predict": True,
}
CHATGLM = SIZES | {"num_hidden_layers": 3, "inner_hidden_size": 56}
CASES = {
    "GLMModel": GLM,
    "GLMForConditionalGeneration": GLM,
    "ChatGLMModel": CHATGLM,
    "ChatGLMForCausalLM": CHATGLM,
}


def inputs(padded: bool, whole: bool) -> SimpleNamespace:
    """Prompts that all of their tokens see, padded on the left if asked, and what follows them.

    Args:
        whole: the loss is over all tokens, not over those behind the prompt alone.
    """
    rng = np.random.default_rng(7)
    starts = np.array([0, 2, 3]) if padded else np.zeros(BATCH, np.int64)
    contexts = np.array([4, 7, 5])
    visible = np.stack([starts, contexts, starts], axis=1)[:, :, None].repeat(LENGTH, axis=2)
    places = np.arange(LENGTH)
    is_context = (places >= starts[:, None, None]) & (places < contexts[:, None, None])
    seen = is_context | ((places >= starts[:, None, None]) & (places <= places[:, None]))
    is_behind = places >= contexts[:, None]
    return SimpleNamespace(
        ids=rng.integers(0, SIZES["vocab_size"], (BATCH, LENGTH)),
        positions=rng.integers(0, SIZES["max_sequence_length"], (BATCH, 2, LENGTH)),
        visible=visible,
        seen=seen[:, None].astype(np.int64),
        labels=rng.integers(0, SIZES["vocab_size"], (BATCH, LENGTH)),
        counted=is_behind | whole,
    )


def their_step(model: Any, data: SimpleNamespace) -> tuple[np.ndarray, np.ndarray]:
    """Logits and loss, after its gradients; bare networks return no loss, and ChatGLM's its last layer."""
    ids, positions, seen, labels = map(paddle.to_tensor, (data.ids, data.positions, data.seen, data.labels))
    options: dict[str, Any] = {"position_ids": positions, "attention_mask": seen}
    counted = paddle.to_tensor(data.counted)
    name = type(model).__name__
    if name == "GLMForConditionalGeneration":
        mask = counted.astype("float32")
        loss, logits, _ = model(ids, **options, labels=labels, loss_mask=mask, return_dict=False)
    elif name == "ChatGLMForCausalLM":
        loss, logits, _ = model(ids, **options, labels=labels)
    else:
        logits = model(ids, **options, return_dict=False)[0]
        if name == "ChatGLMModel":
            logits = paddle.matmul(logits, model.transformer.word_embeddings.weight, transpose_y=True)
            logits = logits.transpose([1, 0, 2])
        loss = F.cross_entropy(logits[counted], labels[counted])
    loss.backward()
    return logits.numpy(), loss.numpy()


@pytest.mark.parametrize("name", CASES)
def test_training_step(name: str, parity: SimpleNamespace) -> None:
    theirs = getattr(paddlenlp, name)(getattr(paddlenlp, f"{name.partition('LM')[0]}LMConfig")(**CASES[name]))
    parity.randomize(theirs, np.random.default_rng(0))
    config = GlmConfig(**read_config("paddlenlp", theirs.config.to_dict() | {"architectures": [name]}))
    table = layout("paddlenlp", config)
    state = {key: tensor.numpy() for key, tensor in theirs.state_dict().items()}
    found = fit(state, config, table, KIND)
    assert not found.left
    ours = GlmForBlankInfilling(config)
    missing, unexpected = ours.set_state_dict({key: np.asarray(tensor) for key, tensor in found.tensors.items()})
    assert (missing, unexpected) == ([], [])

    data = inputs(padded=name == "ChatGLMModel", whole=name == "ChatGLMForCausalLM")
    logits, loss = their_step(theirs, data)
    arrays = [paddle.to_tensor(array) for array in (data.ids, data.positions, data.visible)]
    our_logits = ours(*arrays)
    predicted = paddle.to_tensor(np.flatnonzero(data.counted))
    our_loss = F.cross_entropy(ours(*arrays, predicted), paddle.to_tensor(data.labels[data.counted]))
    our_loss.backward()
    parity.assert_close({"logits": our_logits.numpy()}, {"logits": logits})
    parity.assert_close({"loss": our_loss.numpy()}, {"loss": loss})
    gradients = write({key: p.grad.numpy() for key, p in ours.named_parameters()}, config, table, KIND)
    prefix = "" if name.endswith("Model") else table.prefix
    expected = {key: p.grad.numpy() for key, p in theirs.named_parameters() if p.grad is not None}
    assert len(expected) == len(gradients)
    parity.assert_close({key.replace(table.prefix, prefix): array for key, array in gradients.items()}, expected)
