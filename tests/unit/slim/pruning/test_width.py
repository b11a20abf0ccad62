from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import pytest

from model_zoo.glm.config import GlmConfig
from model_zoo.glm.modeling import GlmForBlankInfilling
from model_zoo.glm.plan import PLAN as GLM
from ppernie import registry
from ppernie.config.sections import Config
from ppernie.engine.assemble import assemble
from ppernie.engine.recorder import Recorder
from ppernie.errors import Interrupted, UserError
from ppernie.slim.pruning import width
from ppernie.slim.pruning.groups import groups_of, kept_units, take_units
from ppernie.slim.pruning.importance import importance
from ppernie.slim.pruning.masks import Widths
from ppernie.slim.pruning.model import Model, open_model
from ppernie.slim.pruning.settings import Width
from ppernie.slim.pruning.width import order_units, prune_width
from ppernie.slim.scores import eval_batches
from ppernie.zoo.conversion import convert
from ppernie.zoo.folder import load_model, read_description, read_weights

IDS = [[1, 7, 8, 9, 2], [1, 5, 2, 0, 0]]
UNTRAINED: dict[str, Any] = {"hidden": None, "soft": None}


def answers(network: Any) -> np.ndarray:
    network.eval()
    with paddle.no_grad():
        return network(paddle.to_tensor(IDS)).numpy()


def run_folder(config: Config) -> Path:
    return Path(config.Global.output_dir) / "width"


@pytest.fixture
def config_of(make_config: Callable[..., Config]) -> Callable[..., Config]:
    """The small run, for a model folder."""

    def make(folder: Path, **changes: Any) -> Config:
        description = read_description(folder)
        fields = {f"Arch.{name}": value for name, value in description.arch.items() if name != "variant"}
        labels = {"Task.labels": ["动词", "地名", "成语"]}
        return make_config(**(fields | labels | {"Train.epochs": 1} | changes))

    return make


@pytest.fixture
def small(request: pytest.FixtureRequest, make_folder: Callable[..., Path]) -> Path:
    """A classifier of four heads and ten neurons a layer."""
    name = getattr(request, "param", "ernie3/ErnieForSequenceClassification")
    labels = {"name": "sequence_classification", "labels": ["动词", "地名", "成语"]}
    rates = dict.fromkeys(("hidden_dropout_prob", "attention_probs_dropout_prob"), 0.0)
    return make_folder(name, labels, num_attention_heads=4, intermediate_size=10, **rates)


several_families = pytest.mark.parametrize(
    "small",
    ["ernie3/ErnieForSequenceClassification", "ernie_gram/ErnieGramForSequenceClassification"],
    indirect=True,
    ids=["ernie3", "gram"],
)


@pytest.fixture
def prune(small: Path, config_of: Callable[..., Config]) -> Callable[..., tuple[Path, Config]]:
    def run(*widths: float, **options: Any) -> tuple[Path, Config]:
        changes = {key: options.pop(key) for key in list(options) if "." in key}
        config, target = config_of(small, **changes), small.with_name("pruned")
        prune_width(small, target, Width(widths=list(widths), **options), config)
        return target, config

    return run


@several_families
def test_heads_and_neurons_in_another_order_compute_the_same(small: Path, config_of: Callable[..., Config]) -> None:
    ordered = small.with_name("ordered")
    order_units(small, ordered, config_of(small))
    before, after = load_model(small)[0], load_model(ordered)[0]
    np.testing.assert_allclose(answers(after), answers(before), rtol=1e-5, atol=1e-6)
    name = "backbone.encoder.layers.0.feed_forward.linear1.bias"
    first, second = (dict(network.named_parameters())[name].numpy() for network in (before, after))
    assert (first != second).any() and sorted(first) == sorted(second)
    network, task, description = load_model(ordered)
    groups = groups_of(network, registry.arch_plan(description.arch["name"]), description.arch_config())
    found = importance(network, task, description, groups, config_of(small))
    for row, values in found.items():
        assert (np.diff(values) <= 1e-4 * values.max()).all(), row


