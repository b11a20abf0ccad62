"""One training run, from a checked config to its results."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ppernie.engine.assemble import assemble, build_model
from ppernie.engine.checkpoints import Checkpoints
from ppernie.engine.logs import log_to_console, log_to_file
from ppernie.engine.output_folder import OutputFolder

if TYPE_CHECKING:
    from ppernie.config.sections import Config

logger = logging.getLogger("ppernie")


def train(config: Config, resume: str | None = None) -> dict[str, Any]:
    """Trains and returns the content of ``train_results.json``.

    Args:
        resume: None to start anew, ``"auto"`` for the newest complete checkpoint of the output folder (or a new start
            where there is none), or a checkpoint folder.

    Raises:
        UserError: something in config, data or output folder is wrong.
        Interrupted: a signal came; the state is saved.
    """
    log_to_console()
    from ppernie.device import use_device
    from ppernie.engine.precision import check_precision
    from ppernie.nn import kernels

    device = use_device(config.Global.device, config.Global.threads)
    check_precision(config.AMP, device)
    if device == "cpu" and kernels.library() is None:
        logger.warning(
            "The CPU kernels are not compiled, so training takes about twice as long; "
            "pip install with a C compiler compiles them"
        )
    # Everything that can be wrong with the data is found before the output folder is touched.
    parts = assemble(config)
    folder = OutputFolder(Path(config.Global.output_dir), config, resume is not None)
    handler = log_to_file(folder.path / "train.log")
    try:
        import paddle

        from ppernie.engine.trainer import Trainer

        paddle.seed(int(np.random.SeedSequence(config.Global.seed).generate_state(1)[0]) >> 1)
        trainer = Trainer(config, parts, build_model(config, parts), folder)
        checkpoint = Checkpoints(folder.checkpoints, 1).latest() if resume == "auto" else resume and Path(resume)
        return trainer.run(checkpoint or None)
    finally:
        logging.getLogger("ppernie").removeHandler(handler)
        handler.close()
        folder.close()
