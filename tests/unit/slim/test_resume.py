"""A recipe that is cut short, or changed, or run twice at once."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ppernie.config.sections import Config
from ppernie.errors import UserError
from ppernie.files import take_lock
from ppernie.slim import recipe as recipes
from ppernie.slim.recipe import compress
from ppernie.zoo.folder import read_weights

Calls = list[tuple[str, Path, Path]]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """Steps that copy, in the place of two others; what they were called with."""
    called: Calls = []

    def copying(name: str) -> recipes.Step:
        def step(source: Path, target: Path, options: Any, config: Config) -> None:
            called.append((name, source, target))
            shutil.copytree(source, target)

        return step

    monkeypatch.setattr(recipes, "_STEPS", {name: copying(name) for name in ("weight_only", "export")})
    monkeypatch.setattr("ppernie.config.checks._check_recipe", lambda value, report: None)
    return called


@pytest.fixture
def two(recipe: Callable[..., Config]) -> Callable[..., Config]:
    """The recipe of both."""

    def make(changes: dict[str, Any] | None = None, bits: int = 8, **slim: Any) -> Config:
        return recipe(changes, weight_only={"bits": bits}, export=True, **slim)

    return make


def killed(work: Callable[[], object]) -> None:
    """Does it in a process that ends by SIGKILL."""
    child = os.fork()
    if child == 0:
        work()
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def die(*arguments: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_recipe_goes_on(
    calls: Calls, two: Callable[..., Config], source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed in the first step, between the two, and before the end."""
    out = tmp_path / "out"
    first, second = out / "steps" / "1-weight_only", out / "steps" / "2-export"
    own = dict(recipes._STEPS)

    def half(source: Path, target: Path, options: Any, config: Config) -> None:
        target.mkdir()
        (target / "half").write_text("made")
        die()

    with monkeypatch.context() as patch:
        patch.setattr(recipes, "_STEPS", own | {"weight_only": half})
        killed(lambda: compress(source, out, two()))
    assert (first / "half").exists()
    with monkeypatch.context() as patch:
        patch.setattr(recipes, "_STEPS", own | {"export": die})
        killed(lambda: compress(source, out, two()))
    assert not (first / "half").exists() and not second.exists() and calls == []
    with monkeypatch.context() as patch:
        patch.setattr(recipes, "link_folder", die)
        killed(lambda: compress(source, out, two()))
    assert second.exists() and not (out / "model").exists()
    table = compress(source, out, two())
    # All was done by the processes that died.
    assert calls == [] and "| export " in table
    assert read_weights(out / "model").keys() == read_weights(source).keys()


def test_what_differs_is_done_again(calls: Calls, two: Callable[..., Config], source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"

    def done(config: Config, source: Path = source) -> list[str]:
        calls.clear()
        compress(source, out, config)
        return [name for name, _, _ in calls]

    assert done(two()) == ["weight_only", "export"]
    assert calls[0][1:] == (source, out / "steps" / "1-weight_only")
    assert calls[1][1:] == (out / "steps" / "1-weight_only", out / "steps" / "2-export")
    assert done(two()) == []
    assert done(two({"Global.threads": 2, "Eval.batch_size": 3}, gate={"points": 20.0})) == []
    assert done(two(bits=4)) == ["weight_only", "export"]
    assert done(two({"Data.max_length": 15}, bits=4)) == ["weight_only", "export"]
    os.utime(source / "model.safetensors")
    assert done(two({"Data.max_length": 15}, bits=4)) == ["weight_only", "export"]
    shorter = two({"Data.max_length": 15}, bits=4).model_copy()
    alone = shorter.model_copy(update={"Slim": shorter.Slim.model_copy(update={"export": False})})
    assert done(alone) == []
    assert sorted(path.name for path in (out / "steps").iterdir()) == [
        "0-source.json",
        "1-weight_only",
        "1-weight_only.json",
    ]


def test_one_process_at_a_time(calls: Calls, two: Callable[..., Config], source: Path, tmp_path: Path) -> None:
    (tmp_path / "out" / "steps").mkdir(parents=True)
    with take_lock(tmp_path / "out" / ".lock", "{owner}"):
        child = os.fork()
        if child == 0:
            try:
                compress(source, tmp_path / "out", two())
            except UserError as error:
                os._exit(0 if "is compressing into this folder" in str(error) else 2)
            os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_full_disk(
    calls: Calls, two: Callable[..., Config], source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(source: Path, target: Path, options: Any, config: Config) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(recipes, "_STEPS", recipes._STEPS | {"export": full})
        with pytest.raises(UserError, match="Slim.export: .*2-export: the disk is full; free some space and start"):
            compress(source, tmp_path / "out", two())
    assert [name for name, _, _ in calls] == ["weight_only"]
    compress(source, tmp_path / "out", two())
    assert [name for name, _, _ in calls] == ["weight_only", "export"]
