"""The topologies of ERNIE 3.0's large pretraining configs beside the GPUs that their comments name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from model_zoo.ernie3.universal.config import UniversalConfig, parameter_count
from ppernie.config import load_config
from ppernie.parallel.sizing import Hardware, Work, describe, rank
from ppernie.parallel.sizing.memory import Widths

DEGREES = ("mp", "sequence_parallel", "pp", "sharding", "sharding_stage", "recompute")


@pytest.mark.parametrize("size", ["1.5b", "10b"])
def test_the_longest_batch_fits_the_gpus(repository: Path, size: str) -> None:
    """That is one of documents: a row is as long as several inputs, and all of its tokens are predicted."""
    path = repository / "configs" / "ernie3" / "pretrain" / f"universal_{size}.yaml"
    claim = re.search(r"--gpus (\d+) --memory (\d+) --plain-attention", path.read_text(encoding="utf-8"))
    assert claim
    gpus, capacity = int(claim[1]), float(claim[2]) * 1e9
    config = load_config(path)
    section, train, arch = config.Distributed, config.Train, config.Arch.model
    assert isinstance(arch, UniversalConfig)
    rows = train.batch_size * config.Task.options.segments
    network = describe(arch, config.Data.max_length, fused_attention=False, predicted=1.0)
    work = Work(rows * train.accumulate_steps * gpus // (section.mp * section.pp), (rows,), config.AMP.dtype)
    wanted = {name: [str(getattr(section, name)).lower()] for name in DEGREES}
    hardware = Hardware()
    [found] = rank(network, work, gpus, capacity, hardware, wanted)
    assert found.degrees.accumulate_steps == train.accumulate_steps
    # The estimate is a plain encoder's; modules and relative attention count as if they were whole on every rank.
    widths = Widths.of(work.dtype)
    each = widths.parameter + widths.gradient + widths.optimizer / section.sharding
    more = (parameter_count(arch) - network.parameters) * each
    assert found.memory.total + more < capacity * (1 - hardware.reserved)
