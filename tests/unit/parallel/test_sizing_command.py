from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from ppernie.cli import plan
from ppernie.config import load_config
from ppernie.config.sections import DistributedSection
from ppernie.errors import UserError

GLM = ["--variant", "glm-10b", "--gpus", "16", "--memory", "40", "--global-batch", "64"]


def run(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    plan.add_arguments(parser)
    return plan.run(parser.parse_args(arguments))


def test_a_variant_is_ranked_in_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*GLM, "--top", "3") == 0
    head, hardware, names, _, *rows = capsys.readouterr().out.splitlines()
    assert head.startswith("9,880,682,496 parameters in bfloat16, 64 inputs of 1024 tokens a step; ")
    assert "peak_tflops 312" in hardware
    assert [name.strip() for name in names.strip("|").split("|")][:3] == ["topology", "recompute", "batches"]
    assert len(rows) == 3


def test_json_has_every_figure_of_the_topologies_that_are_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["--fix", "mp=2,4", "recompute=full", "--micro-batch", "1", "2", "--plain-attention", "--top", "1000"]
    run(*GLM, "--json", *asked)
    found = json.loads(capsys.readouterr().out)
    assert {one["degrees"]["mp"] for one in found} == {2, 4}
    assert {one["degrees"]["recompute"] for one in found} == {"full"}
    assert {one["degrees"]["micro_batch"] for one in found} == {1, 2}
    assert set(found[0]) == {"degrees", "memory", "traffic", "seconds", "bubble", "tflops"}


def test_faster_hardware_takes_less_time(capsys: pytest.CaptureFixture[str]) -> None:
    def seconds(*hardware: str) -> float:
        run(*GLM, "--json", "--top", "1", "--hardware", *hardware)
        return sum(json.loads(capsys.readouterr().out)[0]["seconds"].values())

    assert seconds("peak_tflops=624") < seconds("peak_tflops=312") < seconds("peak_tflops=312", "achieved=0.4")


def test_a_config_brings_its_own_work(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = str(repository / "configs/ernie3/pretrain/masked_lm.yaml")
    options = ["--gpus", "4", "--memory", "16", "-o", "Train.batch_size=8", "Data.max_length=64"]
    assert run("-c", config, *options) == 0
    # 4 GPUs with a batch of 8 each; the table, the encoder, the pooler and the head.
    assert capsys.readouterr().out.startswith("76,059,712 parameters in float32, 32 inputs of 64 tokens a step; ")


def test_configs_take_what_is_proposed(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = str(repository / "configs/ernie3/pretrain/masked_lm.yaml")
    options = ["--gpus", "8", "--memory", "16", "--json", "--top", "1000", "--global-batch", "64", "--micro-batch", "4"]
    deep = ["Arch.num_hidden_layers=8"]
    run("-c", config, "-o", *deep, *options, "--plain-attention")
    proposed = [one["degrees"] for one in json.loads(capsys.readouterr().out)]
    assert {degrees["virtual_stages"] for degrees in proposed} > {1}
    for degrees in proposed:
        section = DistributedSection.model_fields.keys() & degrees.keys()
        train = {"batch_size": degrees["micro_batch"], "accumulate_steps": degrees["accumulate_steps"]}
        load_config(
            config,
            deep
            + [f"Distributed.{key}={json.dumps(degrees[key])}" for key in section]
            + [f"Distributed.schedule={'interleaved' if degrees['virtual_stages'] > 1 else '1f1b'}"]
            + [f"Train.{key}={value}" for key, value in train.items()],
        )
        assert len(section) + len(train) == len(degrees)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--hardware", "peak=3"], "--hardware: unknown key 'peak'"),
        (["--hardware", "achieved=3"], "--hardware: achieved: must be at most 1"),
        (["--hardware", "achieved"], "--hardware: 'achieved' is no KEY=VALUE"),
        (["--fix", "sharding_stages=1"], "--fix: unknown key 'sharding_stages'; did you mean 'sharding_stage'"),
        (["--memory", "0"], "--memory is 0"),
        (["--memory", "4"], r"nothing fits: .* needs \d+\.\d GB of each GPU, and 3\.6 GB of 4 can be used"),
        (["-o", "Train.epochs=1"], "-o changes a config, and --variant names none"),
        (["--length", "4096"], "longer than the 1024"),
    ],
)
def test_mistakes_are_told(arguments: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        run(*GLM, *arguments)


def test_a_variant_needs_a_batch_and_a_known_network() -> None:
    with pytest.raises(UserError, match="--global-batch is missing"):
        run(*GLM[:-2])
    with pytest.raises(UserError, match="nothing is known of the network of"):
        run("--variant", "ernie-5.0", *GLM[2:])
