"""The manifest against the tables in PaddleNLP's source; they are read, not imported."""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path
from typing import Any

import pytest

from ppernie.zoo import manifest

# PaddleNLP's defaults for what its tables leave out.
DEFAULTS = {"intermediate_size": 3072, "use_task_id": False, "pad_token_id": 0}
# Those whose files come from Taskflow's table, which has checksums.
TASKFLOW = {"uie-base", "uie-medium", "uie-mini", "uie-micro", "uie-nano", "uie-base-en"}


def tables(file: str) -> list[dict[str, Any]]:
    """All literal dictionaries that a file of PaddleNLP assigns."""
    found = importlib.util.find_spec("paddlenlp")
    if found is None or not found.submodule_search_locations:
        pytest.skip("needs paddlenlp")
    text = Path(found.submodule_search_locations[0], file).read_text(encoding="utf-8")
    values = [node.value for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Assign)]
    return [ast.literal_eval(value) for value in values if isinstance(value, ast.Dict) and _is_literal(value)]


def _is_literal(value: ast.Dict) -> bool:
    return all(isinstance(node, ast.Dict | ast.List | ast.Constant | ast.Load) for node in ast.walk(value))


def merged(files: list[str], key: str | None = None) -> dict[str, Any]:
    """All tables of some files in one, or what their tables have under a key."""
    found = [table for file in files for table in tables(file)]
    if key is not None:
        found = [table[key] for table in found if isinstance(table.get(key), dict)]
    return {name: value for table in found for name, value in table.items()}


def test_sizes_of_the_encoders() -> None:
    known = merged(["transformers/ernie/configuration.py", "transformers/ernie_gram/configuration.py"])
    checked = set()
    for name, variant in manifest.variants().items():
        if name not in known:
            continue
        theirs = DEFAULTS | known[name]
        ours = variant.architecture
        for key in ours.keys() & theirs.keys() - {"task_type_vocab_size"}:
            assert ours[key] == theirs[key], (name, key)
        assert ours["task_type_vocab_size"] == (theirs["task_type_vocab_size"] if theirs["use_task_id"] else 0), name
        checked.add(name)
    encoders = {name for name, variant in manifest.variants().items() if variant.network in ("ernie3", "ernie_gram")}
    assert encoders - checked == {"ernie-gram-en"}


@pytest.mark.parametrize(("file", "key"), [("model_state.pdparams", "model_state"), ("vocab.txt", "vocab_file")])
def test_addresses_of_the_encoders(file: str, key: str) -> None:
    folders = ("ernie", "ernie_gram")
    sources = [f"transformers/{folder}/{name}.py" for folder in folders for name in ("configuration", "tokenizer")]
    known = merged(sources, key)
    checked = set()
    for name, variant in manifest.variants().items():
        if name in known and name not in TASKFLOW:
            (ours,) = (found for found in variant.files if found.name == file)
            assert known[name] in (ours.address, *ours.mirrors), name
            checked.add(name)
    assert len(checked) > 60


def test_addresses_and_checksums_of_uie() -> None:
    known = merged(["taskflow/information_extraction.py"])
    for name in TASKFLOW:
        weights, vocabulary = manifest.find(name).files
        assert [weights.address, weights.md5] == known[name]["model_state"]
        assert [vocabulary.address, vocabulary.md5] == known[name]["vocab_file"]
