from __future__ import annotations

import base64
import hashlib
import json
import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from ppernie.errors import UserError
from ppernie.zoo.download import Policy, get_file

HALF = "bytes=32000-"


def test_a_healthy_server_is_asked_once(server: Any, home: Path, policy: Policy, content: bytes) -> None:
    file = server.file()
    for _ in range(2):
        path = get_file(file, "model", policy)
        assert path == home / "models" / "model" / "weights.bin"
        assert path.read_bytes() == content
    assert server.ranges() == [None]
    assert [entry.name for entry in path.parent.iterdir()] == ["weights.bin"]


@pytest.mark.parametrize(
    ("faults", "ranges"),
    [
        (["truncate"], [None, HALF]),
        (["drop"], [None, HALF]),
        (["longer"], [None, "bytes=64000-"]),
        (["500"], [None, None]),
        (["503 0"], [None, None]),
        (["429"], [None, None]),
        (["429 3600"], [None, None]),
        (["429 Wed, 21 Oct 2015 07:28:00 GMT"], [None, None]),
        (["408", "502"], [None, None, None]),
        (["close", "garbage"], [None, None, None]),
        (["redirect"], [None]),
        (["truncate", "500", "redirect"], [None, HALF, HALF]),
        (["truncate", "whole"], [None, HALF]),
        (["truncate", "elsewhere"], [None, HALF, None]),
        (["truncate", "resized"], [None, HALF, None]),
        (["truncate", "416"], [None, HALF, None]),
        (["truncate", "truncate", "truncate"], [None, HALF, "bytes=48000-", "bytes=56000-"]),
        (["corrupt"], [None, None]),
        (["truncate", "corrupt"], [None, HALF, None]),
        (["chunked"], [None]),
    ],
)
def test_a_passing_fault_costs_a_request(
    server: Any, policy: Policy, content: bytes, sha256: str, faults: list[str], ranges: list[str | None]
) -> None:
    file = server.file("weights.bin", *faults, sha256=sha256)
    assert get_file(file, "model", policy).read_bytes() == content
    assert server.ranges() == ranges


