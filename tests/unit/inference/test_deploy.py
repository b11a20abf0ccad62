from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from ppernie.errors import UserError
from ppernie.inference.deploy import Deploy


def test_what_was_exported_is_read_back(exported: Path) -> None:
    deploy = Deploy.read(exported)
    assert [(field.name, field.dims) for field in deploy.inputs] == [
        ("input_ids", ("batch", "length")),
        ("token_type_ids", ("batch", "length")),
    ]
    assert deploy.outputs == [("batch", "length", "tags")]
    assert deploy.max_length == 32
    assert deploy.extra == {"labels": ["B", "I", "O"]}
    assert 0 <= deploy.differences["fp32"].max_relative <= deploy.tolerance


@pytest.mark.parametrize("name", ["deploy.yml", "inference.json", "inference.pdiparams"])
def test_a_missing_file_is_named(copied: Path, name: str) -> None:
    (copied / name).unlink()
    with pytest.raises(UserError, match=f"no {name}"):
        Deploy.read(copied)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("format_version", 2),
        ("max_length", 0),
        ("max_length", "long"),
        ("inputs", []),
        ("outputs", [["length", "batch"]]),
        ("inputs", [{"name": "input_ids", "dtype": "float32", "dims": ["batch"], "pad": 0, "upper": 9}]),
        ("colour", "red"),
    ],
)
def test_a_wrong_key_is_named(copied: Path, key: str, value: Any) -> None:
    path = copied / "deploy.yml"
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | {key: value}))
    with pytest.raises(UserError, match=f"deploy.yml: {key}"):
        Deploy.read(copied)


@pytest.mark.parametrize("content", [b"a: [", b"\xff\xfe", b"", b"!!python/object:os.system {}"])
def test_a_broken_file_is_refused(copied: Path, content: bytes) -> None:
    (copied / "deploy.yml").write_bytes(content)
    with pytest.raises(UserError, match="deploy.yml"):
        Deploy.read(copied)
