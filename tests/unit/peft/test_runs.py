"""Runs with LoRA: what they save, that it loads as a plain network, and that adapters know their base."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from ppernie.config.sections import Config
from ppernie.engine.evaluate import evaluate
from ppernie.engine.gather import gather_checkpoint
from ppernie.engine.train import train
from ppernie.errors import Interrupted, UserError
from ppernie.zoo.folder import load_model
from ppernie.zoo.sources import open_source

ADAPTERS = {"lora": {"rank": 2, "alpha": 4}, "save": "adapters"}


def best(config: Config) -> Path:
    return Path(config.Global.output_dir, "best_model")


def results(config: Config) -> dict[str, Any]:
    return json.loads(Path(config.Global.output_dir, "train_results.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("save", ["whole", "adapters"])
def test_the_folder_of_a_run_is_the_network_that_it_tested(save: str, tuned_config: Callable[..., Config]) -> None:
    config = tuned_config(tuning={**ADAPTERS, "save": save})
    train(config)
    folder, base = best(config), load_file(Path(config.Global.pretrained_model or "", "model.safetensors"))
    name = "backbone.encoder.layers.0.self_attn.qkv_proj"
    if save == "adapters":
        stored = load_file(folder / "adapters.safetensors")
        assert not (folder / "model.safetensors").exists()
        assert {key.split(".")[-2] for key in stored} == {"lora_a", "lora_b", "classifier"}
    else:
        stored = load_file(folder / "model.safetensors")
        assert not any("lora" in key for key in stored)
        update = stored[f"{name}.weight"] - base[f"{name}.weight"]
        assert np.linalg.matrix_rank(update, tol=1e-5) == 2
        frozen = "backbone.encoder.layers.0.feed_forward.linear1.weight"
        np.testing.assert_array_equal(stored[frozen], base[frozen])
    network, task, description = load_model(folder)
    assert not any("lora" in key for key, _ in network.named_parameters())
    rows = [json.loads(line) for line in Path(config.Data.root or "", "test.jsonl").read_text("utf-8").splitlines()]
    items = [item for row in rows for item in task.expand(row, True)]
    found = evaluate(network, task, items, 8)
    assert found == pytest.approx(results(config)["test"], abs=1e-5)
    assert description.tuning is None or description.tuning.base is not None


def test_checkpoints_hold_what_learns(tuned_config: Callable[..., Config], tmp_path: Path) -> None:
    config = tuned_config()
    train(config)
    (rank,) = max(Path(config.Global.output_dir, "checkpoints").iterdir()).glob("*.safetensors")
    names = list(load_file(rank))
    assert any("lora_a.weight.moment1" in name for name in names)
    assert not any(part in name for name in names for part in ("embeddings", "linear1", "norm", "qkv_proj.weight"))
    gather_checkpoint(rank.parent, tmp_path / "gathered")
    load_model(tmp_path / "gathered")


def test_an_interrupted_run_goes_on_to_the_bit(
    tuned_config: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    import os

    from ppernie.engine.recorder import Recorder

    base = tuned_config("whole")
    assert base.Global.pretrained_model is not None
    train(base)
    stopped = tuned_config("stopped", base.Global.pretrained_model)
    plain = Recorder.progress

    def progress(self: Recorder, done: int) -> None:
        plain(self, done)
        if done == 7:
            os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(Recorder, "progress", progress)
        with pytest.raises(Interrupted):
            train(stopped)
    train(stopped, resume="auto")
    for name, array in load_file(best(base) / "model.safetensors").items():
        np.testing.assert_array_equal(load_file(best(stopped) / "model.safetensors")[name], array)
    assert results(stopped) == results(base)


def test_adapters_on_another_base_are_an_error(
    tuned_config: Callable[..., Config], make_base: Callable[..., str]
) -> None:
    config = tuned_config(tuning=ADAPTERS, max_steps=5)
    train(config)
    base = Path(config.Global.pretrained_model or "")
    with pytest.raises(UserError, match="holds adapters and not their network"):
        open_source(best(config))
    shutil.rmtree(base)
    with pytest.raises(UserError, match=r"the base of these adapters cannot be opened.*tuning\.base\.model"):
        load_model(best(config))
    make_base(seed=5)
    with pytest.raises(UserError, match="these adapters belong to"):
        load_model(best(config))
    with pytest.raises(UserError, match="these adapters belong to"):
        train(config, resume="auto")


def test_settings_that_make_no_sense(tuned_config: Callable[..., Config]) -> None:
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"save": "adapters"}, "there are no adapters"),
        ({"lora": {}, "prefix": {}}, "leave one of them out"),
        ({"lora": {"rank": 0}}, "must be at least 1"),
        ({"lora": {"ranks": 4}}, "did you mean Tuning.lora.rank"),
        ({"lora": {"targets": []}}, "a list of at least 1"),
    ]
    for tuning, message in wrong:
        with pytest.raises(UserError, match=message):
            tuned_config(tuning=tuning)
    with pytest.raises(UserError, match="takes no prefixes; use Tuning.lora"):
        train(tuned_config(tuning={"prefix": {}}))
