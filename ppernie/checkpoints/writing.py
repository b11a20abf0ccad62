"""Writing one checkpoint: a temporary folder, filled by all ranks; synced, renamed, and marked last."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ppernie.checkpoints.marker import STATE, Marker, is_complete, write_marker
from ppernie.checkpoints.rank_file import RankIndex, data_name, index_name, write_rank, write_synced
from ppernie.checkpoints.ranks import Ranks, leave_done, leave_failed, take_done, wait_for_marker
from ppernie.checkpoints.reading import gather
from ppernie.checkpoints.slices import Slice
from ppernie.errors import UserError
from ppernie.files import sync, writing


def write_checkpoint(
    target: Path, slices: Sequence[Slice], state: Mapping[str, Any], ranks: Ranks, topology: Mapping[str, int]
) -> None:
    """Writes this rank's part, and returns when the checkpoint is marked complete.

    Args:
        target: the folder to be; nothing is there, or something that is not complete.
        slices: what this rank owns.
        state: what the first rank adds; plain values.

    Raises:
        UserError: the system refuses, or another rank failed. What is left of the attempt takes no room.
    """
    temporary = target.with_name(f"{target.name}.{ranks.attempt}.tmp")
    with _refusals(target):
        try:
            temporary.mkdir(parents=True, exist_ok=True)
            leave_done(temporary, ranks, write_rank(temporary, ranks.rank, slices))
            if ranks.first:
                _complete(temporary, target, state, ranks, topology)
            else:
                wait_for_marker(temporary, target, ranks)
        except BaseException as error:
            for name in (data_name(ranks.rank), index_name(ranks.rank)):
                (temporary / name).unlink(missing_ok=True)
            if ranks.first and not is_complete(target):
                shutil.rmtree(target, ignore_errors=True)
            if ranks.world > 1:
                leave_failed(temporary, ranks, error)
            else:
                shutil.rmtree(temporary, ignore_errors=True)
            raise


def _complete(
    temporary: Path, target: Path, state: Mapping[str, Any], ranks: Ranks, topology: Mapping[str, int]
) -> None:
    """Waits for the ranks, checks that their slices make whole tensors, and puts the folder in its place."""
    files = write_synced(temporary / STATE, json.dumps(state, indent=1).encode())
    files |= take_done(temporary, target, ranks)
    gather(temporary, [RankIndex.parse((temporary / index_name(rank)).read_bytes()) for rank in range(ranks.world)])
    sync(temporary)
    shutil.rmtree(target, ignore_errors=True)
    temporary.rename(target)
    sync(target.parent)
    write_marker(target, Marker(files, ranks.world, dict(topology)))


@contextmanager
def _refusals(target: Path) -> Iterator[None]:
    """What the system refuses, as UserErrors."""
    try:
        with writing(target):
            yield
    except FileNotFoundError as error:
        raise UserError(
            f"{target}: {error.filename} vanished while it was written; see who removes it, then go on with "
            "--resume auto"
        ) from error
    except OSError as error:
        raise UserError(f"{target}: cannot be written ({error.strerror or error}); look at the disk") from error