@pytest.mark.parametrize("fault", ["silent", "drip", "drip_header"])
def test_a_server_that_stalls_is_left_and_asked_again(server: Any, hasty: Policy, content: bytes, fault: str) -> None:
    file = server.file("weights.bin", fault)
    assert get_file(file, "model", hasty).read_bytes() == content
    assert len(server.requests) >= 2


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("401", "status 401"),
        ("403", "status 403"),
        ("404", "status 404"),
        ("410", "status 410"),
        ("204", "status 204"),
        ("loop", "redirects"),
        ("foreign", "file://"),
        ("encoded", "encoded"),
        ("unframed", "size"),
    ],
)
def test_a_lasting_fault_sends_to_the_mirror_at_once(
    server: Any, policy: Policy, content: bytes, fault: str, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    mirror = server.file("mirror.bin")
    file = server.file("weights.bin", fault).model_copy(update={"mirrors": (mirror.address,)})
    assert get_file(file, "model", policy).read_bytes() == content
    assert len(server.ranges("mirror.bin")) == 1
    if fault != "loop":
        assert len(server.ranges("weights.bin")) == 1
    assert reason in caplog.text


def test_a_mirror_continues_what_a_checksum_proves(server: Any, policy: Policy, content: bytes, sha256: str) -> None:
    mirror = server.file("mirror.bin")
    faults = ["truncate", "404"]
    file = server.file("weights.bin", *faults, sha256=sha256).model_copy(update={"mirrors": (mirror.address,)})
    assert get_file(file, "model", policy).read_bytes() == content
    assert server.ranges("mirror.bin") == [HALF]


def test_a_mirror_starts_anew_where_nothing_proves_the_part(server: Any, policy: Policy, content: bytes) -> None:
    mirror = server.file("mirror.bin")
    file = server.file("weights.bin", "truncate", "404").model_copy(update={"mirrors": (mirror.address,)})
    assert get_file(file, "model", policy).read_bytes() == content
    assert server.ranges("mirror.bin") == [None]


def test_a_wrong_checksum_is_tried_twice_and_then_the_mirror(
    server: Any, policy: Policy, content: bytes, sha256: str
) -> None:
    mirror = server.file("mirror.bin")
    file = server.file("weights.bin", *["corrupt"] * 9, sha256=sha256)
    assert get_file(file.model_copy(update={"mirrors": (mirror.address,)}), "model", policy).read_bytes() == content
    assert len(server.ranges("weights.bin")) == 2
    with pytest.raises(UserError, match=r"sha256 is \w+, the manifest has \w+, twice"):
        get_file(file, "alone", policy)


def test_the_servers_own_checksum_counts_over_a_resumption(server: Any, policy: Policy, content: bytes) -> None:
    server.headers["Content-MD5"] = base64.b64encode(hashlib.md5(content).digest()).decode()
    file = server.file("weights.bin", "truncate", "corrupt")
    assert get_file(file, "model", policy).read_bytes() == content
    assert server.ranges() == [None, HALF, None]


def test_a_file_that_changes_while_it_comes_is_not_mixed(server: Any, policy: Policy, other: bytes) -> None:
    file = server.file("weights.bin", "truncate", "swap")
    assert get_file(file, "model", policy).read_bytes() == other
    assert server.ranges() == [None, HALF]


def test_the_end_of_another_version_is_not_taken(server: Any, policy: Policy, other: bytes) -> None:
    file = server.file("weights.bin", "truncate", "mix")
    assert get_file(file, "model", policy).read_bytes() == other
    assert server.ranges() == [None, HALF, None]


def test_without_any_sign_of_the_version_a_part_is_not_continued(server: Any, policy: Policy, other: bytes) -> None:
    server.tags = False
    file = server.file("weights.bin", "truncate", "swap")
    assert get_file(file, "model", policy).read_bytes() == other
    assert server.ranges() == [None, None]


@pytest.mark.parametrize(
    ("fault", "size", "reason"),
    [
        ("none", 63_999, "has 64000 bytes, the manifest 63999, twice"),
        ("none", 64_001, "has 64000 bytes, the manifest 64001, twice"),
        ("chunked", 63_999, "sent more than 63999 bytes"),
        ("chunked", 64_001, "ended after 64000 of 64001 bytes"),
    ],
)
def test_another_size_than_the_manifests_is_refused(
    server: Any, home: Path, hasty: Policy, fault: str, size: int, reason: str
) -> None:
    server.tags = False
    file = server.file("weights.bin", *[fault] * 9, size=size)
    with pytest.raises(UserError, match=reason):
        get_file(file, "model", hasty)
    assert not (home / "models" / "model" / "weights.bin").exists()


def test_too_short_a_length_is_found_by_size_or_checksum(server: Any, policy: Policy, sha256: str) -> None:
    for known in ({"size": 64_000}, {"sha256": sha256}):
        with pytest.raises(UserError, match=r"weights\.bin"):
            get_file(server.file("weights.bin", *["shorter"] * 9, **known), "model", policy)


def leave_part(home: Path, content: bytes, origin: dict[str, Any] | None) -> None:
    """What a killed download leaves."""
    folder = home / "models" / "model"
    folder.mkdir(parents=True)
    (folder / "weights.bin.part").write_bytes(content)
    if origin is not None:
        (folder / "weights.bin.part.json").write_text(json.dumps(origin), encoding="utf-8")


@pytest.mark.parametrize(("total", "ranges"), [(64_000, []), (None, ["bytes=64000-"])])
def test_a_part_that_is_whole_is_not_downloaded_again(
    server: Any, home: Path, policy: Policy, content: bytes, total: int | None, ranges: list[str]
) -> None:
    file = server.file()
    leave_part(home, content, {"address": file.address, "last_modified": "yesterday", "total": total})
    server.tags = False
    server.headers["Last-Modified"] = "yesterday"
    assert get_file(file, "model", policy).read_bytes() == content
    assert server.ranges() == ranges


def test_a_part_of_unknown_origin_is_not_trusted(server: Any, home: Path, policy: Policy, content: bytes) -> None:
    leave_part(home, content[::-1], None)
    assert get_file(server.file(size=64_000), "model", policy).read_bytes() == content


def test_a_part_of_another_version_is_not_finished(
    server: Any, home: Path, policy: Policy, content: bytes, other: bytes
) -> None:
    file = server.file("weights.bin", "mix", content=other)
    leave_part(home, content, {"address": file.address, "etag": '"old"'})
    assert get_file(file, "model", policy).read_bytes() == other
    assert server.ranges() == ["bytes=64000-", None]


def test_patience_ends_even_where_each_request_brings_something(server: Any, home: Path, policy: Policy) -> None:
    file = server.file("weights.bin", *["truncate"] * 99)
    with pytest.raises(UserError, match="gave up after 8 attempts"):
        get_file(file, "model", policy)
    assert len(server.requests) == 8


def test_the_message_names_each_address_its_reason_and_the_place_for_the_file(
    server: Any, home: Path, policy: Policy
) -> None:
    file = server.file("weights.bin", *["500"] * 9)
    file = file.model_copy(update={"mirrors": (f"{server.address}/absent", "http://127.0.0.1:1/dead")})
    with pytest.raises(UserError) as caught:
        get_file(file, "model", policy)
    message = str(caught.value)
    assert f"{server.address}/weights.bin: status 500; gave up after 4 attempts" in message
    assert f"{server.address}/absent: status 404" in message
    assert "http://127.0.0.1:1/dead: " in message
    assert str(home / "models" / "model" / "weights.bin") in message
    assert get_file(server.file(), "model", policy).exists()


# Nothing but a checksum finds these.
SILENT = ["swap", "corrupt", "shorter"]
OTHERS = ["drop", "truncate", "longer", "whole", "elsewhere", "resized", "close", "garbage", "chunked", "unframed"]
OTHERS += ["loop", "redirect", "encoded", "drip", "drip_header", "silent", "none", "none"]
OTHERS += ["403", "404", "416", "429", "429 0", "500"]


def test_random_sequences_of_faults_end_with_the_file_or_a_message(
    server: Any, home: Path, hasty: Policy, policy: Policy, content: bytes, sha256: str
) -> None:
    def attempt(seed: int) -> str:
        draw = random.Random(seed)
        name, mirror = f"{seed}.bin", f"{seed}-mirror.bin"
        known = draw.choice([{"sha256": sha256}, {"md5": hashlib.md5(content).hexdigest()}, {}])
        choices = [*SILENT, *OTHERS] if known else OTHERS
        faults = [draw.choice(choices) for _ in range(draw.randint(1, 10))]
        mirrors = ()
        if draw.random() < 0.5:
            mirrors = (server.file(mirror, *draw.sample(choices, 3)).address,)
        file = server.file(name, *faults, **known).model_copy(update={"mirrors": mirrors})
        path = home / "models" / "fuzz" / name
        try:
            assert get_file(file, "fuzz", hasty).read_bytes() == content
        except UserError as error:
            assert str(path) in str(error)
            assert not path.exists()
            outcome = "message"
        else:
            outcome = "file"
        healthy = server.file(name, **known)
        assert get_file(healthy, "fuzz", policy).read_bytes() == content
        return outcome

    with ThreadPoolExecutor(16) as threads:
        outcomes = list(threads.map(attempt, range(200)))
    assert min(outcomes.count("file"), outcomes.count("message")) > 20
    assert not list(home.rglob("*.part*"))
