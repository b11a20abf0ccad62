"""The paper's network against the same in plain numpy and float64, outputs and gradients.

Sources of the reference: section 3 of arXiv:2107.02137, Transformer-XL's scores (arXiv:1901.02860, section 3.3), and
the memory of a layer's own outputs (arXiv:2012.15688). Here every pair of tokens has its own encoding of the distance,
without a shift, and a document is read segment by segment through all layers, each memory carried along.
"""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import paddle
import pytest

from model_zoo.ernie3.universal.config import VARIANTS, UniversalConfig
from model_zoo.ernie3.universal.modeling import ErnieUniversalForPretraining

State = dict[str, np.ndarray]
SEGMENT, MEMORY, STEP = 4, 3, 1e-5
CONFIG = UniversalConfig(
    **VARIANTS["tiny"]
    | {"vocab_size": 40, "hidden_size": 12, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 20}
    | {"branch_hidden_size": 8, "branch_num_layers": 2, "branch_num_heads": 2, "branch_intermediate_size": 14}
    | {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "task_type_vocab_size": 3}
    | {"memory_length": MEMORY}
)


class Reference:
    """The network of ``weights``.

    Attributes:
        memories: what each layer remembered at each segment, in the order of use; where it is given, these are taken
            instead, as derivatives that stop at the memory have it.
    """

    def __init__(self, weights: State, memories: list[np.ndarray] | None = None) -> None:
        self.weights, self.memories, self.given = weights, [], memories

    def nlu(self, inputs: State) -> State:
        x = self.embed(inputs["input_ids"], inputs["token_type_ids"], inputs["task_type_ids"])
        hidden = (inputs["input_ids"] == CONFIG.pad_token_id)[:, None, None, :]
        x = self.layers(x, "trunk", hidden, CONFIG.num_attention_heads)
        x = self.layers(self.bridge(x, "nlu"), "nlu", hidden, CONFIG.branch_num_heads)
        return {
            "tokens": self.vocabulary(x.reshape(-1, x.shape[-1])[inputs["masked_positions"]], "nlu_head"),
            "reordering": self.linear(x[:, 0], "reordering"),
            "distance": self.linear(x[:, 0], "distance"),
        }

    def nlg(self, ids: np.ndarray) -> State:
        remembered: dict[str, np.ndarray] = {}
        outputs = []
        for start in range(0, ids.shape[1], SEGMENT):
            part = ids[:, start : start + SEGMENT]
            x = self.layers(self.embed(part), "trunk", None, CONFIG.num_attention_heads, remembered)
            x = self.layers(self.bridge(x, "nlg"), "nlg", None, CONFIG.branch_num_heads, remembered)
            outputs.append(self.vocabulary(x, "nlg_head"))
        return {"document": np.concatenate(outputs, axis=1)}

    def embed(self, ids: np.ndarray, types: np.ndarray | int = 0, tasks: np.ndarray | int = 0) -> np.ndarray:
        rows = {"word_embeddings": ids, "token_type_embeddings": types, "task_type_embeddings": tasks}
        x = sum(self.weights[f"embeddings.{name}.weight"][index] for name, index in rows.items())
        return self.norm(x, "embeddings.layer_norm")

    def bridge(self, x: np.ndarray, module: str) -> np.ndarray:
        return self.norm(self.linear(x, f"{module}.bridge.linear"), f"{module}.bridge.norm")

    def vocabulary(self, x: np.ndarray, name: str) -> np.ndarray:
        x = self.norm(gelu(self.linear(x, f"{name}.transform")), f"{name}.layer_norm")
        return x @ self.weights["embeddings.word_embeddings.weight"].T + self.weights[f"{name}.decoder.bias"]

    def layers(
        self, x: np.ndarray, stack: str, hidden: np.ndarray | None, heads: int, remembered: State | None = None
    ) -> np.ndarray:
        names = sorted({".".join(name.split(".")[:3]) for name in self.weights if name.startswith(f"{stack}.layers.")})
        for name in names:
            memory = None if remembered is None else remembered.get(name)
            if memory is not None:
                self.memories.append(memory)
                if self.given is not None:
                    memory = self.given[len(self.memories) - 1]
            y = self.layer(x, memory, hidden, heads, name)
            if remembered is not None:
                past = y if memory is None else np.concatenate([memory, y], axis=1)
                remembered[name] = past[:, -MEMORY:]
            x = y
        return x

    def layer(
        self, x: np.ndarray, memory: np.ndarray | None, hidden: np.ndarray | None, heads: int, name: str
    ) -> np.ndarray:
        batch, queries, width = x.shape
        size, attention = width // heads, f"{name}.self_attn"
        seen = x if memory is None else np.concatenate([memory, x], axis=1)
        keys = seen.shape[1]
        distance = np.arange(keys - queries, keys)[:, None] - np.arange(keys)
        q = self.linear(x, f"{attention}.q_proj").reshape(batch, queries, heads, size)
        kv = self.linear(seen, f"{attention}.kv_proj").reshape(batch, keys, heads, 2, size)
        r = (encoding(distance, width) @ self.weights[f"{attention}.r_proj.weight"]).reshape(-1, keys, heads, size)
        u, w = (self.weights[f"{attention}.{kind}_bias.weight"] for kind in ("content", "position"))
        scores = np.einsum("bqhd,bkhd->bhqk", q + u, kv[..., 0, :]) + np.einsum("bqhd,qkhd->bhqk", q + w, r)
        forbidden = distance < 0 if hidden is None else hidden
        scores = np.where(forbidden, -np.inf, scores / math.sqrt(size))
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        weights /= weights.sum(-1, keepdims=True)
        context = np.einsum("bhqk,bkhd->bqhd", weights, kv[..., 1, :]).reshape(batch, queries, width)
        x = self.norm(x + self.linear(context, f"{attention}.out_proj"), f"{name}.norm1")
        inner = gelu(self.linear(x, f"{name}.feed_forward.linear1"))
        return self.norm(x + self.linear(inner, f"{name}.feed_forward.linear2"), f"{name}.norm2")

    def linear(self, x: np.ndarray, name: str) -> np.ndarray:
        return x @ self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"]

    def norm(self, x: np.ndarray, name: str) -> np.ndarray:
        centred = x - x.mean(-1, keepdims=True)
        deviation = np.sqrt((centred**2).mean(-1, keepdims=True) + CONFIG.layer_norm_eps)
        return centred / deviation * self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"]


