from __future__ import annotations

import functools
import json
import math
from pathlib import Path

import paddle
import pytest

from ppernie import registry
from ppernie.errors import UserError
from ppernie.zoo import manifest

# Layers, hidden, heads, feed-forward, vocabulary, positions, segments, tasks and parameters of the released
# ERNIE 3.0 encoders, as PaddleNLP's configurations have them.
RELEASED = {
    "ernie-3.0-xbase-zh": (20, 1024, 16, 4096, 40000, 2048, 4, 16, 296_053_760),
    "ernie-3.0-base-zh": (12, 768, 12, 3072, 40000, 2048, 4, 3, 117_944_832),
    "ernie-3.0-medium-zh": (6, 768, 12, 3072, 40000, 2048, 4, 16, 75_427_584),
    "ernie-3.0-mini-zh": (6, 384, 12, 1536, 40000, 2048, 4, 16, 26_949_504),
    "ernie-3.0-micro-zh": (4, 384, 12, 1536, 40000, 2048, 4, 16, 23_400_576),
    "ernie-3.0-nano-zh": (4, 312, 12, 1248, 40000, 2048, 4, 16, 17_912_232),
    "ernie-3.0-tiny-base-v1-zh": (12, 768, 12, 3072, 40000, 2048, 4, 3, 117_944_832),
    "ernie-3.0-tiny-medium-v1-zh": (6, 768, 12, 3072, 40000, 2048, 4, 16, 75_427_584),
    "ernie-3.0-tiny-mini-v1-zh": (6, 384, 12, 1536, 40000, 2048, 4, 16, 26_949_504),
    "ernie-3.0-tiny-micro-v1-zh": (4, 384, 12, 1536, 40000, 2048, 4, 16, 23_400_576),
    "ernie-3.0-tiny-nano-v1-zh": (4, 312, 12, 1248, 40000, 2048, 4, 16, 17_912_232),
    "ernie-3.0-tiny-base-v2-zh": (12, 768, 12, 3072, 40000, 2048, 4, 0, 117_942_528),
    "ernie-3.0-tiny-medium-v2-zh": (6, 768, 12, 3072, 40000, 2048, 4, 0, 75_415_296),
    "ernie-3.0-tiny-mini-v2-zh": (6, 384, 12, 1536, 40000, 2048, 4, 0, 26_943_360),
    "ernie-3.0-tiny-mini-v2-en": (6, 384, 12, 1536, 50265, 514, 1, 0, 30_294_912),
    "ernie-3.0-tiny-micro-v2-zh": (4, 384, 12, 1536, 40000, 2048, 4, 0, 23_394_432),
    "ernie-3.0-tiny-nano-v2-zh": (4, 312, 12, 1248, 40000, 2048, 4, 0, 17_907_240),
    "ernie-3.0-tiny-pico-v2-zh": (3, 128, 2, 512, 40000, 2048, 4, 0, 5_994_240),
}
NETWORKS = {"ernie3": "ErnieForSequenceClassification", "ernie_gram": "ErnieGramForSequenceClassification"}
ENCODERS = [name for name, variant in manifest.variants().items() if variant.network in NETWORKS]

ENTRY = """
tiny:
  architecture: {vocab_size: 9, hidden_size: 4, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 8,
    hidden_act: gelu, hidden_dropout_prob: 0.1, attention_probs_dropout_prob: 0.1, max_position_embeddings: 8,
    type_vocab_size: 2, task_type_vocab_size: 0, initializer_range: 0.02, layer_norm_eps: 1.0e-12, pad_token_id: 0}
  parameters: 100
  languages: [zh]
  licence: Apache-2.0
  files:
    - {name: vocab.txt, address: "https://example.org/vocab.txt", md5: 0123456789abcdef0123456789abcdef}
"""


@functools.cache
def encoder_parameters(network: str, architecture: str) -> int:
    """Numbers in the encoder, built without memory for them."""
    name = f"{network}/{NETWORKS[network]}"
    with paddle.LazyGuard():
        model = registry.arch_class(name)(registry.arch_config(name)(**json.loads(architecture)), num_labels=2)
    return sum(math.prod(parameter.shape) for parameter in model.backbone.parameters())


