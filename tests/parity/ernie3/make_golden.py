"""Writes ``golden/*.npz``: Hugging Face's ERNIE classes on random weights, for ``test_huggingface.py``.

Run it where torch 2.13 and transformers 5.23 are installed: ``python tests/parity/ernie3/make_golden.py``.
The encoder's weights are the same in every case and lie in ``encoder.npz``; without task types, its task table is
left out. Outputs and gradients are computed in float64, so that they carry no rounding of their own.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from torch.nn import functional as F

GOLDEN = Path(__file__).parent / "golden"
SIZES = {
    "vocab_size": 61,
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 36,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
    "max_position_embeddings": 16,
    "type_vocab_size": 3,
    "initializer_range": 0.02,
    "pad_token_id": 0,
}
TASKS = 5
BATCH, CHOICES, LENGTH = 4, 3, 11
# architecture -> (task types, epsilon, activation) twice, so that together they cover every combination.
CASES = {
    "ErnieModel": [(True, 1e-12, "gelu"), (False, 1e-5, "relu")],
    "ErnieDualEncoder": [(False, 1e-12, "gelu"), (True, 1e-5, "relu")],
    "ErnieForSequenceClassification": [(False, 1e-12, "relu"), (True, 1e-5, "gelu")],
    "ErnieForTokenClassification": [(True, 1e-12, "relu"), (False, 1e-5, "gelu")],
    "ErnieForQuestionAnswering": [(True, 1e-12, "gelu"), (False, 1e-5, "relu")],
    "ErnieForMultipleChoice": [(False, 1e-12, "gelu"), (True, 1e-5, "relu")],
    "ErnieForMaskedLM": [(True, 1e-12, "gelu"), (False, 1e-5, "relu")],
}
LABELS = {"ErnieForSequenceClassification": 5, "ErnieForTokenClassification": 7}

Arrays = dict[str, np.ndarray]


def random_ids(rng: np.random.Generator, *leading: int) -> np.ndarray:
    """Ids in rows of different lengths, the first as long as the array, padded with 0."""
    ids = rng.integers(1, SIZES["vocab_size"], (*leading, LENGTH))
    lengths = rng.integers(4, LENGTH, leading)
    lengths.flat[0] = LENGTH
    return np.where(np.arange(LENGTH) < lengths[..., None], ids, 0)


def random_inputs(rng: np.random.Generator, architecture: str, tasks: bool) -> Arrays:
    """Inputs by the names of our forward."""
    leading = (BATCH, CHOICES) if architecture == "ErnieForMultipleChoice" else (BATCH,)
    ids = random_ids(rng, *leading)
    if architecture == "ErnieDualEncoder":
        return {"input_ids": ids, "pair_input_ids": random_ids(rng, *leading)}
    inputs = {"input_ids": ids, "token_type_ids": rng.integers(0, SIZES["type_vocab_size"], ids.shape)}
    return inputs | ({"task_type_ids": rng.integers(0, TASKS, ids.shape)} if tasks else {})


def random_labels(rng: np.random.Generator, architecture: str, ids: np.ndarray) -> Arrays:
    """Labels of the head's own loss, or the factors of the squared outputs whose sum is the loss."""
    match architecture:
        case "ErnieModel":
            # Nothing for padding: torch gives the padding token's embedding no gradient.
            sequence = rng.random((*ids.shape, SIZES["hidden_size"])) * (ids != 0)[..., None]
            return {
                "sequence": sequence.astype(np.float32),
                "pooled": rng.random((BATCH, SIZES["hidden_size"])).astype(np.float32),
            }
        case "ErnieDualEncoder":
            return {"cosine": rng.random(BATCH).astype(np.float32)}
        case "ErnieForSequenceClassification":
            return {"labels": rng.integers(0, LABELS[architecture], BATCH)}
        case "ErnieForTokenClassification":
            return {"labels": np.where(ids == 0, -100, rng.integers(0, LABELS[architecture], ids.shape))}
        case "ErnieForQuestionAnswering":
            return {"start": rng.integers(0, 4, BATCH), "end": rng.integers(0, 4, BATCH)}
        case "ErnieForMultipleChoice":
            return {"labels": rng.integers(0, CHOICES, BATCH)}
        case "ErnieForMaskedLM":
            masked = (ids != 0) & (rng.random(ids.shape) < 0.3)
            return {"labels": np.where(masked, rng.integers(0, SIZES["vocab_size"], ids.shape), -100)}
    raise AssertionError(architecture)


