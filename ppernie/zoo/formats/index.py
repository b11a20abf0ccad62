"""Indexes of weights that are spread over several files, as PaddleNLP and Hugging Face write them."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath, PureWindowsPath

from ppernie.errors import UserError
from ppernie.zoo.formats.reading import damaged, file_size, open_file

_MAX_INDEX = 64 * 1024 * 1024


def read_index(path: Path) -> dict[Path, set[str]]:
    """The files beside an index and the tensors that each holds.

    Reads ``model.safetensors.index.json``, ``pytorch_model.bin.index.json`` and ``model_state.pdparams.index.json``.

    Raises:
        UserError: the index is broken, points outside its folder, or files are missing, all of which are named.
    """
    with open_file(path) as file:
        if file_size(file) > _MAX_INDEX:
            raise damaged(path, "no index is as large as this")
        text = file.read()
    try:
        names = json.loads(text.decode("utf-8"))["weight_map"]
        shards: dict[Path, set[str]] = {}
        for name, shard in names.items():
            if not _is_file_name(shard):
                raise damaged(path, f"{shard!r} is not the name of a file beside it")
            shards.setdefault(path.parent / shard, set()).add(name)
    except (ValueError, RecursionError, TypeError, KeyError, AttributeError) as error:
        raise damaged(path, f"not an index of weights ({type(error).__name__}: {str(error)[:200]})") from error
    missing = [shard.name for shard in shards if not shard.is_file()]
    if missing:
        raise UserError(f"{path}: {len(missing)} of {len(shards)} files are missing beside it: {', '.join(missing)}")
    return shards


def _is_file_name(name: object) -> bool:
    """Whether a name stays in its folder on every system."""
    return (
        isinstance(name, str)
        and name not in ("", ".", "..")
        and "\0" not in name
        and PurePosixPath(name).name == name
        and PureWindowsPath(name).name == name
    )