def encoding(distance: np.ndarray, width: int) -> np.ndarray:
    angles = distance[..., None] / 10000 ** (np.arange(0, width, 2) / width)
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=-1)


def gelu(x: np.ndarray) -> np.ndarray:
    return x * (1 + np.vectorize(math.erf)(x / math.sqrt(2))) / 2


def inputs_of(branch: str, rng: np.random.Generator) -> State:
    ids = rng.integers(1, CONFIG.vocab_size, (3, 10))
    if branch == "nlg":
        return {"document_ids": ids, "segment_length": np.array(SEGMENT)}
    ids[1, 6:] = CONFIG.pad_token_id
    types = {"token_type_ids": rng.integers(0, 4, ids.shape), "task_type_ids": rng.integers(0, 3, ids.shape)}
    return {"input_ids": ids, **types, "masked_positions": np.array([2, 5, 14, 29])}


def reference(branch: str, network: Reference, inputs: State) -> State:
    return network.nlu(inputs) if branch == "nlu" else network.nlg(inputs["document_ids"])


@pytest.mark.parametrize("branch", ["nlu", "nlg"])
def test_outputs_and_gradients(branch: str, parity: SimpleNamespace) -> None:
    rng = np.random.default_rng(5)
    model = ErnieUniversalForPretraining(CONFIG)
    for name, parameter in model.named_parameters():
        drawn = rng.normal(scale=0.4, size=parameter.shape) + ("norm" in name and name.endswith("weight"))
        parameter.set_value(drawn.astype(np.float32))
    weights = {name: parameter.numpy().astype(np.float64) for name, parameter in model.named_parameters()}
    inputs = inputs_of(branch, rng)
    base = Reference(weights)
    outputs = reference(branch, base, inputs)
    factors = {name: rng.random(output.shape) for name, output in outputs.items()}

    def step() -> tuple[State, State]:
        found = model(**{name: paddle.to_tensor(array) for name, array in inputs.items()})
        squares = [(found[k] ** 2 * paddle.to_tensor(f).astype(found[k].dtype)).sum() for k, f in factors.items()]
        paddle.add_n(squares).backward()
        gradients = {name: p.grad.numpy() for name, p in model.named_parameters() if p.grad is not None}
        model.clear_gradients()
        return {name: output.numpy() for name, output in found.items()}, gradients

    def loss(changed: State) -> float:
        found = reference(branch, Reference(weights | changed, base.memories), inputs)
        return float(sum((found[name] ** 2 * factor).sum() for name, factor in factors.items()))

    single, _ = step()
    parity.assert_close(single, outputs)
    with parity.float64(model):
        double, gradients = step()
    parity.assert_close(double, outputs, 1e-10)

    other = "nlg" if branch == "nlu" else "nlu"
    alone = ("reordering", "distance") if branch == "nlg" else ()
    assert set(weights) - set(gradients) == {n for n in weights if n.startswith((other, *alone))}
    # One derivative for each parameter, in a random direction that all of its numbers take part in.
    measured, found = {}, {}
    for name, gradient in gradients.items():
        direction = rng.choice([-1.0, 1.0], gradient.shape)
        ahead, behind = (loss({name: weights[name] + s * STEP * direction}) for s in (1, -1))
        measured[name] = np.array((ahead - behind) / (2 * STEP))
        found[name] = (gradient * direction).sum()
    scale = max(abs(value) for value in measured.values())
    far = {n: (v, found[n]) for n, v in measured.items() if abs(v - found[n]) > 1e-5 * max(abs(v), 1e-3 * scale)}
    assert not far
