"""Published shards, made here with torch as SwissArmyTransformer lays them out, read, written and cut anew."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model_zoo.glm.config import GlmConfig
from model_zoo.glm.shards import open_shards, write_shards
from model_zoo.glm.shards.layout import layout
from ppernie.errors import UserError
from ppernie.parallel.cut import Cut
from ppernie.zoo import manifest
from ppernie.zoo.description import ModelDescription

torch = pytest.importorskip("torch")

H, F, V, HEADS, LAYERS = 32, 48, 40, 8, 2
FIELDS = manifest.find("glm-130b").architecture | {
    "vocab_size": V,
    "hidden_size": H,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "intermediate_size": F,
}
DESCRIPTION = ModelDescription(arch={"name": "glm/GlmForBlankInfilling", **FIELDS}, task=None, max_length=2048)
State = dict[str, Any]


def whole_state(seed: int = 0) -> State:
    """All published tensors before they are cut, by their full names."""
    generator = torch.Generator().manual_seed(seed)
    shapes: dict[str, tuple[int, ...]] = {"word_embeddings.weight": (V, H)}
    for n in range(LAYERS):
        for norm in ("input_layernorm", "post_attention_layernorm"):
            shapes |= {f"layers.{n}.{norm}.weight": (H,), f"layers.{n}.{norm}.bias": (H,)}
        for name, rows, columns in (
            ("attention.query_key_value", 3 * H, H),
            ("attention.dense", H, H),
            ("mlp.dense_h_to_4h", 2 * F, H),
            ("mlp.dense_4h_to_h", H, F),
        ):
            shapes |= {f"layers.{n}.{name}.weight": (rows, columns), f"layers.{n}.{name}.bias": (rows,)}
    shapes |= {"final_layernorm.weight": (H,), "final_layernorm.bias": (H,)}
    return {f"transformer.{k}": torch.randn(shape, generator=generator).half() for k, shape in shapes.items()}


def cut(state: State, rank: int, ranks: int) -> State:
    """A rank's part, by the rules of the published conversion."""

    def part(name: str, tensor: Any) -> Any:
        if "h_to_4h" in name and "4h_to_h" not in name:
            halves = [half.chunk(ranks)[rank] for half in tensor.chunk(2)]
            return torch.cat(halves)
        if "query_key_value" in name or "word_embeddings" in name:
            return tensor.chunk(ranks)[rank].clone()
        if name.endswith(("attention.dense.weight", "dense_4h_to_h.weight")):
            return tensor.chunk(ranks, dim=1)[rank].clone()
        return tensor

    parts = {name: part(name, tensor) for name, tensor in state.items()}
    return parts | {"transformer.layers.0.attention.rotary_emb.inv_freq": torch.ones(2)}


def publish(folder: Path, ranks: int = 8, change: Callable[[int, State], None] | None = None) -> Path:
    """Writes the folder; ``change`` may edit each rank's part."""
    (folder / "49300").mkdir(parents=True)
    (folder / "latest").write_text("49300\n")
    (folder / "config.json").write_text(json.dumps(DESCRIPTION.model_dump()))
    whole = whole_state()
    for rank in range(ranks):
        part = cut(whole, rank, ranks)
        if change:
            change(rank, part)
        torch.save({"module": part, "iteration": 49300}, folder / "49300" / f"mp_rank_{rank:02d}_model_states.pt")
    return folder


def test_every_tensor_is_the_whole_one(tmp_path: Path) -> None:
    shards = open_shards(publish(tmp_path / "published"))
    assert shards.iteration == "49300" and shards.description == DESCRIPTION
    whole = whole_state()
    for ours, (name, _, turned) in layout(DESCRIPTION.arch_config()).items():
        expected = whole.pop(name).numpy()
        tensor = shards.tensors[ours]
        read = tensor.read()
        assert read.dtype == np.float16 and read.shape == tensor.shape
        assert np.array_equal(read, expected.T if turned else expected), ours
        for start, stop in ((0, 1), (3, 29), (H - 1, H)):
            assert np.array_equal(tensor.rows(start, stop), expected[start:stop]), ours
    assert whole == {}


