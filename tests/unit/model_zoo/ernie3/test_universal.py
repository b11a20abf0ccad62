"""ERNIE 3.0's own network: its two branches, its classes, sizes and plan."""

from __future__ import annotations

import fnmatch
import math
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import pytest
from pydantic import ValidationError

from model_zoo.ernie3.universal import modeling
from model_zoo.ernie3.universal.config import VARIANTS, UniversalConfig, parameter_count
from model_zoo.ernie3.universal.plan import PLAN
from ppernie import registry
from ppernie.config.sections import OptimizerSection
from ppernie.errors import UserError
from ppernie.export import Contents, Field, export_model
from ppernie.inference.predictor import Predictor
from ppernie.optim.adamw import AdamW
from ppernie.parallel.recompute import recompute_regions

SEGMENT, MEMORY = 5, 3
SMALL: dict[str, Any] = VARIANTS["tiny"] | {
    "vocab_size": 50,
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 6,
    "intermediate_size": 40,
    "initializer_range": 0.2,
    "max_position_embeddings": SEGMENT,
    "memory_length": MEMORY,
    "branch_hidden_size": 16,
    "branch_num_heads": 2,
    "branch_intermediate_size": 32,
    "task_type_vocab_size": 3,
}
HEADS = {
    "ForPretraining": {},
    "ForSequenceClassification": {"num_labels": 5},
    "ForTokenClassification": {"num_labels": 5},
    "ForQuestionAnswering": {},
    "ForGeneration": {},
}
NAMES = [f"ErnieUniversal{head}" for head in HEADS]


def build(head: str, **fields: Any) -> Any:
    paddle.seed(0)
    model = getattr(modeling, f"ErnieUniversal{head}")(UniversalConfig(**SMALL | fields), **HEADS[head])
    model.reset_parameters()
    model.eval()
    return model


def lazy(head: str, fields: dict[str, Any]) -> tuple[Any, UniversalConfig]:
    config = UniversalConfig(**fields)
    with paddle.LazyGuard():
        return getattr(modeling, f"ErnieUniversal{head}")(config, **HEADS[head]), config


def ids(*shape: int, seed: int = 0) -> paddle.Tensor:
    return paddle.to_tensor(np.random.default_rng(seed).integers(1, SMALL["vocab_size"], shape))


def trained(model: paddle.nn.Layer) -> set[str]:
    """The parts of a network that got a gradient."""
    return {name.split(".")[0] for name, parameter in model.named_parameters() if parameter.grad is not None}


def close(ours: paddle.Tensor, reference: paddle.Tensor, tolerance: float = 1e-5) -> None:
    np.testing.assert_allclose(ours.numpy(), reference.numpy(), rtol=0, atol=tolerance)


def test_either_branch_runs_and_trains_its_own_part() -> None:
    model = build("ForPretraining")
    model.train()
    outputs = model(ids(4, 7), token_type_ids=paddle.ones([4, 7], "int64"), masked_positions=paddle.to_tensor([3, 9]))
    assert {name: list(x.shape) for name, x in outputs.items()} == {
        "tokens": [2, 50],
        "reordering": [4, 9],
        "distance": [4, 3],
    }
    paddle.add_n([(x**2).sum() for x in outputs.values()]).backward()
    assert trained(model) == {"embeddings", "trunk", "nlu", "nlu_head", "reordering", "distance"}
    model.clear_gradients(set_to_zero=False)
    outputs = model(document_ids=ids(4, 12))
    assert {name: list(x.shape) for name, x in outputs.items()} == {"document": [4, 12, 50]}
    (outputs["document"] ** 2).sum().backward()
    assert trained(model) == {"embeddings", "trunk", "nlg", "nlg_head"}


def test_only_the_asked_positions_are_projected() -> None:
    model = build("ForPretraining")
    positions = paddle.to_tensor([0, 8, 13])
    for name, argument, asked in (
        ("tokens", "input_ids", "masked_positions"),
        ("document", "document_ids", "predicted_positions"),
    ):
        every = model(**{argument: ids(2, 7)})[name]
        close(model(**{argument: ids(2, 7), asked: positions})[name], every.reshape([14, 50]).gather(positions))


