"""Streamed networks beside resident ones: the same bits, with two layers in memory."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import pytest

from ppernie import registry
from ppernie.cli.main import main
from ppernie.data.tokenizers import GlmTokenizer
from ppernie.errors import UserError
from ppernie.inference.loading import open_folder
from ppernie.inference.pipeline import open_pipeline
from ppernie.slim.weight_only import Scheme
from ppernie.zoo import manifest
from ppernie.zoo.description import ModelDescription
from ppernie.zoo.folder import read_description, save_model
from ppernie.zoo.layerwise import convert_layers

LAYERS = 4
TEXT = ["the cat sat on the mat", "a dog ran after the cat and the bird", "birds sing in the old trees", "雨中山果落"]
SCHEMES = {"float": None, "int8": Scheme(bits=8), "int4": Scheme(bits=4, group_size=32)}


@pytest.fixture(scope="module")
def glm_tokenizer() -> GlmTokenizer:
    from ppernie.data.tokenizers.training import train_icetk

    return train_icetk(TEXT * 5, 378)


@pytest.fixture(scope="module", params=SCHEMES)
def folder(
    request: pytest.FixtureRequest, glm_tokenizer: GlmTokenizer, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A folder with one file a layer, and tables of half precision."""
    paddle.set_device("cpu")
    paddle.seed(7)
    place = tmp_path_factory.mktemp("models")
    description = describe(glm_tokenizer.vocab_size, hidden_size=64, intermediate_size=96, num_attention_heads=4)
    network = registry.arch_class("glm/GlmForBlankInfilling")(description.arch_config())
    weights = {name: p.numpy().astype(np.float16) for name, p in network.named_parameters()}
    save_model(place / "plain", weights, description, glm_tokenizer, {})
    convert_layers(place / "plain", place / "layers", scheme=SCHEMES[request.param])
    return place / "layers"


def describe(vocab_size: int, **fields: Any) -> ModelDescription:
    sizes = {"vocab_size": vocab_size, "num_hidden_layers": LAYERS, "max_position_embeddings": 128, **fields}
    arch = manifest.find("glm-130b").architecture | sizes
    return ModelDescription(arch={"name": "glm/GlmForBlankInfilling", **arch}, task=None, max_length=128)


def forward(network: Any, seed: int = 0) -> np.ndarray:
    ids = paddle.to_tensor(np.random.default_rng(seed).integers(20, 300, (2, 12)))
    visible = paddle.to_tensor(np.stack([np.full((2, 12), value) for value in (0, 5, 0)], axis=1))
    with paddle.no_grad():
        return network(ids, paddle.arange(12).expand([2, 1, 12]), visible).numpy()


def test_every_pass_has_the_bits_of_the_resident_network(folder: Path) -> None:
    streamed, resident = (open_folder(folder, stream=stream).network for stream in (True, False))
    # Beside float layers the resident network's table is float too, and another product makes the scores.
    tolerance = 0.0 if read_description(folder).quantization else 2e-6
    for seed in range(3):
        np.testing.assert_allclose(forward(streamed, seed), forward(resident, seed), rtol=0, atol=tolerance)


def test_texts_are_the_same(folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    rows = tmp_path / "rows.txt"
    rows.write_text("the cat\nbirds sing in [MASK] trees\n", encoding="utf-8")
    written = []
    for more in ([], ["--stream"]):
        command = ["predict", "--model", str(folder), "--input", str(rows), "-o", "max_target_length=8"]
        assert main([*command, "decoding.strategy=beam", "decoding.beams=2", *more]) == 0
        written.append(capsys.readouterr().out)
    assert written[0] == written[1] and written[0].count("text") == 2


def test_a_layer_has_weights_in_its_turn_alone(folder: Path) -> None:
    network = open_folder(folder, stream=True).network
    outside = {name for name, p in network.named_parameters() if p._is_initialized()}
    assert outside and not [name for name in outside if name.startswith("layers.")]
    seen = set()
    for number, layer in enumerate(network.layers):
        assert all(parameter._is_initialized() for parameter in layer.parameters())
        seen.add(layer.norm1.weight.data_ptr())
        others = [p for n, other in enumerate(network.layers.sublayers()) for p in other.parameters(False)]
        assert sum(p._is_initialized() for p in others) == len(layer.parameters()), number
    assert len(seen) == 2
    assert not [p for layer in network.layers.children() for p in layer.parameters() if p._is_initialized()]


def test_a_pass_that_was_broken_off(folder: Path) -> None:
    network = open_folder(folder, stream=True).network
    expected = forward(network)
    for stop in range(LAYERS):
        for number, _ in enumerate(network.layers):
            if number == stop:
                break
        assert np.array_equal(forward(network), expected), stop


def test_waiting_for_what_is_read_ahead(folder: Path) -> None:
    network = open_folder(folder, stream=True).network
    network.layers.wait()
    expected = forward(network)
    network.layers.wait()
    number, future = network.layers._coming
    assert number == 0 and future.done()
    assert np.array_equal(forward(network), expected)


def test_a_file_that_is_cut_off_meanwhile(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    network = open_folder(copy, stream=True).network
    path = copy / "model-00004-of-00005.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="model-00004-of-00005.safetensors.*is shorter than it says"):
        forward(network)
    path.write_bytes(whole)
    assert np.isfinite(forward(network)).all()


def test_what_is_refused(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "deploy.yml").write_text("{}\n")
    with pytest.raises(UserError, match="an export is not streamed"):
        open_pipeline(tmp_path, stream=True)
    assert main(["complete", "--model", str(tmp_path / "nothing"), "--stream"]) == 2
    assert "no such model folder" in capsys.readouterr().err


SCRIPT = """
import sys
from pathlib import Path
import numpy as np, paddle
from ppernie.inference.streaming import stream_built
from ppernie.zoo.folder import read_description

def status(name):
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(name + ":")) * 1024

def run(folder):
    description = read_description(Path(folder))
    network = stream_built(Path(folder), description, description.build_network)
    network.eval()
    ids = paddle.arange(2).unsqueeze(0)
    with paddle.no_grad():
        network.extend(ids, ids.unsqueeze(0), None, None)

run(sys.argv[1])
before = status("VmHWM")
run(sys.argv[2])
print(status("VmHWM") - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_no_more_than_two_layers_are_held(tmp_path: Path, repository: Path) -> None:
    rng = np.random.default_rng(0)
    for name, size in (("small", 64), ("large", 768)):
        description = describe(40, hidden_size=size, intermediate_size=3 * size, num_attention_heads=4)
        shards = registry.family_shards("glm")
        assert shards is not None
        weights = {
            key: rng.standard_normal(one.cut.shape[::-1] if one.turned else one.cut.shape, np.float32) / 32
            for key, one in shards.layout(description.arch_config()).items()
        }
        save_model(tmp_path / f"{name}_plain", weights, description, None, {})
        convert_layers(tmp_path / f"{name}_plain", tmp_path / name, scheme=Scheme(bits=8))
    layer = sorted((tmp_path / "large").glob("*.safetensors"))[-1].stat().st_size
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / "small"), str(tmp_path / "large")]
    result = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert layer > 6e6 and int(result.stdout) < 2 * layer + 4e6
