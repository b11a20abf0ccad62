"""Unstructured pruning: single weights become 0, ever more of them while the network learns.

Source: Zhu and Gupta 2017 (arXiv:1710.01878, section 3). PaddleSlim has this as ``GMPUnstructuredPruner``; on Paddle
3.3 it multiplies a float by a boolean tensor, which Paddle refuses, so that nothing is ever pruned.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from ppernie.errors import UserError
from ppernie.slim.pruning.model import open_model
from ppernie.slim.runs import start_of, train_folder
from ppernie.slim.weight_only.selection import quantized_weights

if TYPE_CHECKING:
    from ppernie.config.sections import Config
    from ppernie.slim.pruning.settings import Sparsity

logger = logging.getLogger("ppernie")

_KEY = "Slim.sparsity"


def prune_weights(source: Path, target: Path, options: Sparsity, config: Config) -> None:
    """Writes the model with zeros in the matrices of its layers, fine-tuned on the task meanwhile.

    The run lies in ``sparsity`` in ``Global.output_dir``, and is resumed there. The folder is as large as before, and
    dense products as slow: zeros shrink under compression, and are skipped by runtimes with sparse kernels alone.

    Args:
        config: names the data and the training.

    Raises:
        UserError: the folder cannot be pruned, or is of another task; or the run is too short for the schedule.
        Interrupted: a signal came; the state is saved.
    """
    run = Path(config.Global.output_dir) / "sparsity"
    start = start_of(source, run, open_model(source).save)
    train_folder(start, run, config, sparsity=options)
    model = open_model(run / "best_model")
    zeros, size = 0, 0
    for name in quantized_weights(model.weights, model.plan):
        matrix = model.weights[name]
        here = int((matrix == 0).sum())
        if here < int(options.target * matrix.size):
            raise UserError(
                f"{run}: of {name}, {here} of {matrix.size} numbers are 0, fewer than {_KEY}.target; remove the run"
            )
        zeros, size = zeros + here, size + matrix.size
    logger.info("Sparsity: %d of the %d numbers in the layers' matrices are 0", zeros, size)
    model.save(target)
