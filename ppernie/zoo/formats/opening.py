"""Weight files of any format."""

from __future__ import annotations

from pathlib import Path

from ppernie.zoo.formats.index import read_index
from ppernie.zoo.formats.pdparams import read_pdparams
from ppernie.zoo.formats.reading import damaged, open_file
from ppernie.zoo.formats.safetensors import read_safetensors
from ppernie.zoo.formats.static_params import read_static_params
from ppernie.zoo.formats.tensors import StoredTensor
from ppernie.zoo.formats.torch_bin import LEGACY_MAGIC, read_torch
from ppernie.zoo.formats.zips import ZIP_MAGIC


def open_weights(path: Path) -> dict[str, StoredTensor]:
    """The tensors of a file, or of all files that an index names, by name. No elements are read yet.

    A file is known by its content, an index by its name ``*.index.json``; a folder holds one file a parameter.

    Raises:
        UserError: a file is absent, damaged, not of a known format, or wants to run code; or an index and its files
            disagree.
    """
    if path.is_dir():
        return read_static_params(path)
    if not path.name.endswith(".index.json"):
        return _open_file(path)
    tensors: dict[str, StoredTensor] = {}
    for shard, names in read_index(path).items():
        found = _open_file(shard)
        if found.keys() != names:
            differing = sorted(found.keys() ^ names)
            more = f" and {len(differing) - 10} more" if len(differing) > 10 else ""
            raise damaged(path, f"it and {shard.name} disagree about {', '.join(differing[:10])}{more}")
        tensors.update(found)
    return tensors


def _open_file(path: Path) -> dict[str, StoredTensor]:
    with open_file(path) as file:
        start = file.read(len(LEGACY_MAGIC))
    # A header of less than 4 GB, in JSON.
    if path.suffix == ".safetensors" or start[4:9] == b"\0\0\0\0{":
        return read_safetensors(path)
    if start.startswith(ZIP_MAGIC) or start == LEGACY_MAGIC:
        return read_torch(path)
    return read_pdparams(path)
