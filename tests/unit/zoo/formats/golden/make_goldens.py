"""Writes the files of ``torch.save`` beside it; needs torch, which is no dependency of the project."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

import torch

FOLDER = Path(__file__).parent


def state_dict() -> OrderedDict[str, torch.Tensor]:
    """One tensor of every kind that weights have."""
    count = torch.arange(24, dtype=torch.float32)
    return OrderedDict(
        weight=torch.nn.Parameter(count.reshape(4, 6)),
        turned=count.reshape(4, 6).t(),
        part=count.reshape(8, 3)[2:5],
        half=count[:5].half(),
        brain=count[:5].bfloat16() / 3,
        ids=torch.arange(3),
        flag=torch.tensor(True),
    )


if __name__ == "__main__":
    torch.save(state_dict(), FOLDER / "torch_zip.bin")
    torch.save(state_dict(), FOLDER / "torch_legacy.bin", _use_new_zipfile_serialization=False)
