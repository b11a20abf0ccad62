"""Progressive distillation: a chain of runs, each of which goes on from the model of the one before."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from ppernie.config import Config, Section
from ppernie.config.loader import read_settings
from ppernie.config.overrides import apply_overrides
from ppernie.config.validation import load_as, validate
from ppernie.errors import UserError
from ppernie.slim.distillation.settings import Stage

logger = logging.getLogger("ppernie")


class Chain(Section):
    """A file of stages; each starts from the best model of the one before, the first as its config says."""

    output_dir: str = Field(min_length=1, description="Folder of the stages' folders")
    stages: dict[str, Stage] = Field(min_length=1, description="Runs by name, in order")


def read_chain(path: str | Path, overrides: Sequence[str] = ()) -> Chain:
    """A file of stages, with keys set as after ``-o``. Raises UserError where it cannot be read, or is wrong."""
    chain, report = load_as(Chain, path, overrides)
    report.raise_problems()
    assert chain is not None
    return chain


def stage_config(path: str | Path, chain: Chain, name: str) -> Config:
    """The config of a stage's run, whose predecessor has ended.

    Args:
        path: of the chain's file.

    Raises:
        UserError: a file cannot be read, or is wrong.
    """
    stage, before = chain.stages[name], list(chain.stages)[: list(chain.stages).index(name)]
    settings = read_settings(Path(path).parent / stage.config)
    own = [f"Global.output_dir={stage_folder(chain, name)}"]
    own += [f"Global.pretrained_model={stage_folder(chain, before[-1])}/best_model"] if before else []
    return validate(settings, apply_overrides(settings, [*stage.override, *own]))


def stage_folder(chain: Chain, name: str) -> str:
    """The output folder of a stage's run."""
    return chain.stages[name].output_dir or f"{chain.output_dir}/{name}"


def run_stages(path: str | Path, overrides: Sequence[str] = (), only: str | None = None) -> dict[str, Any]:
    """Runs a file of stages; the rest as ``run_chain``."""
    return run_chain(path, read_chain(path, overrides), only)


def run_chain(path: str | Path, chain: Chain, only: str | None = None) -> dict[str, Any]:
    """Runs a chain; a stage that has ended is left, one that was interrupted goes on.

    Args:
        path: of the chain's file, to whose folder its configs are relative; also for messages.
        only: the one stage to run; those before it must have ended.

    Returns:
        What each stage ended with, as its ``train_results.json`` says.

    Raises:
        UserError: a config is wrong, there is no such stage, or one before it has not ended.
        Interrupted: a signal came; the stage's state is saved.
    """
    from ppernie.engine.train import train

    if only is not None and only not in chain.stages:
        raise UserError(f"{path}: has no stage {only}; there are {', '.join(chain.stages)}")
    results: dict[str, Any] = {}
    for name in chain.stages:
        ended = Path(stage_folder(chain, name)) / "train_results.json"
        if ended.exists():
            logger.info("Stage %s has ended: %s", name, ended.parent)
            results[name] = json.loads(ended.read_text(encoding="utf-8"))
        elif only in (None, name):
            results[name] = train(stage_config(path, chain, name), "auto")
        else:
            raise UserError(f"{path}: the stage {name} comes before {only} and has not ended; run it first")
        if name == only:
            break
    return results
