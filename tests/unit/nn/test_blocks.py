"""The encoder in training steps with the kernels and without, in evaluation, and as a static graph."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import paddle
import pytest

from ppernie.nn import Encoder, EncoderEmbeddings, kernels, padding_mask

IDS = np.array([[5, 3, 9, 2, 7, 1], [4, 4, 8, 0, 0, 0]])


class Tiny(paddle.nn.Layer):
    def __init__(self, dropout: float, epsilon: float = 1e-12) -> None:
        super().__init__()
        self.embeddings = EncoderEmbeddings(12, 16, 2, 3, 24, dropout, epsilon)
        self.encoder = Encoder(
            2,
            hidden_size=24,
            num_heads=4,
            intermediate_size=40,
            activation="gelu",
            dropout=dropout,
            attention_dropout=dropout,
            epsilon=epsilon,
        )

    def forward(self, ids: paddle.Tensor) -> paddle.Tensor:
        return self.encoder(self.embeddings(ids), padding_mask(ids, 0))


def gradients(model: Tiny) -> dict[str, np.ndarray]:
    model.clear_gradients()
    output = model(paddle.to_tensor(IDS))
    (output * paddle.linspace(-1, 1, output.size).reshape(output.shape)).sum().backward()
    return {name: parameter.grad.numpy().copy() for name, parameter in model.named_parameters()}


@pytest.mark.skipif(kernels.library() is None, reason="the kernels are not compiled")
@pytest.mark.parametrize("epsilon", [1e-12, 1e-5])
def test_gradients_of_all_parameters_equal_those_of_plain_operations(
    epsilon: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    paddle.seed(1)
    model = Tiny(dropout=0.0, epsilon=epsilon)
    ours = gradients(model)
    monkeypatch.setattr(kernels, "library", lambda: None)
    plain = gradients(model)
    # The gradient of a key's bias is 0 but for rounding, so the scale is the model's and not the parameter's.
    scale = max(np.abs(g).max() for g in plain.values())
    for name, expected in plain.items():
        np.testing.assert_allclose(
            ours[name], expected, rtol=0, atol=1e-5 * max(np.abs(expected).max(), 1e-2 * scale), err_msg=name
        )


def test_training_repeats_from_a_seed() -> None:
    paddle.seed(1)
    model = Tiny(dropout=0.3)
    runs = []
    for seed in (7, 7, 8):
        paddle.seed(seed)
        runs.append(gradients(model))
    assert all(np.array_equal(runs[0][name], runs[1][name]) for name in runs[0])
    assert not np.array_equal(runs[0]["encoder.layers.0.norm1.weight"], runs[2]["encoder.layers.0.norm1.weight"])


def test_default_segments_and_tasks_are_zero() -> None:
    paddle.seed(1)
    embeddings = Tiny(dropout=0.0).embeddings
    ids, zeros = paddle.to_tensor(IDS), paddle.zeros(IDS.shape, "int64")
    positions = paddle.arange(IDS.shape[1]).expand(IDS.shape)
    np.testing.assert_allclose(embeddings(ids).numpy(), embeddings(ids, zeros, positions, zeros).numpy(), atol=1e-5)


def test_evaluation_and_static_graph_agree_with_training_without_dropout(tmp_path: Path) -> None:
    paddle.seed(1)
    model = Tiny(dropout=0.0)
    ids = paddle.to_tensor(IDS)
    training = model(ids).numpy()
    model.eval()
    with paddle.no_grad():
        np.testing.assert_allclose(model(ids).numpy(), training, atol=2e-6)
    spec = [paddle.static.InputSpec([None, None], "int64", "input_ids")]
    paddle.jit.save(model, str(tmp_path / "model"), input_spec=spec)
    loaded = paddle.jit.load(str(tmp_path / "model"))
    np.testing.assert_allclose(loaded(ids).numpy(), training, atol=2e-6)


def test_recompute_repeats_the_masks() -> None:
    from paddle.distributed.fleet.utils import recompute

    paddle.seed(1)
    layer = Tiny(dropout=0.3).encoder.layers[0]
    x, upstream = paddle.randn([2, 6, 24]), paddle.randn([2, 6, 24])
    x.stop_gradient = False
    results = []
    for run in (layer, lambda x: recompute(layer, x)):
        layer.clear_gradients()
        x.clear_grad()
        paddle.seed(4)
        (run(x) * upstream).sum().backward()
        results.append((x.grad.numpy().copy(), layer.norm1.weight.grad.numpy().copy()))
    for direct, recomputed in zip(*results, strict=True):
        assert np.abs(direct).max() > 0.1
        np.testing.assert_allclose(recomputed, direct, rtol=1e-4, atol=1e-5)