def test_bfloat16_becomes_float32(tmp_path: Path) -> None:
    def change(rank: int, part: State) -> None:
        part.update({name: tensor.bfloat16() for name, tensor in part.items()})

    tensor = open_shards(publish(tmp_path / "published", 2, change)).tensors["layers.0.feed_forward.linear1.weight"]
    read = tensor.read()
    assert tensor.dtype == "float32" == read.dtype
    expected = whole_state()["transformer.layers.0.mlp.dense_h_to_4h.weight"].bfloat16().float().numpy()
    assert np.array_equal(read, expected.T)


def test_names_and_sizes_are_those_of_the_network(tmp_path: Path) -> None:
    from ppernie import registry

    network = registry.arch_class("glm/GlmForBlankInfilling")(DESCRIPTION.arch_config())
    shapes = {name: tuple(parameter.shape) for name, parameter in network.named_parameters()}
    tensors = open_shards(publish(tmp_path / "published")).tensors
    assert {name: tensor.shape for name, tensor in tensors.items()} == shapes
    # The plan, by which the network is cut while it trains, and the published files agree.
    cuts = registry.family_plan("glm").cuts(network, DESCRIPTION.arch_config(), 8)
    for ours, one in layout(DESCRIPTION.arch_config()).items():
        theirs: Cut = one.cut
        for rank in range(8):
            whole = np.arange(np.prod(theirs.shape)).reshape(theirs.shape)
            part = theirs.take(whole, 8, rank)
            assert np.array_equal(
                cuts[ours].take(whole.T if one.turned else whole, 8, rank), part.T if one.turned else part
            ), ours


@pytest.mark.parametrize("ranks", [1, 2, 4, 8])
@pytest.mark.parametrize("source", [1, 8])
def test_writing_gives_what_the_published_conversion_gives(tmp_path: Path, source: int, ranks: int) -> None:
    shards = open_shards(publish(tmp_path / "published", source))
    write_shards(tmp_path / "new", shards.tensors, shards.description, None, ranks, shards.iteration)
    whole = whole_state()
    files = sorted((tmp_path / "new" / "49300").iterdir())
    assert [path.name for path in files] == [f"mp_rank_{rank:02d}_model_states.pt" for rank in range(ranks)]
    assert (tmp_path / "new" / "latest").read_text() == "49300"
    for rank, path in enumerate(files):
        written = torch.load(path, weights_only=True)["module"]
        expected = cut(whole, rank, ranks)
        del expected["transformer.layers.0.attention.rotary_emb.inv_freq"]
        assert written.keys() == expected.keys()
        assert all(torch.equal(written[name], tensor) for name, tensor in expected.items())
    assert open_shards(tmp_path / "new").description == DESCRIPTION


def without(name: str, only: int | None = 3) -> Callable[[int, State], None]:
    def change(rank: int, part: State) -> None:
        if only in (None, rank):
            del part[name]

    return change


def set_to(name: str, make: Callable[[Any], Any], only: int | None = 3) -> Callable[[int, State], None]:
    def change(rank: int, part: State) -> None:
        if only in (None, rank):
            part[name] = make(part[name])

    return change


NORM = "transformer.layers.1.input_layernorm.weight"
DENSE = "transformer.layers.0.attention.dense"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (set_to(NORM, lambda tensor: tensor + 1e-3), "mp_rank_03.*shards of different runs: .*input_layernorm.weight"),
        (set_to(f"{DENSE}.bias", lambda tensor: -tensor), "shards of different runs: .*dense.bias"),
        (without(NORM), "mp_rank_03.*shards of different networks: not in it .*input_layernorm.weight"),
        (set_to(f"{DENSE}.weight", lambda tensor: tensor[:5]), "mp_rank_03.*other shapes or types .*dense.weight"),
        (set_to(f"{DENSE}.weight", lambda tensor: tensor.float()), "mp_rank_03.*other shapes or types .*dense.weight"),
        (
            set_to(f"{DENSE}.weight", lambda tensor: tensor.t(), None),
            r"\[4, 32\] in each of 8 ranks in place of \[32, 4\]",
        ),
        (lambda rank, part: part.update(more=torch.ones(1)), "more: unknown"),
        (without(NORM, None), "input_layernorm.weight: missing"),
        (lambda rank, part: part.update({f"{DENSE}.weight_scale": torch.ones(H)}), "key_value.weight_scale: missing"),
        (set_to(f"{DENSE}.weight", lambda tensor: tensor.char(), None), "dense.weight: int8 without .*weight_scale"),
    ],
)
def test_files_that_do_not_belong_together(tmp_path: Path, change: Callable[[int, State], None], message: str) -> None:
    with pytest.raises(UserError, match=message):
        open_shards(publish(tmp_path / "published", 8, change))


