"""Names, folders and configurations that are none, each with a message that says what and where."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

import ppernie
from ppernie.errors import UserError


@pytest.fixture(scope="module")
def origin(make_origin: Callable[..., Any]) -> Any:
    return make_origin()


@pytest.fixture(autouse=True)
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty cache, and nothing that connects."""
    monkeypatch.setenv("PPERNIE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PPNLP_HOME", str(tmp_path / "paddlenlp"))
    monkeypatch.setenv("PPERNIE_OFFLINE", "1")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("ernie-3.0-bse-zh", "no such folder or file, and no released model; did you mean 'ernie-3.0-base-zh'?"),
        ("output/nowhere", "no such folder or file, and no released model; `ppernie download list` shows them all"),
        ("glm-130b", "cannot be downloaded"),
        ("chatglm-6b", "not cached, and PPERNIE_OFFLINE forbids to connect"),
        ("ernie-5.0", "cannot be downloaded"),
        ("ftp://example.org/model.pdparams", "ftp"),
        ("x" * 5000, "no such folder or file"),
        ("a\0b", "no such folder or file"),
    ],
)
def test_names_that_lead_nowhere(name: str, said: str) -> None:
    with pytest.raises(UserError) as caught:
        ppernie.from_pretrained(name)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model_type": "bert", "architectures": ["BertModel"]}, "a model of type 'bert', which no family here reads"),
        ({"model_type": "ernie_m"}, "a model of type 'ernie_m'"),
        ({"num_hidden_layers": 10**9}, "num_hidden_layers"),
        ({"num_hidden_layers": 1}, "encoder.layers.1.self_attn.q_proj.weight: unknown name"),
        ({"num_hidden_layers": 3}, "ernie.encoder.layers.2.linear1.weight: missing"),
        ({"hidden_size": 65_536, "vocab_size": 10**7}, "shape [24, 16] instead of [10000000, 65536]"),
        ({"hidden_size": "16"}, "hidden_size"),
        ({"hidden_size": None}, "hidden_size"),
        ({"hidden_act": "swish"}, "hidden_act"),
        ({"emb_size": 8}, "emb_size 8 differs from hidden_size 16"),
        ({"pool_act": "relu"}, "pool_act is 'relu'"),
        ({"position_embedding_type": "relative_key"}, "position_embedding_type"),
        ({"architectures": 5}, "architectures"),
        ({"architectures": {"a": 1}}, "architectures"),
        ({"id2label": ["好"]}, "id2label"),
        ({"id2label": {"first": "好"}}, "id2label"),
    ],
)
def test_configurations_that_are_not_of_these_weights(
    changes: dict[str, Any], said: str, origin: Any, tmp_path: Path
) -> None:
    folder = origin.save(tmp_path / "there", "paddlenlp", **changes)
    with pytest.raises(UserError) as caught:
        ppernie.from_pretrained(folder)
    assert said in str(caught.value)
    assert str(folder) in str(caught.value)


@pytest.mark.parametrize(
    "content", ["[]", "null", "3", "{", "\xff", "[" * 100_000, '{"init_args": [' * 400 + "]}" * 400]
)
def test_a_configuration_that_is_none(content: str, origin: Any, tmp_path: Path) -> None:
    folder = origin.save(tmp_path / "there", "paddlenlp")
    (folder / "config.json").write_bytes(content.encode("latin-1"))
    with pytest.raises(UserError, match="config.json: "):
        ppernie.from_pretrained(folder)


def test_folders_that_are_no_models(origin: Any, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"not a model folder: it holds none of model\.safetensors"):
        ppernie.from_pretrained(tmp_path)
    (tmp_path / "deploy.yml").touch()
    with pytest.raises(UserError, match="is an export"):
        ppernie.from_pretrained(tmp_path)
    (tmp_path / "deploy.yml").unlink()
    for name in ("a.pdparams", "b.pdparams"):
        (tmp_path / name).write_bytes(pickle.dumps(origin.foreign("paddlenlp")))
    with pytest.raises(UserError, match=r"holds 2 \.pdparams files, name one"):
        ppernie.from_pretrained(tmp_path)


def test_weights_that_are_no_encoder(tmp_path: Path) -> None:
    save_file({"conv1.weight": np.zeros((2, 2), np.float32)}, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text('{"model_type": "ernie"}')
    with pytest.raises(UserError, match="no weights of a network .* names: conv1.weight"):
        ppernie.from_pretrained(tmp_path)
