"""States of other libraries to ours and back: every bit, and nothing that does not belong."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model_zoo.ernie3.config import ErnieConfig
from model_zoo.ernie3.convert import LAYOUTS
from ppernie.errors import UserError
from ppernie.zoo.layout import Fit, Layout, State, fit, write

PADDLENLP, HUGGINGFACE, REPOSITORY, OURS = (
    LAYOUTS[name] for name in ("paddlenlp", "huggingface", "repository", "ppernie")
)
GOLDEN = Path(__file__).parents[2] / "parity" / "ernie3" / "golden"
CONFIG = ErnieConfig(
    vocab_size=13,
    hidden_size=12,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=20,
    hidden_act="gelu",
    hidden_dropout_prob=0.1,
    attention_probs_dropout_prob=0.1,
    max_position_embeddings=9,
    type_vocab_size=3,
    task_type_vocab_size=4,
    initializer_range=0.02,
    layer_norm_eps=1e-12,
    pad_token_id=0,
)
HIDDEN, HEADS, SIZE = 12, 2, 6
LABELS = {
    "ErnieForSequenceClassification": 5,
    "ErnieForTokenClassification": 7,
    "ErnieForQuestionAnswering": 2,
    "ErnieForMultipleChoice": 1,
}
ARCHITECTURES = ["ErnieModel", "ErnieDualEncoder", "ErnieForMaskedLM", *LABELS]
EACH = pytest.mark.parametrize("layout", [PADDLENLP, HUGGINGFACE], ids=["paddlenlp", "huggingface"])
ALL = pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)


def lay(state: State, config: ErnieConfig, layout: Layout, architecture: str, **options: Any) -> State:
    """A foreign state as ours, read, with nothing left."""
    found = fit(state, config, layout, architecture.removeprefix("Ernie"), **options)
    assert not found.left
    return read(found)


def read(found: Fit) -> State:
    return {name: np.asarray(tensor) for name, tensor in found.tensors.items()}


def back(state: State, config: ErnieConfig, layout: Layout, architecture: str) -> State:
    return write(state, config, layout, architecture.removeprefix("Ernie"))


def our_state(architecture: str, pooler: bool = True) -> State:
    """Random weights under our names."""
    layer = {
        "self_attn.qkv_proj": (12, 36),
        "self_attn.out_proj": (12, 12),
        "norm1": (12,),
        "feed_forward.linear1": (12, 20),
        "feed_forward.linear2": (20, 12),
        "norm2": (12,),
    }
    encoder: dict[str, tuple[int, ...]] = {"embeddings.layer_norm": (12,)}
    encoder |= {f"encoder.layers.{n}.{name}": shape for n in range(2) for name, shape in layer.items()}
    encoder |= {"pooler": (12, 12)} if pooler else {}
    rows = {"word": 13, "position": 9, "token_type": 3, "task_type": 4}
    shapes: dict[str, tuple[int, ...]] = {f"embeddings.{name}_embeddings.weight": (n, 12) for name, n in rows.items()}
    shapes |= {f"{name}.weight": shape for name, shape in encoder.items()}
    shapes |= {f"{name}.bias": shape[-1:] for name, shape in encoder.items()}
    if architecture != "ErnieModel":
        shapes = {f"backbone.{name}": shape for name, shape in shapes.items()}
    if architecture in LABELS:
        shapes |= {
            "classifier.weight": (12, LABELS[architecture]),
            "classifier.bias": (LABELS[architecture],),
        }
    if architecture == "ErnieForMaskedLM":
        shapes |= {"transform.weight": (12, 12), "transform.bias": (12,), "decoder.bias": (13,)}
        shapes |= {"layer_norm.weight": (12,), "layer_norm.bias": (12,)}
    rng = np.random.default_rng(0)
    return {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


def assert_same(one: State, other: State) -> None:
    assert one.keys() == other.keys()
    for name, array in one.items():
        assert array.dtype == other[name].dtype
        assert array.shape == other[name].shape
        assert array.tobytes() == other[name].tobytes(), name


@ALL
@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_round_trip_keeps_every_bit(architecture: str, layout: Layout, dtype: str) -> None:
    ours = {name: array.astype(dtype) for name, array in our_state(architecture).items()}
    foreign = back(ours, CONFIG, layout, architecture)
    assert all(array.flags.c_contiguous for array in foreign.values())
    assert_same(lay(foreign, CONFIG, layout, architecture), ours)


@pytest.mark.parametrize("case", sorted(path.stem for path in GOLDEN.glob("Ernie*.npz")))
def test_names_are_those_of_hugging_face(case: str) -> None:
    golden = np.load(GOLDEN / f"{case}.npz")
    architecture = case.partition("_")[0]
    config = CONFIG
    ours = our_state(architecture, pooler=any("pooler" in name for name in golden["names"]))
    if not any("task_type" in name for name in golden["names"]):
        config = CONFIG.model_copy(update={"task_type_vocab_size": 0})
        ours = {name: array for name, array in ours.items() if "task_type" not in name}
    assert sorted(back(ours, config, HUGGINGFACE, architecture)) == list(golden["names"])


@pytest.mark.parametrize(
    ("layout", "name"),
    [
        (PADDLENLP, "encoder.layers.1.self_attn.{}_proj.{}"),
        (HUGGINGFACE, "encoder.layer.1.attention.self.{}.{}"),
    ],
    ids=["paddlenlp", "huggingface"],
)
def test_columns_of_the_fused_projection(layout: Layout, name: str) -> None:
    ours = our_state("ErnieModel")
    foreign = back(ours, CONFIG, layout, "ErnieModel")
    weight, bias = (ours[f"encoder.layers.1.self_attn.qkv_proj.{which}"] for which in ("weight", "bias"))
    for head in range(HEADS):
        for index, part in enumerate(layout.parts):
            for column in range(SIZE):
                fused = (head * 3 + index) * SIZE + column
                matrix = foreign[name.format(part, "weight")]
                theirs = matrix.T if layout is HUGGINGFACE else matrix
                assert np.array_equal(theirs[:, head * SIZE + column], weight[:, fused])
                assert foreign[name.format(part, "bias")][head * SIZE + column] == bias[fused]


@EACH
def test_all_problems_come_at_once(layout: Layout) -> None:
    foreign = back(our_state("ErnieForMaskedLM"), CONFIG, layout, "ErnieForMaskedLM")
    foreign["ernie.embeddings.turn_embeddings.weight"] = np.zeros((2, 12), np.float32)
    del foreign["ernie.embeddings.token_type_embeddings.weight"]
    foreign["ernie.embeddings.position_embeddings.weight"] = np.zeros((8, 12), np.float32)
    foreign["cls.predictions.decoder.weight"] = foreign["cls.predictions.decoder.weight"][:-1]
    with pytest.raises(UserError) as caught:
        lay(foreign, CONFIG, layout, "ErnieForMaskedLM", place="there")
    message = str(caught.value)
    assert message.startswith(f"there: this {layout.title} checkpoint is not one of ErnieForMaskedLM with this config:")
    assert "ernie.embeddings.turn_embeddings.weight: unknown name" in message
    assert "ernie.embeddings.token_type_embeddings.weight: missing" in message
    assert "ernie.embeddings.position_embeddings.weight: shape [8, 12] instead of [9, 12]" in message
    assert "cls.predictions.decoder.weight: shape [12, 12] instead of [13, 12]" in message
    assert len(message.splitlines()) == 5


@EACH
def test_tied_tensors_are_compared_as_they_are_read(layout: Layout) -> None:
    foreign = back(our_state("ErnieForMaskedLM"), CONFIG, layout, "ErnieForMaskedLM")
    foreign["cls.predictions.decoder.weight"] = foreign["cls.predictions.decoder.weight"] + 1
    with pytest.raises(UserError, match=r"decoder.weight: differs from ernie.embeddings.word_embeddings.weight"):
        lay(foreign, CONFIG, layout, "ErnieForMaskedLM")


def test_long_lists_are_cut() -> None:
    with pytest.raises(UserError) as caught:
        back({}, CONFIG, PADDLENLP, "ErnieModel")
    lines = str(caught.value).splitlines()
    assert len(lines) == 22
    assert lines[-1].strip() == f"... and {len(our_state('ErnieModel')) - 20} more"


def test_the_other_direction_is_as_strict() -> None:
    ours = our_state("ErnieForQuestionAnswering")
    ours["classifier.weight"] = np.zeros((12, 3), np.float32)
    ours["qa_outputs.bias"] = ours.pop("classifier.bias")
    with pytest.raises(UserError) as caught:
        back(ours, CONFIG, HUGGINGFACE, "ErnieForQuestionAnswering")
    message = str(caught.value)
    assert "qa_outputs.bias: unknown name" in message
    assert "classifier.bias: missing" in message
    assert "classifier.weight: shape [12, 3] instead of [12, 2]" in message


@EACH
def test_weight_and_bias_of_a_classifier_agree(layout: Layout) -> None:
    ours = our_state("ErnieForTokenClassification") | {"classifier.bias": np.zeros(6, np.float32)}
    with pytest.raises(UserError, match=r"classifier.weight: shape \[12, 7\] instead of \[12, 6\]"):
        back(ours, CONFIG, layout, "ErnieForTokenClassification")


def test_files_without_tied_copies_and_with_buffers() -> None:
    ours = our_state("ErnieForMaskedLM")
    foreign = back(ours, CONFIG, HUGGINGFACE, "ErnieForMaskedLM")
    assert foreign.pop("cls.predictions.decoder.weight") is foreign["ernie.embeddings.word_embeddings.weight"]
    assert foreign.pop("cls.predictions.decoder.bias") is foreign["cls.predictions.bias"]
    foreign["ernie.embeddings.position_ids"] = np.arange(9)[None]
    foreign["ernie.embeddings.token_type_ids"] = np.zeros((1, 9), np.int64)
    assert_same(lay(foreign, CONFIG, HUGGINGFACE, "ErnieForMaskedLM"), ours)
    bare = back(our_state("ErnieModel"), CONFIG, HUGGINGFACE, "ErnieModel")
    bare["embeddings.position_ids"] = np.arange(9)[None]
    assert_same(lay(bare, CONFIG, HUGGINGFACE, "ErnieModel"), our_state("ErnieModel"))


@EACH
@pytest.mark.parametrize("architecture", ["ErnieForMaskedLM", "ErnieForTokenClassification"])
def test_pooler_is_optional_where_nothing_reads_it(architecture: str, layout: Layout) -> None:
    ours = our_state(architecture, pooler=False)
    foreign = back(ours, CONFIG, layout, architecture)
    assert not any("pooler" in name for name in foreign)
    assert_same(lay(foreign, CONFIG, layout, architecture), ours)

    half = foreign | {"ernie.pooler.dense.bias": np.zeros(12, np.float32)}
    with pytest.raises(UserError, match="pooler.dense.weight: missing"):
        lay(half, CONFIG, layout, architecture)
    with pytest.raises(UserError, match="pooler.weight: missing"):
        back(our_state("ErnieDualEncoder", pooler=False), CONFIG, layout, "ErnieDualEncoder")


@EACH
def test_encoder_out_of_a_pretraining_checkpoint(layout: Layout) -> None:
    ours = our_state("ErnieForMaskedLM")
    foreign = back(ours, CONFIG, layout, "ErnieForMaskedLM")
    foreign["cls.seq_relationship.bias"] = np.zeros(2, np.float32)
    encoder = {name: array for name, array in ours.items() if name.startswith("backbone.")}
    heads = {name for name in foreign if name.startswith("cls.")}

    found = fit(foreign, CONFIG, layout, "DualEncoder")
    assert_same(read(found), encoder)
    assert set(found.left) == heads
    found = fit(foreign, CONFIG, layout, "Model")
    assert_same(read(found), {name.removeprefix("backbone."): array for name, array in encoder.items()})
    found = fit(foreign, CONFIG, layout, "ForMaskedLM")
    assert_same(read(found), ours)
    assert found.left == ["cls.seq_relationship.bias"]


@ALL
def test_another_networks_head_is_not_taken_for_this_ones(layout: Layout) -> None:
    """Two classes of a text and the two columns of a span have the same names and shapes."""
    ours = our_state("ErnieForSequenceClassification")
    ours |= {"classifier.weight": ours["classifier.weight"][:, :2], "classifier.bias": ours["classifier.bias"][:2]}
    foreign = back(ours, CONFIG, layout, "ErnieForSequenceClassification")
    found = fit(foreign, CONFIG, layout, "ForQuestionAnswering", stored_kind="ForSequenceClassification")
    assert {name for name in ours if name not in found.tensors} == {"classifier.weight", "classifier.bias"}
    assert len(found.left) == 2


@EACH
def test_a_head_is_made_new_as_a_whole_or_on_demand(layout: Layout) -> None:
    foreign = back(our_state("ErnieForSequenceClassification"), CONFIG, layout, "ErnieForSequenceClassification")
    with pytest.raises(UserError, match=r"classifier.bias: shape \[5\] instead of \[3\](.|\n)*new_head"):
        fit(foreign, CONFIG, layout, "ForSequenceClassification", labels=3)
    found = fit(foreign, CONFIG, layout, "ForSequenceClassification", labels=3, new_head=True)
    assert set(found.left) == {"classifier.weight", "classifier.bias"}
    del foreign["classifier.bias"]
    with pytest.raises(UserError, match="classifier.bias: missing"):
        fit(foreign, CONFIG, layout, "ForSequenceClassification", labels=5)
    del foreign["classifier.weight"]
    assert fit(foreign, CONFIG, layout, "ForSequenceClassification", labels=5).left == []
    del foreign["ernie.pooler.dense.bias"], foreign["ernie.pooler.dense.weight"]
    with pytest.raises(UserError, match=r"pooler.dense.weight: missing(.|\n)*new_head"):
        fit(foreign, CONFIG, layout, "ForSequenceClassification")
    assert (
        "backbone.pooler.bias" not in fit(foreign, CONFIG, layout, "ForSequenceClassification", new_head=True).tensors
    )


@EACH
def test_a_dual_encoder_is_written_as_a_bare_encoder(layout: Layout) -> None:
    foreign = back(our_state("ErnieDualEncoder"), CONFIG, layout, "ErnieDualEncoder")
    assert_same(foreign, back(our_state("ErnieModel"), CONFIG, layout, "ErnieModel"))


def test_task_table_follows_the_config() -> None:
    plain = CONFIG.model_copy(update={"task_type_vocab_size": 0})
    foreign = back(our_state("ErnieModel"), CONFIG, PADDLENLP, "ErnieModel")
    with pytest.raises(UserError, match="embeddings.task_type_embeddings.weight: unknown name"):
        lay(foreign, plain, PADDLENLP, "ErnieModel")
    del foreign["embeddings.task_type_embeddings.weight"]
    with pytest.raises(UserError, match="embeddings.task_type_embeddings.weight: missing"):
        lay(foreign, CONFIG, PADDLENLP, "ErnieModel")


def test_converting_needs_no_paddle() -> None:
    code = "import sys, model_zoo.ernie3.convert; sys.exit('paddle' in sys.modules)"
    root = Path(__file__).parents[3]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0