def file(folder: Path, rank: int) -> Path:
    return folder / "49300" / f"mp_rank_{rank:02d}_model_states.pt"


def test_ranks_that_are_missing_or_too_many(tmp_path: Path) -> None:
    folder = publish(tmp_path / "published")
    file(folder, 8).write_bytes(file(folder, 0).read_bytes())
    with pytest.raises(UserError, match="no 9 ranks of this network.*files of ranks are missing"):
        open_shards(folder)
    file(folder, 8).unlink()
    file(folder, 5).rename(tmp_path / "kept")
    with pytest.raises(UserError, match="lacks mp_rank_05_model_states.pt; fetch"):
        open_shards(folder)
    (tmp_path / "kept").rename(file(folder, 5))
    file(folder, 7).unlink()
    with pytest.raises(UserError, match="no 7 ranks of this network"):
        open_shards(folder)


@pytest.mark.parametrize(
    ("latest", "message"),
    [
        ("../49300", "is no iteration"),
        ("", "is no iteration"),
        ("50000", "50000: cannot be read .*latest names it"),
        ("empty", "holds no file mp_rank_00"),
    ],
)
def test_an_iteration_that_is_not_there(tmp_path: Path, latest: str, message: str) -> None:
    folder = publish(tmp_path / "published", 1)
    (folder / "empty").mkdir()
    (folder / "latest").write_text(latest)
    with pytest.raises(UserError, match=message):
        open_shards(folder)


def test_other_sizes_than_the_variants(tmp_path: Path) -> None:
    folder = publish(tmp_path / "published")
    (folder / "config.json").unlink()
    with pytest.raises(UserError, match=r"\[5, 32\] in each of 8 ranks in place of \[18816, 12288\]"):
        open_shards(folder)
    with pytest.raises(UserError, match="only GLM-130B's own network has shards"):
        open_shards(folder, "glm-10b")


def test_files_that_are_broken_or_run_code(tmp_path: Path) -> None:
    folder = publish(tmp_path / "published", 2)
    whole = file(folder, 1).read_bytes()
    file(folder, 1).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="mp_rank_01.*damaged"):
        open_shards(folder)

    class Code:
        def __reduce__(self) -> tuple[Any, ...]:
            return print, ("ran",)

    torch.save({"module": {"a": Code()}}, file(folder, 1))
    with pytest.raises(UserError, match="mp_rank_01.*wants to call 'builtins.print'|wants to call '__builtin__.print'"):
        open_shards(folder)
    torch.save({"state": {}}, file(folder, 1))
    with pytest.raises(UserError, match="mp_rank_01.*has no entry 'module'"):
        open_shards(folder)


@pytest.mark.parametrize("ranks", [0, 3, 16])
def test_ranks_that_do_not_divide(tmp_path: Path, ranks: int) -> None:
    shards = open_shards(publish(tmp_path / "published", 1))
    with pytest.raises(UserError, match=f"do not divide by {ranks} ranks"):
        write_shards(tmp_path / "new", shards.tensors, shards.description, None, ranks, "0")
    assert not (tmp_path / "new").exists()


def test_only_its_own_network_is_published() -> None:
    with pytest.raises(UserError, match="only GLM-130B's own network"):
        layout(GlmConfig(**(FIELDS | {"positions": "rotary_2d"})))
