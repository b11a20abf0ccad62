"""Memory and reading: a network is filled straight from its file."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

# A vocabulary that is most of the network, as in the small released models, and matrices that are to be turned.
SIZES = {
    "vocab_size": 24_000,
    "hidden_size": 384,
    "num_hidden_layers": 4,
    "num_attention_heads": 6,
    "intermediate_size": 1536,
    "task_type_vocab_size": 0,
}
SCRIPT = """
import sys
import ppernie

def status(name, file="/proc/self/status"):
    return next(int(line.split()[1]) for line in open(file) if line.startswith(name + ":"))

tiny, large, head = sys.argv[1:]
ppernie.from_pretrained(tiny, head)
with open("/proc/self/clear_refs", "w") as file:
    file.write("5")  # the peak starts anew
memory, read = status("VmRSS"), status("rchar", "/proc/self/io")
model = ppernie.from_pretrained(large, head)
print(sum(p.size for p in model.parameters()) * 4, (status("VmHWM") - memory) * 1024,
      status("rchar", "/proc/self/io") - read)
"""


@pytest.fixture(scope="module")
def origins(make_origin: Callable[..., Any]) -> dict[str, Any]:
    kinds = ("ForSequenceClassification", "ForMaskedLM")
    return {kind: {"tiny": make_origin(kind), "large": make_origin(kind, **SIZES)} for kind in kinds}


def copied(folder: Path) -> None:
    """Writes every tensor's own bytes, where names that are tied shared theirs."""
    path = folder / "model_state.pdparams"
    weights = pickle.loads(path.read_bytes())
    path.write_bytes(pickle.dumps({name: array.copy() for name, array in weights.items()}, protocol=4))


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(
    ("kind", "library", "copies", "head"),
    [
        ("ForSequenceClassification", "paddlenlp", False, "sequence_classification"),
        ("ForSequenceClassification", "huggingface", False, "sequence_classification"),
        # The word table has a second name.
        ("ForMaskedLM", "paddlenlp", False, "masked_language_modeling"),
        ("ForMaskedLM", "paddlenlp", True, "masked_language_modeling"),
    ],
)
def test_peak_and_bytes_read(
    kind: str, library: str, copies: bool, head: str, origins: dict[str, Any], repository: Path, tmp_path: Path
) -> None:
    tiny, large = (origin.save(tmp_path / name, library) for name, origin in origins[kind].items())
    if copies:
        copied(large)
    command = [sys.executable, "-W", "ignore", "-c", SCRIPT, str(tiny), str(large), head]
    result = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    weights, memory, read = map(int, result.stdout.split())
    assert weights > 60e6
    assert memory <= 1.3 * weights, f"{memory / weights:.2f}"
    file = next(path for path in large.iterdir() if path.suffix in (".pdparams", ".safetensors"))
    assert read <= 1.02 * file.stat().st_size, f"{read / file.stat().st_size:.3f}"
