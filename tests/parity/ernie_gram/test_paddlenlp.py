"""Our models without relative positions against PaddleNLP's, live: outputs, loss and every gradient."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import paddle
import pytest

from model_zoo.ernie_gram import modeling
from model_zoo.ernie_gram.config import ErnieGramConfig
from model_zoo.ernie_gram.convert import LAYOUTS

paddlenlp = pytest.importorskip("paddlenlp.transformers")

ARCHITECTURES = [
    "ErnieGramModel",
    "ErnieGramForSequenceClassification",
    "ErnieGramForTokenClassification",
    "ErnieGramForQuestionAnswering",
]
CONFIG = ErnieGramConfig(
    vocab_size=97,
    hidden_size=32,
    num_hidden_layers=3,
    num_attention_heads=4,
    intermediate_size=56,
    hidden_act="gelu",
    hidden_dropout_prob=0.0,
    attention_probs_dropout_prob=0.0,
    max_position_embeddings=20,
    type_vocab_size=2,
    initializer_range=0.02,
    layer_norm_eps=1e-5,
    pad_token_id=0,
    rel_pos_size=0,
)
LAYOUT = LAYOUTS["paddlenlp"]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_training_step(architecture: str, parity: SimpleNamespace) -> None:
    rng = np.random.default_rng(ARCHITECTURES.index(architecture))
    fields = CONFIG.model_dump(exclude={"rel_pos_size", "task_type_vocab_size", "layer_norm_eps"})
    their_config = paddlenlp.ErnieGramConfig(
        **fields, embedding_size=CONFIG.hidden_size, num_labels=parity.classes(architecture) or 2
    )
    reference_model = getattr(paddlenlp, architecture)(their_config)
    parity.randomize(reference_model, rng)
    state = {name: tensor.numpy() for name, tensor in reference_model.state_dict().items()}
    weights = parity.read(state, CONFIG, LAYOUT, architecture)
    model = parity.build(getattr(modeling, architecture), CONFIG, weights)
    inputs = parity.random_inputs(architecture, CONFIG, rng)
    labels = parity.random_labels(architecture, CONFIG, inputs["input_ids"], rng)

    def forward(**inputs: paddle.Tensor) -> dict[str, paddle.Tensor]:
        return parity.named_outputs(architecture, model(**inputs))

    def their_forward(**inputs: paddle.Tensor) -> dict[str, paddle.Tensor]:
        result = reference_model(**inputs)
        if architecture == "ErnieGramForQuestionAnswering":
            result = paddle.stack(result, axis=-1)
        return parity.named_outputs(architecture, result)

    ours = parity.step(model, forward, inputs, labels)
    with parity.float64(reference_model):
        reference = parity.step(reference_model, their_forward, inputs, labels)
    parity.assert_close(ours.outputs, reference.outputs)
    parity.assert_close({"loss": ours.loss}, {"loss": reference.loss})
    gradients = parity.write(ours.gradients, CONFIG, LAYOUT, architecture)
    parity.assert_close(parity.without_padding_row(gradients, architecture), reference.gradients)
