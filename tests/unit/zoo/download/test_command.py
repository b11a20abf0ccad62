from __future__ import annotations

import argparse
import hashlib
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ppernie.cli import download
from ppernie.errors import UserError
from ppernie.zoo.manifest import Variant

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Iterator[Run]:
    """Exit status and output of ``ppernie download``."""
    logger = logging.getLogger("ppernie")
    before = (logger.handlers, logger.level, logger.propagate)

    def run(*arguments: str) -> tuple[int, str]:
        parser = argparse.ArgumentParser()
        download.add_arguments(parser)
        args = parser.parse_args(arguments)
        return download.run(args), capsys.readouterr().out

    yield run
    logger.handlers, logger.level, logger.propagate = before


@pytest.fixture
def known(server: Any, content: bytes, monkeypatch: pytest.MonkeyPatch) -> dict[str, Variant]:
    """A manifest of three variants, one of them without files."""
    base = Variant(
        name="tiny",
        family="ernie3",
        folder="tiny",
        network="ernie3",
        architecture={"num_hidden_layers": 4, "hidden_size": 312, "num_attention_heads": 12, "vocab_size": 9},
        parameters=17_912_232,
        languages=("zh", "en"),
        licence="Apache-2.0",
        files=(server.file("weights.bin", md5=hashlib.md5(content).hexdigest()), server.file("vocab.txt")),
    )
    empty = {"name": "closed", "folder": "closed", "family": "ernie5", "files": (), "note": "no weights are released"}
    found = {
        "tiny": base,
        "other-name": base.model_copy(update={"name": "other-name"}),
        "closed": base.model_copy(update={**empty, "architecture": {}, "parameters": None}),
    }
    monkeypatch.setattr("ppernie.zoo.manifest.variants", lambda: found)
    return found


def test_list_shows_what_is_cached(run: Run, known: dict[str, Variant]) -> None:
    status, text = run("list")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()]
    assert status == 0
    assert rows[0] == ["name", "layers / hidden / heads", "vocabulary", "parameters", "languages", "licence", "cached"]
    assert rows[2] == ["tiny", "4 / 312 / 12", "9", "17,912,232", "zh, en", "Apache-2.0", "no"]
    assert rows[4] == ["closed", "", "", "", "zh, en", "Apache-2.0", "-"]
    run("get", "tiny")
    assert [line.split("|")[-2].strip() for line in run("list", "ernie3")[1].splitlines()[2:]] == ["yes", "yes"]
    with pytest.raises(UserError, match="no family 'bert'; known: ernie3, ernie5"):
        run("list", "bert")


def test_show_tells_all_of_an_entry(run: Run, known: dict[str, Variant], server: Any, home: Path, sha256: str) -> None:
    text = run("show", "tiny")[1]
    for part in ("num_hidden_layers: 4", "17912232", f"{server.address}/weights.bin", "md5:", "unknown", "(absent)"):
        assert part in text
    run("get", "tiny")
    text = run("show", "tiny")[1]
    assert f"pinned: sha256:{sha256}" in text
    assert f"place: {home / 'models' / 'tiny' / 'weights.bin'}\n" in text
    assert "no weights are released" in run("show", "closed")[1]


def test_get_takes_names_and_addresses(run: Run, known: dict[str, Variant], server: Any, home: Path) -> None:
    status, text = run("get", "tiny", "other-name", f"{server.address}/weights.bin")
    assert status == 0
    lines = [line for line in text.splitlines() if not line.startswith("[")]
    assert lines[0] == f"tiny: {home / 'models' / 'tiny'}"
    assert lines[1] == f"other-name: {home / 'models' / 'tiny'}"
    assert lines[2].startswith(f"{server.address}/weights.bin: {home / 'addresses'}")
    assert len(server.requests) == 3
    with pytest.raises(UserError, match="closed: cannot be downloaded; no weights are released"):
        run("get", "closed")
    with pytest.raises(UserError, match="did you mean 'tiny'"):
        run("get", "tinny")


def test_verify_tells_by_its_exit_status(run: Run, known: dict[str, Variant], home: Path, content: bytes) -> None:
    assert run("verify") == (0, "nothing is cached\n")
    assert run("verify", "tiny")[0] == 1
    run("get", "tiny")
    for arguments in (["verify"], ["verify", "tiny"], ["verify", "other-name"]):
        status, text = run(*arguments)
        assert status == 0
        assert text.count(" OK ") == 2
    (home / "models" / "tiny" / "weights.bin").write_bytes(content[::-1])
    status, text = run("verify")
    assert status == 1
    assert "CHANGED" in text
    assert "weights.bin: md5 is" in text


def test_cards_tell_which_are_behind(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ppernie.zoo.cards.write_cards", lambda check: ["a/README.md"])
    assert run("cards", "--check") == (1, "a/README.md: is behind the manifest; run `ppernie download cards`\n")
    assert run("cards") == (0, "a/README.md: written\n")


def test_listing_needs_neither_paddle_nor_the_http_client(home: Path) -> None:
    code = """
import argparse, sys
from ppernie.cli import download
parser = argparse.ArgumentParser()
download.add_arguments(parser)
download.run(parser.parse_args(["list"]))
print("LOADED", *sys.modules)
"""
    text = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    table, _, loaded = text.partition("LOADED")
    assert "ernie-3.0-base-zh" in table
    assert not {"paddle", "paddlenlp", "httpx"} & set(loaded.split())