@pytest.mark.parametrize("name", ENCODERS)
def test_parameters_of_an_encoder(name: str) -> None:
    variant = manifest.find(name)
    assert variant.network is not None
    assert encoder_parameters(variant.network, json.dumps(variant.architecture)) == variant.parameters


@pytest.mark.parametrize("name", RELEASED)
def test_sizes_of_a_released_encoder(name: str) -> None:
    variant = manifest.find(name)
    architecture = variant.architecture
    *sizes, parameters = RELEASED[name]
    assert sizes == [
        architecture["num_hidden_layers"],
        architecture["hidden_size"],
        architecture["num_attention_heads"],
        architecture["intermediate_size"],
        architecture["vocab_size"],
        architecture["max_position_embeddings"],
        architecture["type_vocab_size"],
        architecture["task_type_vocab_size"],
    ]
    assert variant.parameters == parameters
    rest = ("hidden_act", "pad_token_id", "initializer_range", "hidden_dropout_prob", "attention_probs_dropout_prob")
    assert [architecture[key] for key in rest] == ["gelu", 0, 0.02, 0.1, 0.1]
    assert architecture["layer_norm_eps"] == 1e-12


def test_every_released_encoder_of_ernie_3_is_checked() -> None:
    assert {name for name in ENCODERS if name.startswith("ernie-3.0")} == RELEASED.keys()


def test_every_field_of_an_architecture_is_written_out() -> None:
    for name, variant in manifest.variants().items():
        config = registry.family_config(variant.network) if variant.network else None
        if config is not None:
            assert set(config.model_fields) - {"classifier_dropout", "head_dim"} == variant.architecture.keys(), name


def test_every_variant_has_files_or_says_why_not() -> None:
    without = {name for name, variant in manifest.variants().items() if not variant.files}
    assert without == {"glm-130b", "ernie-5.0"}
    assert "60 parts" in str(manifest.find("glm-130b").by_hand)
    assert "no weights are released" in str(manifest.find("ernie-5.0").note)


def test_paddlenlps_two_hosts_are_mirrors_of_each_other() -> None:
    weights, vocabulary = manifest.find("ernie-3.0-base-zh").files
    path = "models/transformers/ernie_3.0/ernie_3.0_base_zh.pdparams"
    assert weights.address == f"https://bj.bcebos.com/paddlenlp/{path}"
    assert weights.mirrors == (f"https://paddlenlp.bj.bcebos.com/{path}",)
    assert (weights.name, vocabulary.name) == ("model_state.pdparams", "vocab.txt")


def test_an_alias_has_the_others_files_and_its_own_scores() -> None:
    alias, original = manifest.find("ernie-3.0-tiny-nano-v1-zh"), manifest.find("ernie-3.0-nano-zh")
    assert (alias.family, original.family) == ("ernie_tiny", "ernie3")
    assert alias.folder == original.folder == "ernie-3.0-nano-zh"
    assert (alias.network, alias.architecture, alias.files) == ("ernie3", original.architecture, original.files)
    assert [report.benchmark for report in alias.reported] == ["CLUE dev", "out of domain", "low resource"]


def test_an_architecture_lists_the_variants_of_all_families_that_it_can_hold() -> None:
    variants = registry.arch_variants("ernie3/ErnieForMaskedLM")
    assert {"ernie-3.0-nano-zh", "ernie-tiny", "ernie-3.0-tiny-nano-v1-zh", "uie-nano"} <= variants.keys()
    assert not {"ernie-gram-zh", "glm-10b", "ernie-5.0"} & variants.keys()
    assert variants["ernie-tiny"]["hidden_size"] == 1024


@pytest.mark.parametrize(
    ("name", "hint"),
    [("ernie-3.0-bse-zh", "did you mean 'ernie-3.0-base-zh'?"), ("gpt", "`ppernie download list` shows them all")],
)
def test_an_unknown_name(name: str, hint: str) -> None:
    with pytest.raises(UserError) as caught:
        manifest.find(name)
    assert str(caught.value) == f"there is no released variant '{name}'; {hint}"


