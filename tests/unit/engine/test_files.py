from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ppernie.errors import UserError
from ppernie.files import link_folder, new_folder, recover_folder, write_file, writing

OLD, NEW = {"a.txt": "old"}, {"a.txt": "new", "sub/b.txt": "new"}


def fill(folder: Path, content: dict[str, str]) -> None:
    for name, text in content.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")


def content(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): p.read_text(encoding="utf-8") for p in folder.rglob("*") if p.is_file()}


@pytest.fixture
def target(tmp_path: Path) -> Path:
    fill(tmp_path / "model", OLD)
    return tmp_path / "model"


def test_a_new_folder_takes_the_old_ones_place_and_leaves_nothing_else(target: Path) -> None:
    with new_folder(target) as temporary:
        fill(temporary, NEW)
        assert content(target) == OLD
    assert content(target) == NEW
    assert os.listdir(target.parent) == ["model"]


def test_a_failure_leaves_the_old_folder(target: Path) -> None:
    with pytest.raises(ZeroDivisionError), new_folder(target) as temporary:
        fill(temporary, NEW)
        raise ZeroDivisionError
    assert content(target) == OLD
    assert os.listdir(target.parent) == ["model"]


# Kills the process at the n-th call of a function that touches the disk.
KILLED = """
import os, shutil, sys
from pathlib import Path
from ppernie.files import new_folder

target, calls = Path(sys.argv[1]), int(sys.argv[2])

def dying(function):
    def call(*args, **options):
        global calls
        calls -= 1
        if calls == 0:
            os._exit(9)
        return function(*args, **options)
    return call

for owner, name in ((os, "rename"), (os, "fsync"), (os, "mkdir"), (shutil, "rmtree")):
    setattr(owner, name, dying(getattr(owner, name)))
with new_folder(target) as temporary:
    for name in ("a.txt", "b.txt"):
        (temporary / name).write_text("new")
"""


def test_a_swap_that_is_killed_at_any_point_is_recovered(tmp_path: Path) -> None:
    processes = []
    for point in range(1, 13):
        target = tmp_path / f"{point}" / "model"
        fill(target, OLD)
        processes.append((target, subprocess.Popen([sys.executable, "-c", KILLED, str(target), str(point)])))
    seen, codes = set(), []
    for target, process in processes:
        codes.append(process.wait())
        recover_folder(target)
        assert os.listdir(target.parent) == ["model"]
        found = content(target)
        assert found in (OLD, {"a.txt": "new", "b.txt": "new"})
        seen.add(found["a.txt"])
    assert seen == {"old", "new"}
    assert codes == sorted(codes, reverse=True) and {9, 0} == set(codes)


def test_recovering_where_nothing_is_amiss_changes_nothing(target: Path, tmp_path: Path) -> None:
    recover_folder(target)
    recover_folder(tmp_path / "absent")
    assert content(target) == OLD
    assert os.listdir(tmp_path) == ["model"]


def test_a_text_file_is_replaced_in_one_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "results.json"
    write_file(path, "一")
    assert path.read_text(encoding="utf-8") == "一"

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match=r"results\.json: the disk is full"):
        write_file(path, "二")
    assert path.read_text(encoding="utf-8") == "一"


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EDQUOT, "the disk is full"),
        (errno.EFBIG, r"cannot write here \(File too large\)"),
        (errno.EACCES, "cannot write here"),
        (errno.EROFS, "cannot write here"),
        (errno.EEXIST, "cannot write here"),
        (errno.ENAMETOOLONG, "cannot write here"),
    ],
)
def test_the_systems_refusals_are_user_errors(tmp_path: Path, number: int, message: str) -> None:
    with pytest.raises(UserError, match=message), writing(tmp_path):
        raise OSError(number, os.strerror(number))


def test_other_errors_pass(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="bad"), writing(tmp_path):
        raise OSError(errno.EBADF, "bad")


@pytest.mark.parametrize("linking", [True, False])
def test_a_second_folder_of_the_same_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, linking: bool) -> None:
    """Where the file system cannot link, the bytes are copied."""

    def refuse(source: str, target: str) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    (tmp_path / "one" / "inner").mkdir(parents=True)
    (tmp_path / "one" / "inner" / "file").write_text("text")
    if not linking:
        monkeypatch.setattr(os, "link", refuse)
    link_folder(tmp_path / "one", tmp_path / "two")
    assert (tmp_path / "two" / "inner" / "file").read_text() == "text"
    same = (tmp_path / "one" / "inner" / "file").samefile(tmp_path / "two" / "inner" / "file")
    assert same == linking
    # An older one makes way.
    (tmp_path / "one" / "inner" / "file").unlink()
    link_folder(tmp_path / "one", tmp_path / "two")
    assert not (tmp_path / "two" / "inner" / "file").exists()
