from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import socket
import tarfile
from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest

from ppernie.errors import UserError
from ppernie.zoo.download import Policy, cached, get_address, get_file, get_variant, unpacked, verify
from ppernie.zoo.manifest import File, Variant


def variant(*files: File, **changes: Any) -> Variant:
    values: dict[str, Any] = {"network": None, "languages": ("zh",), "licence": "Apache-2.0", "note": "a test"}
    return Variant(name="model", family="ernie3", folder="model", files=files, **(values | changes))


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def connect(*args: object) -> None:
        pytest.fail("something tried to connect")

    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, connect)
    monkeypatch.setattr(socket, "getaddrinfo", connect)


def test_a_variant_is_a_folder_with_all_its_files(server: Any, home: Path, policy: Policy) -> None:
    model = variant(server.file("weights.bin"), server.file("vocab.txt", content=b"[PAD]\n"))
    assert not cached(model)
    assert get_variant(model, policy) == home / "models" / "model"
    assert cached(model)
    assert {path.name for path in (home / "models" / "model").iterdir()} == {"weights.bin", "vocab.txt"}


@pytest.mark.parametrize("text", [{"by_hand": "ask with a form"}, {"note": "ask with a form"}])
def test_a_variant_without_files_says_why(text: dict[str, str]) -> None:
    with pytest.raises(UserError, match="model: cannot be downloaded; ask with a form"):
        get_variant(variant(**text))


