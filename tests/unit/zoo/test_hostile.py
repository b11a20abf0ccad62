"""Files made to harm: refused with a message, within a second, before memory is taken and before anything runs."""

from __future__ import annotations

import io
import json
import pickle
import struct
import tarfile
import time
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ppernie
from ppernie.cli.main import main
from ppernie.errors import UserError

MEGABYTE = 2**20


class Code:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return open, (str(self.path), "w")


@pytest.fixture
def folder(make_origin: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """PaddleNLP's folder of a small encoder; nothing may appear beside it but the cache."""
    monkeypatch.setenv("PPERNIE_HOME", str(tmp_path / "home" / "cache"))
    return make_origin("Model").save(tmp_path / "home" / "model", "paddlenlp")


def pickled(value: Callable[[dict[str, Any], Code], Any], protocol: int = 4) -> Callable[[Path], Path]:
    """Weights with code at some place."""

    def harm(folder: Path) -> Path:
        path = folder / "model_state.pdparams"
        weights = pickle.loads(path.read_bytes())
        path.write_bytes(pickle.dumps(value(weights, Code(folder.parents[1] / "ran")), protocol))
        return folder

    return harm


def torch_pickle(folder: Path) -> Path:
    (folder / "model_state.pdparams").unlink()
    with zipfile.ZipFile(folder / "pytorch_model.bin", "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({"a": Code(folder.parents[1] / "ran")}, 2))
        archive.writestr("archive/version", "3\n")
    return folder


def configured(**changes: Any) -> Callable[[Path], Path]:
    """Other values in the configuration."""

    def harm(folder: Path) -> Path:
        path = folder / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))
        return folder

    return harm


def replaced(name: str, content: bytes) -> Callable[[Path], Path]:
    """A file with another content; weights that come in another file take the place of the old ones."""

    def harm(folder: Path) -> Path:
        if name.startswith("model"):
            (folder / "model_state.pdparams").unlink()
        (folder / name).write_bytes(content)
        return folder

    return harm


def sparse(name: str) -> Callable[[Path], Path]:
    def harm(folder: Path) -> Path:
        with (folder / name).open("wb") as file:
            file.truncate(2**30)
        return folder

    return harm


def packed(*entries: tarfile.TarInfo) -> Callable[[Path], Path]:
    """An archive of the folder with entries more."""

    def harm(folder: Path) -> Path:
        path = folder.parent / "model.tar.gz"
        with tarfile.open(path, "w:gz") as archive:
            for entry in entries:
                archive.addfile(entry, io.BytesIO(b"x" * entry.size))
            archive.add(folder, "model")
        return path

    return harm


def entry(name: str, link: str = "", kind: bytes = tarfile.REGTYPE) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    info.size = 0 if link else 4
    return info


def index(shard: str) -> bytes:
    return json.dumps({"weight_map": {"embeddings.word_embeddings.weight": shard}}).encode()


def header(**tensors: Any) -> bytes:
    text = json.dumps(tensors).encode()
    return struct.pack("<Q", len(text)) + text


HARM: dict[str, Callable[[Path], Path]] = {
    "code": pickled(lambda weights, code: code),
    "code-old-protocol": pickled(lambda weights, code: code, 0),
    "code-as-tensor": pickled(lambda weights, code: weights | {"embeddings.word_embeddings.weight": code}),
    "code-in-list": pickled(lambda weights, code: weights | {"extra": [(1, {"a": code})]}),
    "code-in-array": pickled(lambda weights, code: weights | {"extra": np.array([code], object)}),
    "code-in-torch": torch_pickle,
    "code-as-words": lambda folder: replaced("dict.wordseg.pickle", pickle.dumps(Code(folder.parents[1] / "ran")))(
        folder
    ),
    "archive-above": packed(entry("../../ran")),
    "archive-absolute": packed(entry("/tmp/ppernie-test-ran")),
    "archive-link": packed(entry("out", "../..", tarfile.SYMTYPE), entry("out/ran")),
    "archive-hard-link": packed(entry("out", "/etc/passwd", tarfile.LNKTYPE)),
    "archive-device": packed(entry("out", "", tarfile.CHRTYPE)),
    "safetensors-header": replaced("model.safetensors", struct.pack("<Q", 2**60) + b"{}"),
    "safetensors-shape": replaced(
        "model.safetensors", header(a={"dtype": "F32", "shape": [2**40, 2**40], "data_offsets": [0, 4]})
    ),
    "safetensors-sparse": sparse("model.safetensors"),
    "index-above": replaced("model.safetensors.index.json", index("../../etc/passwd")),
    "index-absolute": replaced("model_state.pdparams.index.json", index("/etc/passwd")),
    "index-itself": replaced("model.safetensors.index.json", index("model.safetensors.index.json")),
    "layers": configured(num_hidden_layers=10**9),
    "layers-allowed": configured(num_hidden_layers=1024),
    "sizes": configured(hidden_size=65_536, vocab_size=10**7, intermediate_size=10**6, num_attention_heads=1),
    "negative": configured(hidden_size=-16),
    "heads": configured(num_attention_heads=0),
    "infinite": configured(initializer_range=float("inf")),
    "not-a-number": configured(initializer_range=float("nan")),
    "config-list": replaced("config.json", b"[1]"),
    "config-deep": replaced("config.json", b'{"a":' * 200_000),
    "config-sparse": sparse("config.json"),
    "vocab": replaced("vocab.txt", b"a\n" * 10**7),
    "vocab-sparse": sparse("vocab.txt"),
}
# What only the tokenizer reads.
WORDS = ("code-as-words", "vocab", "vocab-sparse")


def refused(act: Callable[[], object]) -> None:
    tracemalloc.start()
    try:
        start = time.process_time()
        with pytest.raises(UserError):
            act()
        assert time.process_time() - start < 1
        assert tracemalloc.get_traced_memory()[1] < 50 * MEGABYTE
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("harm", HARM)
def test_nothing_happens(harm: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = HARM[harm](folder)
    refused(lambda: (ppernie.load_tokenizer if harm in WORDS else ppernie.from_pretrained)(source))
    assert main(["convert", "--to", "ppernie", str(source), str(tmp_path / "home" / "new")]) == 2
    message = capsys.readouterr().err
    assert "error: " in message and "Traceback" not in message
    assert {path.name for path in tmp_path.iterdir()} == {"home"}
    assert {path.name for path in (tmp_path / "home").iterdir()} <= {"model", "model.tar.gz", "cache"}
    assert not Path("/tmp/ppernie-test-ran").exists()