def read(folder: Path, **texts: str) -> dict[str, manifest.Variant]:
    paths = {}
    for family, text in texts.items():
        paths[family] = folder / f"{family}.yaml"
        paths[family].write_text(text, encoding="utf-8")
    return manifest.read_variants(paths)


def test_an_entry_and_its_alias(tmp_path: Path) -> None:
    found = read(tmp_path, ernie_tiny="other: {alias_of: tiny, note: old}", ernie3=ENTRY)
    assert list(found) == ["other", "tiny"]
    assert found["other"] == found["tiny"].model_copy(update={"name": "other", "family": "ernie_tiny", "note": "old"})
    assert (found["tiny"].network, found["tiny"].folder, found["tiny"].note) == ("ernie3", "tiny", None)
    assert found["tiny"].files[0].md5 == "0123456789abcdef" * 2


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("  licence:", "  adress: x\n  licence:", "tiny: adress: unknown key"),
        ("  licence: Apache-2.0\n", "", "tiny: licence: required key is missing"),
        ("parameters: 100", "parameters: '100'", "tiny: parameters: must be a whole number"),
        ("hidden_size: 4,", "", "tiny: architecture: hidden_size: required key is missing"),
        ("hidden_size: 4,", "hidden_size: 5,", "tiny: architecture: hidden_size 5 is not a multiple"),
        ("name: vocab.txt", "name: ../vocab.txt", "tiny: files.0.name: '../vocab.txt' cannot be a file's name"),
        ("name: vocab.txt", "name: ..", "tiny: files.0.name: '..' cannot be a file's name"),
        ("https:", "ftp:", "tiny: files.0.address: 'ftp://example.org/vocab.txt' is no address"),
        ("https://", "https:///", "tiny: files.0.address: 'https:///example.org/vocab.txt' is no address"),
        ("0123456789abcdef0", "", "tiny: files.0.md5: '123456789abcdef' is not 32"),
        ("abcdef}", "abcdeg}", "tiny: files.0.md5: '0123456789abcdef0123456789abcdeg' is not 32"),
        ("  files:\n", "  files:\n    - {name: vocab.txt, address: 'http://a/b'}\n", "tiny: files: vocab.txt is given"),
        ("tiny:", "a/b:", "'a/b' cannot be a file's name"),
        ("  parameters: 100", "  network: ernie9", "unknown model family 'ernie9'"),
        ("  parameters: 100", "  parameters: 100\n  parameters: 7", ", line 7: parameters is given twice"),
        ("tiny:", "tiny: [", "while parsing|expected|did not find"),
    ],
)
def test_a_wrong_entry_is_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in ENTRY
    with pytest.raises(UserError, match="ernie3.yaml|ernie9") as caught:
        read(tmp_path, ernie3=ENTRY.replace(old, new, 1))
    assert any(part in str(caught.value) for part in message.split("|")), caught.value


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ({"ernie3": ENTRY, "ernie_tiny": ENTRY}, "tiny: another family has a variant of this name"),
        ({"ernie3": ENTRY + "b: {alias_of: c}"}, "b: alias_of: 'c' is no entry"),
        (
            {"ernie3": ENTRY + "b: {alias_of: tiny}\nc: {alias_of: b}"},
            "c: alias_of: 'b' is no entry, or itself an alias",
        ),
        ({"ernie3": ENTRY + "b: {alias_of: tiny, licence: MIT}"}, "b: licence: unknown key"),
        ({"ernie3": ENTRY + "b: 3"}, "must be a map from names of variants to their entries, which are maps"),
        ({"ernie3": "- a"}, "must be a map from names of variants"),
        ({"ernie3": "a: {network: null, languages: [zh], licence: x}"}, "without files, by_hand or note must say why"),
    ],
)
def test_wrong_files(tmp_path: Path, texts: dict[str, str], message: str) -> None:
    with pytest.raises(UserError) as caught:
        read(tmp_path, **texts)
    assert message in str(caught.value)
