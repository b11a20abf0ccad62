"""The rules that keep the house small: imports run one way, and start-up stays light."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HEAVY = ("paddle", "paddlenlp", "paddleslim", "visualdl")


def imports(path: Path, top_level: bool = False) -> Iterator[str]:
    """Absolute names that a file imports; only those that run on import where ``top_level`` is set."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = tree.body if top_level else list(ast.walk(tree))
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def files(root: Path) -> list[Path]:
    return sorted(root.rglob("*.py"))


def test_the_library_imports_no_family(repository: Path) -> None:
    guilty = [p for p in files(repository / "ppernie") if any(n.startswith("model_zoo") for n in imports(p))]
    assert guilty == []


def test_a_family_imports_no_other(repository: Path) -> None:
    for path in files(repository / "model_zoo"):
        family = path.relative_to(repository / "model_zoo").parts[0]
        others = [n for n in imports(path) if n.startswith("model_zoo.") and n.split(".")[1] != family]
        assert others == [], path


def test_networks_know_no_ranks(repository: Path) -> None:
    for path in (repository / "model_zoo").glob("*/modeling.py"):
        assert not [n for n in imports(path) if n.startswith("paddle.distributed")], path


@pytest.mark.parametrize("room", ["config", "data", "tasks", "zoo"])
def test_rooms_that_workers_and_servers_use_import_without_paddle(repository: Path, room: str) -> None:
    for path in files(repository / "ppernie" / room):
        assert not [n for n in imports(path, top_level=True) if n.split(".")[0] in HEAVY], path


@pytest.mark.parametrize(
    ("room", "above"),
    [
        ("nn", ("cli", "engine", "tasks", "data", "export", "inference", "config", "zoo")),
        ("data", ("cli", "engine", "export", "inference", "zoo")),
        ("tasks", ("cli", "engine", "export", "inference")),
        ("optim", ("cli", "engine", "tasks", "export", "inference", "zoo")),
        ("zoo", ("cli", "engine", "export", "inference", "parallel", "checkpoints")),
        ("parallel", ("cli", "engine", "tasks", "data", "export", "inference")),
        ("checkpoints", ("cli", "engine", "tasks", "data", "export", "inference", "parallel")),
        ("engine", ("cli", "export", "inference")),
    ],
)
def test_imports_run_one_way(repository: Path, room: str, above: tuple[str, ...]) -> None:
    for path in files(repository / "ppernie" / room):
        upward = [n for n in imports(path, top_level=True) if n.startswith(tuple(f"ppernie.{name}" for name in above))]
        assert upward == [], path


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout


def test_importing_ppernie_imports_nothing_heavy() -> None:
    loaded = run("import sys, ppernie; print('\\n'.join(sys.modules))").split()
    assert not set(HEAVY) & set(loaded)


def test_help_and_tokenizing_need_no_paddle() -> None:
    code = """
import contextlib, sys
from ppernie.cli.main import main
with contextlib.suppress(SystemExit):
    main(["--help"])
import ppernie.data.tokenizers, ppernie.zoo.pretrained, ppernie.zoo.conversion
print(*sys.modules)
"""
    assert not set(HEAVY) & set(run(code).splitlines()[-1].split())