def outputs_and_loss(
    model: torch.nn.Module,
    architecture: str,
    inputs: dict[str, torch.Tensor],
    labels: dict[str, torch.Tensor],
) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """Runs Hugging Face's forward with its own loss where it has one."""

    def mask(ids: torch.Tensor) -> torch.Tensor:
        return (ids != 0).long()

    if architecture == "ErnieDualEncoder":
        vectors = [
            model(ids, attention_mask=mask(ids)).pooler_output
            for ids in (inputs["input_ids"], inputs["pair_input_ids"])
        ]
        cosine = F.cosine_similarity(*vectors)
        return {"cosine": cosine}, (cosine**2 * labels["cosine"]).sum()
    if architecture == "ErnieForMultipleChoice" and "task_type_ids" in inputs:
        # Hugging Face's class flattens [batch, choices] of every input but this one.
        inputs = inputs | {"task_type_ids": inputs["task_type_ids"].flatten(0, 1)}
    names = {"start": "start_positions", "end": "end_positions"}
    given = {} if architecture == "ErnieModel" else {names.get(k, k): v for k, v in labels.items()}
    result = model(**inputs, attention_mask=mask(inputs["input_ids"]), **given)
    if architecture == "ErnieModel":
        sequence, pooled = result.last_hidden_state, result.pooler_output
        loss = (sequence**2 * labels["sequence"]).sum() + (pooled**2 * labels["pooled"]).sum()
        return {"sequence": sequence, "pooled": pooled}, loss
    if architecture == "ErnieForQuestionAnswering":
        return {"logits": torch.stack([result.start_logits, result.end_logits], -1)}, result.loss
    return {"logits": result.logits}, result.loss


def build(architecture: str, index: int, fields: dict[str, Any], tasks: bool) -> torch.nn.Module:
    """A model with weights far from degenerate: outputs of the order of 1, small variances where epsilon matters."""
    config = transformers.ErnieConfig(
        **fields,
        use_task_id=tasks,
        task_type_vocab_size=TASKS,
        num_labels=LABELS.get(architecture, 2),
        attn_implementation="eager",
    )
    name = "ErnieModel" if architecture == "ErnieDualEncoder" else architecture
    model = getattr(transformers, name)(config).train()
    rng = np.random.default_rng(index)
    for name, parameter in model.named_parameters():
        scale = 0.1 if "embeddings" in name and parameter.ndim == 2 else 0.2
        values = rng.normal(scale=scale, size=parameter.shape) + float(name.endswith("LayerNorm.weight"))
        parameter.data = torch.from_numpy(values.astype(np.float32)).double()
    return model


def weights(module: torch.nn.Module) -> Arrays:
    return {name: tensor.numpy().astype(np.float32) for name, tensor in module.state_dict().items()}


def make(architecture: str, index: int, tasks: bool, epsilon: float, activation: str, encoder: Arrays) -> Arrays:
    """Everything a test needs of one case, by ``group:name``."""
    fields = SIZES | {"layer_norm_eps": epsilon, "hidden_act": activation}
    model = build(architecture, index, fields, tasks)
    bare = model.base_model
    bare.load_state_dict({name: torch.from_numpy(encoder[name]) for name in bare.state_dict()})

    rng = np.random.default_rng([list(CASES).index(architecture), index])
    inputs = random_inputs(rng, architecture, tasks)
    labels = random_labels(rng, architecture, inputs["input_ids"])
    outputs, loss = outputs_and_loss(
        model,
        architecture,
        {name: torch.from_numpy(array) for name, array in inputs.items()},
        {name: torch.from_numpy(array) for name, array in labels.items()},
    )
    loss.backward()
    groups = {
        "input": inputs,
        "label": labels,
        "output": {name: output.detach().numpy() for name, output in outputs.items()},
        "gradient": {name: p.grad.numpy() for name, p in model.named_parameters() if p.grad is not None},
        "head": {name: array for name, array in weights(model).items() if bare is not model and "ernie." not in name},
    }
    arrays = {
        f"{group}:{name}": array.astype(np.float32) if array.dtype == np.float64 else array
        for group, members in groups.items()
        for name, array in members.items()
    }
    ours = fields | {"task_type_vocab_size": TASKS if tasks else 0}
    return arrays | {
        "config": np.array(json.dumps(ours)),
        "names": np.array(sorted(model.state_dict())),
        "loss": np.array(loss.item()),
    }


def main() -> None:
    encoder = weights(build("ErnieModel", len(CASES), SIZES, tasks=True))
    np.savez_compressed(GOLDEN / "encoder.npz", **encoder)
    for architecture, variants in CASES.items():
        for index, variant in enumerate(variants):
            arrays = make(architecture, index, *variant, encoder)
            np.savez_compressed(GOLDEN / f"{architecture}_{index}.npz", **arrays)


if __name__ == "__main__":
    main()
