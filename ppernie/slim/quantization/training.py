"""Quantisation-aware training: a calibrated network goes on learning while its layers compute as INT8.

The ranges stay those of the calibration; the scales of the weights follow the weights.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ppernie.errors import UserError
from ppernie.zoo.folder import CONFIG, read_description

if TYPE_CHECKING:
    from ppernie.config.sections import Config
    from ppernie.slim.quantization.settings import Int8


def training_ranges(config: Config, folder: Path | None) -> Int8 | None:
    """What a run's layers compute in, those of the model that it starts from; None where it trains in float.

    Raises:
        UserError: ``Slim.quantization.training`` is set, and that model is not calibrated, or the run cuts its layers
            over ranks.
    """
    section = config.Slim.quantization
    if section is None or not section.training:
        return None
    if config.Distributed.mp > 1 or config.Distributed.pp > 1:
        raise UserError("Slim.quantization.training: is for whole networks; set Distributed.mp and Distributed.pp to 1")
    int8 = read_description(folder).int8 if folder is not None and (folder / CONFIG).exists() else None
    if int8 is None:
        raise UserError(
            "Slim.quantization.training: goes on from a calibrated model; compress the trained one, and set "
            "Global.pretrained_model to the folder that this writes"
        )
    return int8
