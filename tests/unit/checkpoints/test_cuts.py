"""Any way to cut a state over ranks is read back by any other."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from ppernie.checkpoints import Box, Checkpoints, Slice, open_checkpoint, reading, whole
from ppernie.checkpoints.rank_file import BLOCK
from ppernie.checkpoints.slices import check_cover

DTYPES = ("float32", "float64", "float16", "int64", "int32", "int16", "int8", "uint8", "bool")


def random_state(draw: np.random.Generator) -> dict[str, np.ndarray]:
    state = {}
    for number in range(int(draw.integers(1, 6))):
        shape = tuple(int(length) for length in draw.integers(0 if number == 3 else 1, 9, draw.integers(0, 5)))
        values = draw.integers(0, 2 if number == 8 else 100, shape)
        state[f"group{number % 2}/tensor.{number}"] = np.asarray(values).astype(draw.choice(DTYPES))
    return state


def random_box(shape: tuple[int, ...], draw: np.random.Generator) -> Box:
    offset = tuple(int(draw.integers(length + 1)) for length in shape)
    return Box(
        offset, tuple(int(draw.integers(length - start + 1)) for length, start in zip(shape, offset, strict=True))
    )


@pytest.mark.parametrize("seed", range(25))
def test_any_cut_is_read_by_any_other(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    cut_state: Callable[..., list[list[Slice]]],
    save_all: Callable[..., list[Any]],
    seed: int,
) -> None:
    """With blocks and bands of a few bytes, so that small tensors have many."""
    from ppernie.checkpoints import rank_file

    draw = np.random.default_rng(seed)
    block = int(draw.choice([16, 24, 64]))
    monkeypatch.setattr(rank_file, "BLOCK", block)
    monkeypatch.setattr(reading, "BLOCK", block)
    monkeypatch.setattr(reading, "_BAND", int(draw.choice([8, 100, 1000])))
    state, world = random_state(draw), int(draw.integers(1, 5))
    assert save_all(tmp_path, 7, cut_state(state, draw, world)) == [None] * world
    checkpoint = open_checkpoint(tmp_path / "step_00000007")
    assert checkpoint.state == {"step": 7}
    assert checkpoint.tensors.keys() == state.keys()
    for name, expected in state.items():
        np.testing.assert_array_equal(checkpoint.tensors[name].read(), expected, strict=True)
        for _ in range(10):
            box = random_box(expected.shape, draw)
            np.testing.assert_array_equal(checkpoint.read(name, *box), expected[box.where()], strict=True)
            strided = np.zeros((*box.size, 2), expected.dtype)[..., 0]
            checkpoint.tensors[name].read_part(box.offset, strided)
            np.testing.assert_array_equal(strided, expected[box.where()])


def test_reading_takes_each_byte_once_and_only_what_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    array = np.arange(5 * BLOCK // 2, dtype=np.float32).reshape(-1, 256)
    halves = [Slice("w", array.shape, (0, at), array[:, at : at + 128]) for at in (0, 128)]
    store = Checkpoints(tmp_path, 1)
    store.save(1, [whole("v", array), *halves], {})
    checkpoint = open_checkpoint(store.folder / "step_00000001")
    read: list[tuple[int, int]] = []
    original = os.preadv

    def preadv(descriptor: int, buffers: list[memoryview], place: int) -> int:
        read.append((place, len(buffers[0])))
        return original(descriptor, buffers, place)

    monkeypatch.setattr(os, "preadv", preadv)
    for name, box, blocks in (
        ("v", Box((0, 0), array.shape), 10),
        ("w", Box((0, 0), array.shape), 10),
        ("v", Box((0, 0), (len(array), 128)), 10),  # every row has a part of it
        ("w", Box((0, 0), (len(array), 128)), 5),
        ("w", Box((0, 64), (len(array), 128)), 10),
        ("v", Box((len(array) // 2, 0), (1, 256)), 1),
    ):
        read.clear()
        np.testing.assert_array_equal(checkpoint.read(name, *box), array[box.where()])
        assert sum(size for _, size in read) == blocks * BLOCK
        assert len(set(read)) == len(read)


def test_the_files_are_plain_safetensors(tmp_path: Path) -> None:
    array = np.arange(12.0).reshape(3, 4)
    slices = [Slice("a/w", (3, 4), (0, at), array[:, at : at + 2]) for at in (0, 2)]
    Checkpoints(tmp_path, 1).save(1, [whole("b", np.ones(3, np.int8)), *slices], {})
    found = load_file(tmp_path / "step_00000001" / "rank_00000.safetensors")
    assert set(found) == {"b", "a/w@0,0", "a/w@0,2"}
    np.testing.assert_array_equal(found["a/w@0,2"], array[:, 2:])


def test_bfloat16_is_kept_to_the_bit(tmp_path: Path) -> None:
    import paddle

    values = np.linspace(-3, 3, 24, dtype=np.float32).reshape(4, 6)
    tensor = paddle.to_tensor(values, place="cpu").astype("bfloat16")
    bits = tensor.numpy()
    parts = [whole("a", tensor), Slice("b", (4, 6), (0, 0), bits[:, :2], "bfloat16")]
    Checkpoints(tmp_path, 1).save(1, [*parts, Slice("b", (4, 6), (0, 2), bits[:, 2:], "bfloat16")], {})
    checkpoint = open_checkpoint(tmp_path / "step_00000001")
    for name in ("a", "b"):
        np.testing.assert_array_equal(checkpoint.read(name, (0, 0), (4, 6)), bits, strict=True)
        np.testing.assert_array_equal(checkpoint.tensors[name].read(), tensor.astype("float32").numpy(), strict=True)


def test_a_rectangle_outside_is_refused(tmp_path: Path) -> None:
    Checkpoints(tmp_path, 1).save(1, [whole("w", np.zeros((2, 3), np.float32))], {})
    checkpoint = open_checkpoint(tmp_path / "step_00000001")
    for offset, shape in (((0, 0), (3, 3)), ((0, -1), (1, 1)), ((2, 0), (1, 1)), ((0,), (2,)), ((0, 0, 0), (1, 1, 1))):
        with pytest.raises(ValueError, match="do not lie|zip"):
            checkpoint.read("w", offset, shape)
    with pytest.raises(KeyError):
        checkpoint.read("v", (0,), (1,))
    with pytest.raises(ValueError, match="float32 is needed"):
        checkpoint.tensors["w"].read_part((0, 0), np.zeros((2, 3), np.float64))


@pytest.mark.parametrize("seed", range(10))
def test_gaps_and_overlaps_are_found(cut_state: Callable[..., list[list[Slice]]], seed: int) -> None:
    draw = np.random.default_rng(seed)
    shape = tuple(int(length) for length in draw.integers(2, 7, draw.integers(1, 4)))
    ((*slices,),) = cut_state({"w": np.zeros(shape)}, draw, 1, 5)
    boxes = [item.box for item in slices]
    check_cover(shape, boxes)
    with pytest.raises(ValueError):
        check_cover(shape, boxes[1:])
    with pytest.raises(ValueError):
        check_cover(shape, [*boxes, boxes[0]])
    larger = (shape[0] + 1, *shape[1:])
    with pytest.raises(ValueError):
        check_cover(larger, boxes)
    # As many elements as the whole, but one box over another.
    doubled = Box((0,) * len(shape), (1,) * len(shape))
    with pytest.raises(ValueError, match="overlap"):
        check_cover((math.prod(shape) + 1,) if len(shape) == 1 else larger, [*boxes, doubled])


@pytest.mark.parametrize(
    ("owned", "message"),
    [
        ([[("w", (4,), 0, 2)], [("w", (4,), 0, 2)]], "w: two slices overlap"),
        ([[("w", (4,), 0, 2)], [("w", (4,), 3, 1)]], "w: its slices do not make the whole"),
        ([[("w", (2,), 0, 2)], [("w", (4,), 2, 2)]], "w: ranks give it different shapes"),
        ([[("w", (4,), 0, 2), ("w", (4,), 0, 2)], []], "rank 0 hands a slice over twice"),
    ],
)
def test_what_could_not_be_read_is_not_marked(
    tmp_path: Path, save_all: Callable[..., list[Any]], owned: Any, message: str
) -> None:
    slices = [
        [Slice(name, shape, (at,), np.zeros(count, np.float32)) for name, shape, at, count in rank] for rank in owned
    ]
    errors = save_all(tmp_path, 1, slices)
    assert message in str(errors[0])
    assert "step_00000001: could not be written; rank 0: " in str(errors[1])
    assert not list(tmp_path.glob("step_*/COMPLETE"))


def test_a_slice_outside_its_tensor_is_refused() -> None:
    for shape, offset, size in (
        ((4,), (3,), (2,)),
        ((4,), (-1,), (2,)),
        ((4,), (0, 0), (1, 1)),
        ((4, 4), (0,), (2, 2)),
    ):
        with pytest.raises(ValueError, match="w: "):
            Slice("w", shape, offset, np.zeros(size))


def test_who_wrote_is_noted(tmp_path: Path, save_all: Callable[..., list[Any]]) -> None:
    save_all(tmp_path, 3, [[whole("a", np.zeros(2))], [whole("b", np.zeros(2))]])
    marker = open_checkpoint(tmp_path / "step_00000003").marker
    assert (marker.world, marker.topology) == (2, {"mp": 2})
    content = (tmp_path / "step_00000003" / "COMPLETE").read_text(encoding="utf-8").splitlines()[0]
    assert set(json.loads(content)["files"]) == {path.name for path in (tmp_path / "step_00000003").iterdir()} - {
        "COMPLETE"
    }
