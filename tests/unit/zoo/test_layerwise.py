"""``ppernie convert`` of what no memory holds: shards and folders of ours, quantised or not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ppernie import registry
from ppernie.cli.main import main
from ppernie.slim.weight_only import Scheme
from ppernie.slim.weight_only.folder import open_layers
from ppernie.zoo import manifest
from ppernie.zoo.description import ModelDescription
from ppernie.zoo.folder import save_model

FIELDS = manifest.find("glm-130b").architecture | {
    "vocab_size": 40,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 8,
    "intermediate_size": 48,
}


def folder_of_ours(target: Path, **fields: Any) -> Path:
    description = ModelDescription(
        arch={"name": "glm/GlmForBlankInfilling", **FIELDS, **fields}, task=None, max_length=64
    )
    rng = np.random.default_rng(0)
    shards = registry.family_shards("glm")
    assert shards is not None
    weights = {
        name: (rng.standard_normal(one.cut.shape[::-1] if one.turned else one.cut.shape) / 8).astype(np.float16)
        for name, one in shards.layout(description.arch_config()).items()
    }
    save_model(target, weights, description, None, {})
    return target


@pytest.fixture
def ours(tmp_path: Path) -> Path:
    return folder_of_ours(tmp_path / "ours")


def convert(*arguments: object) -> int:
    return main(["convert", *map(str, arguments)])


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_shards_there_and_back(ours: Path, tmp_path: Path) -> None:
    assert convert("--to", "shards", "--ranks", 8, ours, tmp_path / "eight") == 0
    assert convert("--to", "shards", "--ranks", 2, tmp_path / "eight", tmp_path / "two") == 0
    assert convert("--to", "shards", "--ranks", 8, tmp_path / "two", tmp_path / "again") == 0
    assert contents(tmp_path / "again") == contents(tmp_path / "eight")
    assert convert("--to", "ppernie", tmp_path / "two", tmp_path / "back") == 0
    first, last = open_layers(ours), open_layers(tmp_path / "back")
    assert first.description == last.description
    assert first.tensors.keys() == last.tensors.keys()
    assert all(np.array_equal(first.tensors[name].read(), last.tensors[name].read()) for name in first.tensors)


def test_quantizing_shards_is_quantizing_the_folder(ours: Path, tmp_path: Path) -> None:
    assert convert("--to", "shards", "--ranks", 4, ours, tmp_path / "shards") == 0
    options = ["--to", "ppernie", "--quantize", "int4", "--group-size", 16]
    assert convert(*options, ours, tmp_path / "one") == 0
    assert convert(*options, tmp_path / "shards", tmp_path / "other") == 0
    first, second = open_layers(tmp_path / "one"), open_layers(tmp_path / "other")
    assert first.scheme == second.scheme == Scheme(bits=4, group_size=16)
    assert first.tensors.keys() == second.tensors.keys()
    assert all(np.array_equal(first.tensors[name].read(), second.tensors[name].read()) for name in first.tensors)


def test_shards_that_are_quantized_become_float_and_nothing_else(
    ours: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On one rank the scales are those of a folder of ours."""
    quantize = ["--quantize", "int4"]
    assert convert("--to", "shards", "--ranks", 1, *quantize, ours, tmp_path / "shards") == 0
    assert convert("--to", "ppernie", *quantize, ours, tmp_path / "int4") == 0
    assert convert("--to", "ppernie", tmp_path / "shards", tmp_path / "float") == 0
    floats, quantized = open_layers(tmp_path / "float"), open_layers(tmp_path / "int4")
    assert floats.scheme is None and quantized.scheme == Scheme(bits=4)
    assert floats.tensors.keys() == quantized.tensors.keys()
    assert all(np.array_equal(floats.tensors[name].read(), quantized.tensors[name].read()) for name in floats.tensors)
    assert convert("--to", "ppernie", *quantize, tmp_path / "shards", tmp_path / "new") == 2
    assert "shards: is quantised already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--to", "shards"], "needs --ranks N"),
        (["--to", "ppernie", "--ranks", "2"], "needs --ranks N"),
        (["--to", "shards", "--ranks", "3"], "do not divide by 3 ranks"),
        (["--to", "shards", "--ranks", "2", "--quantize", "int4", "--group-size", "8"], "a scale for each row"),
        (["--to", "paddlenlp", "--quantize", "int8"], "--to ppernie in place of --to paddlenlp"),
        (["--to", "ppernie", "--group-size", "64"], "--group-size is of --quantize"),
        (["--to", "ppernie", "--quantize", "int8", "--group-size", "1"], "64 and 128 are usual"),
        (["--to", "ppernie", "--quantize", "int8", "--group-size", "10"], "not a multiple of the group size 10"),
    ],
)
def test_mistakes(
    ours: Path, tmp_path: Path, options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert convert(*options, ours, tmp_path / "new") == 2
    assert message in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ours"]


def test_sources_that_are_refused(ours: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    quantize = ["--to", "ppernie", "--quantize", "int8"]
    assert convert(*quantize, ours, tmp_path / "int8") == 0
    assert convert(*quantize, tmp_path / "int8", tmp_path / "new") == 2
    assert "is quantised already" in capsys.readouterr().err
    assert convert(*quantize, tmp_path / "nothing", tmp_path / "new") == 2
    assert "no such folder" in capsys.readouterr().err
    assert convert(*quantize, ours, tmp_path / "int8") == 2
    assert "is there already" in capsys.readouterr().err
    assert convert("--to", "shards", "--ranks", 2, ours, tmp_path / "shards") == 0
    assert convert("--to", "huggingface", tmp_path / "shards", tmp_path / "new") == 2
    assert "shards become a folder of ppernie first" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_quantized_weights_become_float_again(ours: Path, tmp_path: Path) -> None:
    assert convert("--to", "ppernie", "--quantize", "int4", ours, tmp_path / "int4") == 0
    assert convert("--to", "ppernie", tmp_path / "int4", tmp_path / "float") == 0
    quantized, floats = open_layers(tmp_path / "int4"), open_layers(tmp_path / "float")
    assert floats.scheme is None and floats.description.quantization is None
    for name, tensor in floats.tensors.items():
        assert np.array_equal(tensor.read(), quantized.tensors[name].read()), name


SCRIPT = """
import sys
from pathlib import Path
from ppernie.slim.weight_only import Scheme
from ppernie.zoo.layerwise import convert_layers, convert_to_shards

def status(name):
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(name + ":")) * 1024

tiny, large, target = map(Path, sys.argv[1:])
convert_to_shards(tiny, target / "tiny", 2)
convert_layers(target / "tiny", target / "tiny4", scheme=Scheme(bits=4))
before = status("VmHWM")
convert_to_shards(large, target / "two", 2)
convert_to_shards(target / "two", target / "four", 4)
convert_layers(target / "four", target / "int4", scheme=Scheme(bits=4))
convert_layers(target / "four", target / "half")
print(status("VmHWM") - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_no_more_than_a_matrix_is_held(ours: Path, tmp_path: Path, repository: Path) -> None:
    large = folder_of_ours(
        tmp_path / "large", vocab_size=50_000, hidden_size=512, intermediate_size=1536, num_hidden_layers=5
    )
    size = (large / "model.safetensors").stat().st_size
    matrix = 2 * 1536 * 512 * 2
    assert size > 80e6
    command = [sys.executable, "-c", SCRIPT, str(ours), str(large), str(tmp_path)]
    result = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    # A matrix, and some blocks of a few MB of numbers of half and of full precision.
    assert int(result.stdout) < 2 * matrix + 40e6