@several_families
def test_importance_is_the_gradient_of_the_loss_by_what_is_left(small: Path, config_of: Callable[..., Config]) -> None:
    """Against differences of the loss with a unit's own outgoing weights made smaller, and the weights' gradients."""
    config = config_of(small, **{"Eval.batch_size": 100})
    network, task, description = load_model(small)
    groups = groups_of(network, registry.arch_plan(description.arch["name"]), description.arch_config())
    found = importance(network, task, description, groups, config)
    for parameter in network.parameters():
        parameter.stop_gradient = False
    (arrays,) = eval_batches(task, description, config)
    batch = {name: paddle.to_tensor(array) for name, array in arrays.items()}

    def loss() -> paddle.Tensor:
        outputs = network(batch["input_ids"], batch["token_type_ids"])
        return task.loss(outputs, batch) / len(arrays["labels"])

    loss().backward()
    sums = {}
    for group in groups.own:
        weight = dict(network.named_parameters())[f"{group.row}.weight"]
        by_unit = (weight.grad * weight).reshape([group.units, -1]).sum(-1)
        sums[group.row] = np.abs(by_unit.numpy())
        if not (groups.shared and group.are_heads):
            np.testing.assert_allclose(found[group.row], sums[group.row], rtol=1e-3, atol=1e-6)
    if groups.shared:
        heads = [group.row for group in groups.own if group.are_heads]
        assert len(heads) == 2
        for row in heads:
            np.testing.assert_allclose(found[row], sum(sums[row] for row in heads), rtol=1e-3, atol=1e-6)


@several_families
def test_a_width_is_the_network_with_the_others_masked(small: Path, prune: Callable[..., Any]) -> None:
    target, config = prune(0.5, 1.0, 0.75, **UNTRAINED)
    whole, _, described = load_model(run_folder(config) / "start")
    plan = registry.arch_plan(described.arch["name"])
    widths = Widths(whole, plan, described.arch_config(), [0.5, 1.0, 0.75])
    for share, heads, neurons in ((0.5, 2, 5), (0.75, 3, 7), (1.0, 4, 10)):
        folder = run_folder(config) / "widths" / str(share)
        narrow, _, description = load_model(folder)
        arch = description.arch
        assert (arch["num_attention_heads"], arch["intermediate_size"]) == (heads, neurons)
        assert arch.get("head_dim") == (None if share == 1.0 else 4) and arch["variant"] is None
        with widths.at(share):
            np.testing.assert_allclose(answers(narrow), answers(whole), rtol=1e-5, atol=1e-6)
    assert (answers(load_model(target)[0]) == answers(load_model(run_folder(config) / "widths" / "0.5")[0])).all()
    # At first the network has the first width.
    assert (answers(whole) != answers(load_model(small)[0])).any()


def test_all_widths_learn_from_the_network_before(
    small: Path, prune: Callable[..., Any], records: Callable[..., Any]
) -> None:
    target, config = prune(0.5, 1.0, **{"Train.epochs": 2, "Optimizer.learning_rate": 1e-2, "Eval.every": 100})
    run = run_folder(config)
    lines = records(config.model_copy(update={"Global": config.Global.model_copy(update={"output_dir": str(run)})}))
    assert {"hidden", "soft", "1.0.hidden", "1.0.soft"} <= set(lines[0]) and "hard" not in lines[0]
    total = sum(lines[0][f"{name}soft"] + 0.1 * lines[0][f"{name}hidden"] for name in ("", "1.0."))
    assert lines[0]["loss"] == pytest.approx(total, rel=1e-5)
    # The whole network has nothing to learn at first.
    assert lines[0]["1.0.hidden"] < 1e-10 < lines[0]["hidden"]
    assert np.mean([line["hidden"] for line in lines[-5:]]) < 0.9 * np.mean([line["hidden"] for line in lines[:5]])
    names = set(read_weights(run / "best_model"))
    assert names == set(read_weights(small)) and names == set(read_weights(target))