def test_padding_changes_nothing() -> None:
    model = build("ForPretraining")
    padded = paddle.concat([ids(4, 7), paddle.zeros([4, 6], "int64")], axis=1)
    plain, wide = model(ids(4, 7)), model(padded)
    close(wide["tokens"][:, :7], plain["tokens"])
    close(wide["reordering"], plain["reordering"])
    close(wide["distance"], plain["distance"])
    close(model(document_ids=padded)["document"][:, :7], model(document_ids=ids(4, 7))["document"])


def changed_by(model: Any, name: str, argument: str, position: int) -> list[bool]:
    """Which positions' logits a change of one token reaches."""
    before = ids(1, 14)
    after = before.clone()
    after[0, position] = before[0, position] % 49 + 1
    difference = model(**{argument: after})[name] - model(**{argument: before})[name]
    return (difference.abs().sum([0, 2]) > 1e-6).tolist()


def test_who_sees_whom() -> None:
    model = build("ForPretraining")
    for position in (0, 4, 5, 13):
        assert changed_by(model, "tokens", "input_ids", position) == [True] * 14
        expected = [False] * position + [True] * (14 - position)
        assert changed_by(model, "document", "document_ids", position) == expected
    forgetful = build("ForPretraining", memory_length=0)
    assert changed_by(forgetful, "document", "document_ids", 6) == [False] * 6 + [True] * 4 + [False] * 4


def test_a_document_leaves_no_trace() -> None:
    """The memory ends with the call: neither the NLU branch nor another document sees it."""
    model = build("ForPretraining")
    text, document = model(ids(2, 9)), model(document_ids=ids(2, 9, seed=1))["document"]
    model(document_ids=ids(2, 14, seed=2))
    for name, output in model(ids(2, 9)).items():
        np.testing.assert_array_equal(output.numpy(), text[name].numpy())
    np.testing.assert_array_equal(model(document_ids=ids(2, 9, seed=1))["document"].numpy(), document.numpy())
    both = model(document_ids=paddle.concat([ids(2, 9, seed=1), ids(1, 9, seed=3)]))["document"]
    close(both[:2], document)


def test_the_length_of_the_segments_is_the_callers() -> None:
    model = build("ForPretraining")
    longer = build("ForPretraining", max_position_embeddings=7)
    for length in (7, paddle.to_tensor(7)):
        close(
            model(document_ids=ids(2, 14), segment_length=length)["document"],
            longer(document_ids=ids(2, 14))["document"],
        )


@pytest.mark.parametrize("head", [head for head in HEADS if head != "ForPretraining"])
def test_the_other_classes_take_their_weights_by_name(head: str) -> None:
    source, model = build("ForPretraining"), build(head)
    weights = source.state_dict()
    own = set(model.state_dict())
    generates = head == "ForGeneration"
    assert own - set(weights) == (set() if generates else {"classifier.weight", "classifier.bias"})
    for parameter in source.parameters():
        parameter.set_value(paddle.normal(0.0, 0.2, parameter.shape))
    model.set_state_dict({name: value for name, value in weights.items() if name in own})
    if generates:
        close(model(ids(2, 12)), source(document_ids=ids(2, 12))["document"])
    else:
        x = source.understood(source.nlu, ids(2, 12), None, None)
        close(model(ids(2, 12)), model.classifier(x[:, 0] if head == "ForSequenceClassification" else x))


@pytest.mark.parametrize(
    ("head", "outputs"),
    [("ForSequenceClassification", [5]), ("ForTokenClassification", [7, 5]), ("ForQuestionAnswering", [7, 2])],
)
def test_what_the_heads_say_of_texts(head: str, outputs: list[int]) -> None:
    model = build(head)
    padded = paddle.concat([ids(4, 7), paddle.zeros([4, 6], "int64")], axis=1)
    types = paddle.concat([paddle.zeros([4, 3], "int64"), paddle.ones([4, 10], "int64")], axis=1)
    plain, wide = model(ids(4, 7), types[:, :7]), model(padded, types)
    assert plain.shape == [4, *outputs]
    close(wide[:, :7] if len(outputs) == 2 else wide, plain)
    assert float((model(ids(4, 7)) - plain).abs().max()) > 1e-3


