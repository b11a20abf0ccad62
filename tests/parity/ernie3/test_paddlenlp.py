"""Our models against PaddleNLP's, live: outputs, loss and every gradient, with weights carried over both ways."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import paddle
import pytest

from model_zoo.ernie3.config import ErnieConfig
from model_zoo.ernie3.convert import LAYOUTS

paddlenlp = pytest.importorskip("paddlenlp.transformers")

ARCHITECTURES = {
    "ErnieModel": 0,
    "ErnieForSequenceClassification": 5,
    "ErnieForTokenClassification": 7,
    "ErnieForQuestionAnswering": 2,
    "ErnieForMultipleChoice": 1,
    "ErnieForMaskedLM": 0,
}
VARIANTS = list(itertools.product([5, 0], [1e-12, 1e-5], ["gelu", "relu"]))
SIZES = {
    "vocab_size": 97,
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 56,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
    "max_position_embeddings": 20,
    "type_vocab_size": 4,
    "initializer_range": 0.02,
    "pad_token_id": 0,
}
Forward = Callable[..., dict[str, paddle.Tensor]]


def theirs(architecture: str, config: ErnieConfig, rng: np.random.Generator) -> paddle.nn.Layer:
    """PaddleNLP's model with random weights."""
    fields = config.model_dump() | {"task_type_vocab_size": max(config.task_type_vocab_size, 1)}
    model = getattr(paddlenlp, architecture)(
        paddlenlp.ErnieConfig(
            **fields,
            use_task_id=bool(config.task_type_vocab_size),
            num_labels=max(ARCHITECTURES[architecture], 1),
            num_choices=3,
        )
    )
    for name, parameter in model.named_parameters():
        # Larger weights make the gradients so ill-conditioned that float32 misses 1e-5 in PaddleNLP, too.
        scale = 0.1 if "_embeddings" in name else 0.15
        norm = "norm" in name and name.endswith("weight")
        parameter.set_value(rng.normal(scale=scale, size=parameter.shape).astype(np.float32) + float(norm))
    # PaddleNLP leaves this row out by padding_idx, but holds whatever is loaded into it.
    table = model.get_input_embeddings().weight
    table.set_value(table * (paddle.arange(config.vocab_size) != 0).astype("float32").unsqueeze(1))
    for layer in model.sublayers():
        if isinstance(layer, paddle.nn.LayerNorm):
            # PaddleNLP's initialisation sets 1e-12 whatever the config says.
            layer._epsilon = config.layer_norm_eps
    return model


def their_forward(model: paddle.nn.Layer, architecture: str) -> Forward:
    """PaddleNLP's forward by the names of our outputs; the heads by hand, since their forwards take no task types."""

    def forward(**inputs: paddle.Tensor) -> dict[str, paddle.Tensor]:
        shape = inputs["input_ids"].shape
        encoder = model if architecture == "ErnieModel" else model.ernie
        sequence, pooled = encoder(**{name: ids.reshape([-1, shape[-1]]) for name, ids in inputs.items()})
        if architecture == "ErnieModel":
            return {"sequence": sequence, "pooled": pooled}
        if architecture == "ErnieForMaskedLM":
            return {"logits": model.cls(sequence)}
        if architecture in ("ErnieForTokenClassification", "ErnieForQuestionAnswering"):
            return {"logits": model.classifier(sequence)}
        logits = model.classifier(model.dropout(pooled))
        return {"logits": logits.reshape(shape[:2]) if architecture == "ErnieForMultipleChoice" else logits}

    def public_forward(**inputs: paddle.Tensor) -> dict[str, paddle.Tensor]:
        result = model(**inputs)
        if architecture == "ErnieModel":
            return {"sequence": result[0], "pooled": result[1]}
        if architecture == "ErnieForQuestionAnswering":
            return {"logits": paddle.stack(result, axis=-1)}
        return {"logits": result}

    return forward if model.config.use_task_id else public_forward


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda v: "-".join(map(str, v)))
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_training_step(architecture: str, variant: tuple[int, float, str], parity: SimpleNamespace) -> None:
    tasks, epsilon, activation = variant
    config = ErnieConfig(**SIZES, task_type_vocab_size=tasks, layer_norm_eps=epsilon, hidden_act=activation)
    rng = np.random.default_rng([list(ARCHITECTURES).index(architecture), VARIANTS.index(variant)])
    reference_model = theirs(architecture, config, rng)
    reference_state = {name: tensor.numpy() for name, tensor in reference_model.state_dict().items()}
    model = parity.build(architecture, config, parity.read(reference_state, config, LAYOUTS["paddlenlp"], architecture))

    back = parity.write(
        {name: tensor.numpy() for name, tensor in model.state_dict().items()},
        config,
        LAYOUTS["paddlenlp"],
        architecture,
    )
    assert back.keys() == reference_state.keys()
    assert all(np.array_equal(back[name], array) for name, array in reference_state.items())

    inputs = parity.random_inputs(architecture, config, rng)
    labels = parity.random_labels(architecture, config, inputs["input_ids"], rng)

    def forward(**inputs: paddle.Tensor) -> dict[str, paddle.Tensor]:
        return parity.named_outputs(architecture, model(**inputs))

    ours = parity.step(model, forward, inputs, labels)
    with parity.float64(reference_model):
        reference = parity.step(reference_model, their_forward(reference_model, architecture), inputs, labels)
    parity.assert_close(ours.outputs, reference.outputs)
    parity.assert_close({"loss": ours.loss}, {"loss": reference.loss})
    gradients = parity.write(ours.gradients, config, LAYOUTS["paddlenlp"], architecture)
    parity.assert_close(parity.without_padding_row(gradients, architecture), reference.gradients)