def test_a_run_that_was_interrupted_goes_on(
    small: Path, config_of: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted, found = small.with_name("wanted"), small.with_name("found")
    options = Width(widths=[0.5, 1.0])
    prune_width(small, wanted, options, config_of(small, **{"Global.output_dir": str(small.with_name("other"))}))
    original = Recorder.progress

    def progress(self: Recorder, done: int) -> None:
        original(self, done)
        if done == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(Recorder, "progress", progress)
    with pytest.raises(Interrupted):
        prune_width(small, found, options, config_of(small))
    monkeypatch.setattr(Recorder, "progress", original)
    # Between two steps of a recipe the folder has another name each time.
    prune_width(small.rename(small.with_name("moved")), found, options, config_of(small.with_name("moved")))
    for name, tensor in read_weights(wanted).items():
        assert (np.asarray(tensor) == np.asarray(read_weights(found)[name])).all(), name


def test_heads_that_share_a_bias_keep_one_order(make_folder: Callable[..., Path], config_of: Any) -> None:
    labels = {"name": "sequence_classification", "labels": ["动词", "地名", "成语"]}
    small = make_folder("ernie_gram/ErnieGramForSequenceClassification", labels, num_attention_heads=4)
    order_units(small, small.with_name("ordered"), config_of(small))
    before, after = (read_weights(folder) for folder in (small, small.with_name("ordered")))
    shared = "backbone.relative_positions.weight"
    columns = [np.asarray(weights[shared]).T for weights in (before, after)]
    order = [next(i for i in range(4) if (columns[0][i] == column).all()) for column in columns[1]]
    for layer in (0, 1):
        name = f"backbone.encoder.layers.{layer}.self_attn.out_proj.weight"
        rows = [np.asarray(weights[name]).reshape(4, 4, 16) for weights in (before, after)]
        assert (rows[0][order] == rows[1]).all()


@pytest.mark.parametrize("feed_forward", ["geglu", "gelu_tanh"])
def test_a_decoder_by_its_own_plan(feed_forward: Any) -> None:
    """Rotated heads, and gated units whose two halves lie apart."""
    paddle.seed(0)
    sizes: dict[str, Any] = {
        **{"vocab_size": 30, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4},
        **{"intermediate_size": 12, "max_position_embeddings": 16, "feed_forward": feed_forward},
        **{"normalization": "deepnorm", "positions": "rotary_1d", "layer_norm_eps": 1e-5},
        **{"attention_dropout_prob": 0.0, "hidden_dropout_prob": 0.0},
    }
    network = GlmForBlankInfilling(GlmConfig(**sizes))
    groups = groups_of(network, GLM, network.config)
    weights = {name: parameter.numpy() for name, parameter in network.named_parameters()}
    rng = np.random.default_rng(0)
    shuffled = {group.row: rng.permutation(group.units) for group in groups.own}
    chosen = {group.row: shuffled[group.row][: group.units // 2] for group in groups.own}
    ids = paddle.to_tensor([[3, 4, 5, 6]])
    visible = paddle.to_tensor([[[0] * 4, [2] * 4, [2] * 4]])
    inputs = ids, paddle.arange(4).reshape([1, 1, 4]), visible
    network.eval()

    def outputs(config: GlmConfig, chosen: dict[str, np.ndarray]) -> np.ndarray:
        other = GlmForBlankInfilling(config)
        other.eval()
        for name, parameter in other.named_parameters():
            parameter.set_value(take_units(weights, groups, chosen)[name])
        with paddle.no_grad():
            return other(*inputs).numpy()

    with paddle.no_grad():
        wanted = network(*inputs).numpy()
    np.testing.assert_allclose(outputs(network.config, shuffled), wanted, rtol=1e-4, atol=1e-6)
    # What is left out is as if nothing read it.
    for group in groups.own:
        weight = weights[f"{group.row}.weight"].reshape(group.units, -1, 16)
        weight[np.setdiff1d(np.arange(group.units), chosen[group.row])] = 0.0
    for name, parameter in network.named_parameters():
        parameter.set_value(weights[name])
    narrow = GlmConfig(**sizes | {"num_attention_heads": 2, "head_dim": 4, "intermediate_size": 6})
    with paddle.no_grad():
        np.testing.assert_allclose(outputs(narrow, chosen), network(*inputs).numpy(), rtol=1e-4, atol=1e-6)


@several_families
def test_pruned_folders_are_models(small: Path, prune: Callable[..., Any], config_of: Callable[..., Config]) -> None:
    """They are pruned again, exported and loaded; other libraries have no such network."""
    target, config = prune(0.75, **UNTRAINED)
    again = small.with_name("again")
    later = config_of(target, **{"Global.output_dir": str(small.with_name("later"))})
    prune_width(target, again, Width(widths=[0.7], **UNTRAINED), later)
    assert (
        read_description(again).arch["num_attention_heads"] == 2 and read_description(again).arch.get("head_dim") == 4
    )
    for library in ("paddlenlp", "huggingface"):
        with pytest.raises(UserError, match=r"heads were pruned|no network that applies"):
            convert(again, small.with_name("foreign"), library)


@pytest.mark.parametrize(("units", "share", "kept"), [(12, 0.75, 9), (12, 2 / 3, 8), (100, 0.29, 29), (3, 0.5, 1)])
def test_what_a_width_keeps(units: int, share: float, kept: int) -> None:
    assert kept_units(units, share) == kept


def test_what_cannot_be(small: Path, prune: Callable[..., Any], config_of: Callable[..., Config]) -> None:
    with pytest.raises(UserError, match="0.2 of 4 heads or neurons leaves none"):
        prune(1.0, 0.2)
    with pytest.raises(UserError, match="Data.eval is missing"):
        prune_width(small, small.with_name("p"), Width(widths=[0.5]), config_of(small, **{"Data.eval": None}))
    assert not small.with_name("pruned").exists()
    prune(0.5, **UNTRAINED)
    narrow = small.with_name("pruned")
    with pytest.raises(UserError, match="belongs to a run that started from another model"):
        prune_width(narrow, small.with_name("p"), Width(widths=[0.5]), config_of(small))


def test_three_examples(small: Path, config_of: Callable[..., Config], tmp_path: Path) -> None:
    rows = [
        {"text": text, "label": label} for text, label in (("学习", "动词"), ("北京", "地名"), ("江山如画", "成语"))
    ]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / "few.jsonl").write_text(text, encoding="utf-8")
    config = config_of(small, **{f"Data.{part}.files": "few.jsonl" for part in ("train", "eval")})
    prune_width(small, small.with_name("pruned"), Width(widths=[0.5]), config)
    assert load_model(small.with_name("pruned"))[2].arch["num_attention_heads"] == 2


def test_another_task(small: Path, make_config: Callable[..., Config], make_folder: Callable[..., Path]) -> None:
    tagger = make_folder("ernie3/ErnieForTokenClassification", {"name": "token_classification", "labels": ["O", "B"]})
    with pytest.raises(UserError, match=r"tokens|tags"):
        prune_width(tagger, small.with_name("pruned"), Width(widths=[0.5]), make_config())


def test_widths_in_a_run_of_its_own(config_of: Callable[..., Config], small: Path) -> None:
    """They learn from a teacher as wide as the whole network."""
    with pytest.raises(UserError, match="widths: learn from the teacher, and none is named"):
        config_of(small, **{"Slim.distillation": {"widths": [0.5], "students": {"a": {}}, "soft": {}, "hard": {}}})
    losses = {"teacher": str(small), "soft": {}, "widths": [0.5]}
    wider = config_of(small, **{"Slim.distillation": losses, "Arch.hidden_size": 32})
    with pytest.raises(UserError, match="one as wide as its own whole, 32 and not 16"):
        assemble(wider)


def test_families_that_only_cut(small: Path, config_of: Callable[..., Config], monkeypatch: pytest.MonkeyPatch) -> None:
    """A network that is no text encoder learns from no other, and one without ``head_dim`` keeps its heads."""
    model = open_model(small)
    decoder = GlmConfig.model_construct(num_attention_heads=4)
    for config, says in ((decoder, "set hidden and soft to null"), (Width(widths=[0.5]), "has no head_dim")):
        monkeypatch.setattr(Model, "config", property(lambda self, config=config: config))
        monkeypatch.setattr(width, "open_model", lambda folder: model)
        with pytest.raises(UserError, match=says):
            prune_width(small, small.with_name("pruned"), Width(widths=[0.5]), config_of(small))