@pytest.mark.parametrize("head", [head for head in HEADS if head != "ForPretraining"])
def test_a_frozen_trunk_stays(head: str) -> None:
    model = build(head, freeze_trunk=True)
    model.train()
    (model(ids(2, 12)) ** 2).sum().backward()
    rest = {"nlg", "nlg_head"} if head == "ForGeneration" else {"nlu", "classifier"}
    assert trained(model) == rest
    assert {name.split(".")[0] for name, p in model.named_parameters() if not p.stop_gradient} == rest


@pytest.mark.parametrize("head", HEADS)
def test_layer_decay_goes_down_through_module_and_trunk(head: str) -> None:
    model = build(head, branch_num_layers=2)
    optimizer = AdamW(model, OptimizerSection(learning_rate=1.0, layer_decay=0.5))
    rates = {name: p.optimize_attr["learning_rate"] for name, p in optimizer.parameters.items()}
    parts = {"embeddings.": 5, "trunk.layers.0.": 4, "trunk.layers.1.": 3}
    for module in ("nlu.", "nlg."):
        parts |= {f"{module}bridge.": 2, f"{module}layers.0.": 2, f"{module}layers.1.": 1}
    for name, rate in rates.items():
        assert rate == 0.5 ** next((power for part, power in parts.items() if name.startswith(part)), 0), name


@pytest.mark.parametrize("memory_length", [0, MEMORY, 20])
def test_reading_step_by_step_is_reading_at_once(memory_length: int) -> None:
    model = build("ForGeneration", memory_length=memory_length)
    document = ids(3, 18)
    whole = model(document)
    reading, read = model.start(), 0
    for count in (1, 2, 4, 1, 10):  # within a segment, over a boundary, up to one, and over two
        logits, reading = model.step(document[:, read : read + count], reading)
        read += count
        close(logits, whole[:, read - 1])


def test_a_reading_can_be_gone_on_from_twice() -> None:
    model = build("ForGeneration")
    _, reading = model.step(ids(1, 4), model.start())
    first, _ = model.step(ids(1, 3, seed=1), reading)
    model.step(ids(1, 3, seed=2), reading)
    close(model.step(ids(1, 3, seed=1), reading)[0], first, 0)


@pytest.mark.parametrize("head", HEADS)
def test_the_plan_names_every_weight(head: str) -> None:
    model, config = lazy(head, SMALL)
    cuts = PLAN.cuts(model, config, 2)
    shapes = {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}
    assert {name: cut.shape for name, cut in cuts.items()} == shapes
    whole = [name for name, cut in cuts.items() if cut.axis is None]
    allowed = ("*norm*", "*bridge*", "nl?.*.self_attn.*", "*.bias", "*_type_embeddings.*", "*.transform.weight")
    allowed += ("classifier.*", "reordering.*", "distance.*")
    assert all(any(fnmatch.fnmatchcase(name, pattern) for pattern in allowed) for name in whole)
    blocks = [name for name, _ in model.named_sublayers() if any(fnmatch.fnmatchcase(name, p) for p in PLAN.blocks)]
    assert blocks == ["trunk.layers.0", "trunk.layers.1"]


def test_every_optional_rule_serves_some_network() -> None:
    layers = [name for head in HEADS for name, _ in lazy(head, SMALL)[0].named_sublayers()]
    for rule in PLAN.optional:
        assert any(PLAN.rule(name, True) == rule for name in layers), rule


def test_a_head_is_not_cut_in_two() -> None:
    with pytest.raises(UserError, match="q_proj.*do not divide by Distributed.mp = 4"):
        PLAN.cuts(*lazy("ForPretraining", SMALL | {"vocab_size": 52}), 4)


@pytest.mark.parametrize("mode", ["full", "selective"])
def test_recomputation_finds_the_same_gradients(mode: str) -> None:
    gradients = []
    for recomputed in (False, True):
        model = build("ForPretraining", hidden_dropout_prob=0.3, attention_probs_dropout_prob=0.3)
        if recomputed:
            recompute_regions(model, PLAN, mode)
        model.train()
        paddle.seed(1)
        (model(document_ids=ids(2, 12))["document"] ** 2).sum().backward()
        gradients.append({name: p.grad for name, p in model.named_parameters() if p.grad is not None})
    assert gradients[0].keys() == gradients[1].keys()
    for name, gradient in gradients[0].items():
        close(gradients[1][name], gradient, 1e-5 * max(1.0, float(gradient.abs().max())))


