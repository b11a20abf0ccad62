"""One training run, from a checked config to its results."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ppernie.engine.assemble import assemble, build_model
from ppernie.engine.logs import log_to_console, log_to_file
from ppernie.engine.output_folder import OutputFolder
from ppernie.errors import UserError

if TYPE_CHECKING:
    from ppernie.config.sections import Config

logger = logging.getLogger("ppernie")


def train(config: Config, resume: str | None = None) -> dict[str, Any]:
    """Trains and returns the content of ``train_results.json``.

    Args:
        resume: None to start anew, ``"auto"`` for the newest whole checkpoint of the output folder (or a new start
            where there is none), or a checkpoint folder.

    Raises:
        UserError: something in config, data or output folder is wrong.
        Interrupted: a signal came; the state is saved.
    """
    log_to_console()
    from ppernie.device import use_device
    from ppernie.engine.precision import check_precision
    from ppernie.nn import kernels
    from ppernie.parallel.start import start
    from ppernie.parallel.topology import resolve, world

    topology = resolve(config.Distributed, world())
    leads = topology.rank == 0
    device = use_device(config.Global.device, config.Global.threads)
    check_precision(config.AMP, device)
    if device == "cpu" and kernels.library() is None:
        logger.warning(
            "The CPU kernels are not compiled, so training takes about twice as long; "
            "pip install with a C compiler compiles them"
        )
    # Everything that can be wrong with the data is found before the output folder is touched.
    parts = assemble(config)
    if topology.pp > 1 and not parts.streams and len(parts.task.id_names) > 1:
        raise UserError(
            f"Distributed.pp: {config.Task.name} passes its network twice, and a pipeline passes it once; leave pp at 1"
        )
    if topology.pp > 1 and parts.task.generative and (parts.eval or parts.test):
        raise UserError(
            f"Distributed.pp: {config.Task.name} writes texts at evaluation, for which each rank needs all layers; "
            "leave Data.eval and Data.test out, or pp at 1"
        )
    ranks = start(topology, config, len(parts.streams) or 1)
    folder = OutputFolder(Path(config.Global.output_dir), config, resume is not None, leads)
    ranks.barrier()
    handler = log_to_file(folder.path / "train.log") if leads else logging.NullHandler()
    try:
        from ppernie.engine.trainer import Trainer

        return Trainer(config, parts, build_model(config, parts, ranks), folder, ranks).run(resume)
    finally:
        logging.getLogger("ppernie").removeHandler(handler)
        handler.close()
        folder.close()