def test_offline_cached_files_work_and_nothing_connects(
    server: Any, home: Path, policy: Policy, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    model = variant(server.file())
    get_variant(model, policy)
    request.getfixturevalue("no_network")
    monkeypatch.setenv("PPERNIE_OFFLINE", "1")
    assert get_variant(model, policy) == home / "models" / "model"
    absent = File(name="vocab.txt", address="https://bj.bcebos.com/vocab.txt", mirrors=("https://a.b/vocab.txt",))
    with pytest.raises(UserError) as caught:
        get_file(absent, "model", policy)
    for part in ("PPERNIE_OFFLINE", absent.address, *absent.mirrors, str(home / "models" / "model" / "vocab.txt")):
        assert part in str(caught.value)
    monkeypatch.setenv("PPERNIE_OFFLINE", "perhaps")
    with pytest.raises(UserError, match="set it to 1 or 0"):
        get_file(absent, "model", policy)


def test_the_endpoint_is_asked_first_and_the_address_after_it(
    server: Any, policy: Policy, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PPERNIE_ENDPOINT", f"{server.address}/mirror/")
    for path in ("mirror/models/a.bin", "mirror/other/b.bin"):
        server.content[f"/{path}"] = content
    for address in (
        "https://bj.bcebos.com/paddlenlp/models/a.bin",
        "https://paddlenlp.bj.bcebos.com/models/a.bin",
        "https://example.com/other/b.bin",
    ):
        name = hashlib.md5(address.encode()).hexdigest()
        assert get_file(File(name=name, address=address), "model", policy).read_bytes() == content
    assert get_file(server.file("direct.bin"), "model", policy).read_bytes() == content
    assert [request.path for request in server.requests[-2:]] == ["/mirror/direct.bin", "/direct.bin"]


def test_proxies_of_the_environment_are_used(
    server: Any, policy: Policy, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_PROXY")
    monkeypatch.setenv("HTTP_PROXY", server.address)
    server.content["http://example.invalid/weights.bin"] = content
    assert get_address("http://example.invalid/weights.bin", policy).read_bytes() == content
    monkeypatch.setenv("HTTP_PROXY", "gopher://nowhere")
    with pytest.raises(UserError, match="HTTPS_PROXY"):
        get_address("http://example.invalid/other.bin", policy)


# Pins


def pins(home: Path) -> Any:
    return json.loads((home / "lock.json").read_text(encoding="utf-8"))


def test_the_first_download_is_pinned_and_another_content_refused(
    server: Any, home: Path, policy: Policy, content: bytes, other: bytes, sha256: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "ppernie")
    path = get_file(server.file(), "model", policy)
    assert pins(home) == {"model/weights.bin": {"size": len(content), "sha256": sha256}}
    assert f"no checksum is known; pinned sha256 {sha256}" in caplog.text
    path.unlink()
    for changed in (other, other[1:]):
        with pytest.raises(UserError, match=r'remove the entry "model/weights\.bin" from .*lock\.json'):
            get_file(server.file(content=changed), "model", policy)
        assert not path.exists()
    (home / "lock.json").write_text("{}", encoding="utf-8")
    assert get_file(server.file(content=other), "model", policy).read_bytes() == other


def test_a_cached_file_of_another_size_is_refused(server: Any, policy: Policy) -> None:
    path = get_file(server.file(), "model", policy)
    path.write_bytes(b"short")
    with pytest.raises(UserError, match="has 5 bytes, but 64000 came first"):
        get_file(server.file(), "model", policy)


def test_a_broken_lock_file_is_named(server: Any, home: Path, policy: Policy) -> None:
    home.mkdir()
    (home / "lock.json").write_text('{"a": {"size": 1', encoding="utf-8")
    with pytest.raises(UserError, match=r"lock\.json: broken"):
        get_file(server.file(), "model", policy)


def test_a_file_put_there_by_hand_is_taken(server: Any, home: Path, no_network: None, content: bytes) -> None:
    path = home / "models" / "model" / "weights.bin"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    assert get_file(server.file(), "model") == path
    assert not (home / "lock.json").exists()


def test_a_file_put_there_by_hand_is_checked_once_where_a_checksum_is_known(
    server: Any, home: Path, no_network: None, content: bytes, sha256: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = home / "models" / "model" / "weights.bin"
    path.parent.mkdir(parents=True)
    path.write_bytes(content[::-1])
    file = server.file(md5=hashlib.md5(content).hexdigest())
    with pytest.raises(UserError, match="md5 is .*remove it to download it again"):
        get_file(file, "model")
    path.write_bytes(content)
    assert get_file(file, "model") == path
    assert pins(home)["model/weights.bin"]["sha256"] == sha256
    monkeypatch.setattr("ppernie.zoo.download.store.hash_file", pytest.fail)
    assert get_file(file, "model") == path


def test_verify_hashes_anew(server: Any, home: Path, policy: Policy, content: bytes) -> None:
    model = variant(*(server.file(name) for name in ("a.bin", "b.bin", "c.bin", "d.bin")))
    folder = get_variant(model, policy)
    (folder / "b.bin").write_bytes(content[::-1])
    (folder / "c.bin").unlink()
    known = pins(home)
    del known["model/d.bin"]
    (home / "lock.json").write_text(json.dumps(known), encoding="utf-8")
    checks = verify(model)
    assert [check.state for check in checks] == ["OK", "CHANGED", "absent", "no checksum known"]
    assert [check.wrong for check in checks] == [False, True, True, False]
    assert "sha256" in str(checks[1].problem)


# PaddleNLP's cache


@pytest.fixture
def paddlenlp(tmp_path: Path, content: bytes) -> Path:
    folder = tmp_path / "paddlenlp" / "models" / "model"
    folder.mkdir(parents=True)
    (folder / "old_name.bin").write_bytes(content)
    (folder / "vocab.txt").write_bytes(b"[PAD]\n")
    return folder


def state(folder: Path) -> dict[str, tuple[int, ...]]:
    """Of every file: which it is, its size and when it was written."""
    return {
        path.name: (found.st_ino, found.st_size, found.st_mtime_ns)
        for path in folder.iterdir()
        if (found := path.stat())
    }


WEIGHTS = {"name": "weights.bin", "address": "https://example.com/old_name.bin"}
VOCAB = {"name": "vocab.txt", "address": "https://example.com/old_vocab.txt"}


def test_paddlenlps_files_are_used_in_place_even_without_a_cache_of_our_own(
    paddlenlp: Path, no_network: None, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PPERNIE_HOME", "/dev/null/home")
    before = state(paddlenlp)
    assert get_file(File(**WEIGHTS), "model") == paddlenlp / "old_name.bin"
    assert get_variant(variant(File(**VOCAB))) == paddlenlp
    folder = get_variant(variant(File(**WEIGHTS), File(**VOCAB)))
    assert (folder / "weights.bin").read_bytes() == content
    assert (folder / "vocab.txt").read_bytes() == b"[PAD]\n"
    assert state(paddlenlp) == before
    assert verify(variant(File(**WEIGHTS)))[0].state == "no checksum known"


def test_paddlenlps_file_is_passed_over_where_its_checksum_differs(
    server: Any, home: Path, paddlenlp: Path, policy: Policy, other: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    file = server.file("old_name.bin", content=other, sha256=hashlib.sha256(other).hexdigest())
    path = get_file(file.model_copy(update={"name": "weights.bin"}), "model", policy)
    assert path == home / "models" / "model" / "weights.bin"
    assert path.read_bytes() == other
    assert f"{paddlenlp / 'old_name.bin'}: passed over" in caplog.text


def test_a_pin_counts_for_paddlenlps_file_too(
    server: Any, home: Path, paddlenlp: Path, policy: Policy, content: bytes
) -> None:
    (paddlenlp / "old_name.bin").rename(paddlenlp / "away")
    file = server.file("old_name.bin")
    get_file(file, "model", policy).unlink()
    (paddlenlp / "old_name.bin").write_bytes(content[::-1])
    assert get_file(file, "model", policy) == home / "models" / "model" / "old_name.bin"


# Places that cannot be written


@pytest.mark.parametrize("place", ["/dev/null/home", "/proc/home"])
def test_a_home_that_cannot_be_written_is_a_message(
    server: Any, monkeypatch: pytest.MonkeyPatch, policy: Policy, place: str
) -> None:
    monkeypatch.setenv("PPERNIE_HOME", place)
    with pytest.raises(UserError, match="set PPERNIE_HOME to another folder"):
        get_file(server.file(), "model", policy)
    assert server.requests == []


def test_a_home_that_is_a_link_works_unless_it_leads_nowhere(
    server: Any, home: Path, tmp_path: Path, policy: Policy, content: bytes
) -> None:
    home.symlink_to(tmp_path / "disk")
    with pytest.raises(UserError, match="set PPERNIE_HOME to another folder"):
        get_file(server.file(), "model", policy)
    (tmp_path / "disk").mkdir()
    assert get_file(server.file(), "model", policy).read_bytes() == content
    home.unlink()
    home.symlink_to(home)
    with pytest.raises(UserError, match="home"):
        get_file(server.file(), "model", policy)


def test_too_small_a_disk_is_found_before_the_body(
    server: Any, home: Path, policy: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(9, 9, 1000))
    with pytest.raises(UserError, match="the disk is full: 64000 more bytes are needed and 1000 are free"):
        get_file(server.file(), "model", policy)
    assert len(server.requests) == 1


def test_a_disk_that_fills_up_is_a_message(
    server: Any, home: Path, policy: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(UserError, match="the disk is full"):
            get_file(server.file(), "model", policy)
    assert not (home / "models" / "model" / "weights.bin").exists()
    assert get_file(server.file(), "model", policy).exists()


# Addresses


def test_an_address_has_a_folder_of_its_own(server: Any, home: Path, policy: Policy, content: bytes) -> None:
    paths = []
    for name in ("a/weights.bin", "b/weights.bin", "c/weights.bin?version=2", "", "..%2F..%2F.bashrc", "%00"):
        server.content[f"/{name}"] = content + name.encode()
        path = get_address(f"{server.address}/{name}", policy)
        assert path.read_bytes() == content + name.encode()
        assert path.parent.parent == home / "addresses"
        paths.append(path)
    assert len({path.parent for path in paths}) == len(paths)
    assert [path.name for path in paths] == ["weights.bin", "weights.bin", "weights.bin", "file", "bashrc", "_"]
    assert get_address(f"{server.address}/a/weights.bin", policy) == paths[0]
    assert len(server.requests) == len(paths)


@pytest.mark.parametrize(
    "address",
    ["file:///etc/passwd", "ftp://a/b", "http://", "https://a b/c", "http://[/x", "http://a:port/x", "s3://b"],
)
def test_other_addresses_are_refused(address: str, no_network: None) -> None:
    with pytest.raises(UserError, match="not an address"):
        get_address(address)


def test_a_password_in_an_address_is_refused_and_not_repeated(no_network: None) -> None:
    with pytest.raises(UserError, match="holds a user name or password") as caught:
        get_address("https://me:secret@example.com/x")
    assert "secret" not in str(caught.value)


def test_an_archive_is_unpacked_once_and_again_when_it_changed(tmp_path: Path, home: Path) -> None:
    archive = tmp_path / "model.tar.gz"
    for number, text in enumerate(("one", "three"), 1):
        (tmp_path / "vocab.txt").write_text(text, encoding="utf-8")
        with tarfile.open(archive, "w:gz") as tar:
            tar.add(tmp_path / "vocab.txt", "vocab.txt")
        os.utime(archive, (number, number))
        folder = unpacked(archive)
        assert folder.parent == home / "unpacked"
        assert (folder / "vocab.txt").read_text(encoding="utf-8") == text
        (folder / "mark").touch()
        assert (unpacked(archive) / "mark").exists()