@pytest.mark.parametrize("fields", [{}, {"task_type_vocab_size": 0}, {"max_reordered": 4, "branch_num_layers": 3}])
def test_the_count_of_the_parameters(fields: dict[str, Any]) -> None:
    model = build("ForPretraining", **fields)
    assert sum(parameter.size for parameter in model.parameters()) == parameter_count(model.config)
    assert model.reordering.weight.shape[1] == sum(math.factorial(n + 1) for n in range(model.config.max_reordered))


@pytest.mark.parametrize(
    ("name", "trunk", "parameters"),
    [
        ("tiny", 4 * (13 * 256**2 + 15 * 256), 14_739_340),
        ("base", 12 * (13 * 768**2 + 15 * 768), 139_528_076),
        ("1.5B", 48 * (13 * 1536**2 + 15 * 1536), 1_723_879_052),
        ("10B", 48 * (13 * 4096**2 + 15 * 4096), 10_832_799_372),
    ],
)
def test_the_sizes(name: str, trunk: int, parameters: int) -> None:
    model, config = lazy("ForPretraining", VARIANTS[name])
    sizes = {name: math.prod(parameter.shape) for name, parameter in model.named_parameters()}
    assert sum(sizes.values()) == parameter_count(config) == parameters
    assert sum(size for key, size in sizes.items() if key.startswith("trunk.")) == trunk
    degree = math.gcd(8, config.num_attention_heads)
    PLAN.cuts(model, config, degree)


def test_the_registry_knows_the_network() -> None:
    for name in NAMES:
        assert f"ernie3/{name}" in registry.arch_names()
        assert registry.arch_class(f"ernie3/{name}") is getattr(modeling, name)
        assert registry.arch_config(f"ernie3/{name}") is UniversalConfig
        assert registry.arch_plan(f"ernie3/{name}") is PLAN
        assert registry.arch_variants(f"ernie3/{name}") == VARIANTS
    assert registry.arch_tasks("ernie3/ErnieUniversalForSequenceClassification")[0] == "sequence_classification"
    assert registry.arch_tasks("ernie3/ErnieUniversalForTokenClassification") == ("token_classification",)
    assert registry.arch_tasks("ernie3/ErnieUniversalForQuestionAnswering") == ("span_extraction",)
    assert registry.arch_plan("ernie3/ErnieForMaskedLM") is registry.family_plan("ernie3") is not PLAN
    assert registry.task_arch("ernie3", "sequence_classification") == "ErnieForSequenceClassification"
    with pytest.raises(UserError, match="did you mean 'ernie3/ErnieUniversalForGeneration'"):
        registry.arch_class("ernie3/ErnieUniversalForGenerating")


def test_an_export_answers_at_every_length(tmp_path: Path) -> None:
    model = build("ForSequenceClassification", max_position_embeddings=120)
    fields = [Field("input_ids", "int64", ("batch", "length"), 0, 50)]
    samples = [{"input_ids": ids(*shape).numpy()} for shape in ((1, 1), (3, 9), (2, 110))]
    export_model(model, Contents(fields, [("batch", "classes")], 120, samples), tmp_path / "export", 1e-4)
    predictor = Predictor(tmp_path / "export", device="cpu")
    for shape in ((1, 2), (5, 100)):
        padded = ids(*shape).numpy()
        padded[0, 1:] = 0
        (output,) = predictor.run({"input_ids": padded})
        np.testing.assert_allclose(output, model(paddle.to_tensor(padded)).numpy(), atol=1e-4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"branch_num_heads": 3}, "branch_hidden_size 16 is not a multiple of branch_num_heads 3"),
        ({"num_attention_heads": 5}, "hidden_size 24 is not a multiple of num_attention_heads 5"),
        ({"hidden_size": 21, "num_attention_heads": 3}, "hidden_size 21 is odd"),
        ({"memory_length": -1}, "memory_length"),
        ({"max_reordered": 9}, "max_reordered"),
        ({"memory": 3}, "memory"),
    ],
)
def test_bad_configs(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        UniversalConfig(**SMALL | changes)


@pytest.mark.parametrize("field", [name for name in SMALL if name != "classifier_dropout"])
def test_every_field_is_explicit(field: str) -> None:
    with pytest.raises(ValidationError, match=field):
        UniversalConfig(**{name: value for name, value in SMALL.items() if name != field})
