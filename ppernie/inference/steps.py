"""Runs an exported network that reads step by step, each kind of step a graph of its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ppernie.cpu import cpu_count
from ppernie.device import choose_device
from ppernie.errors import UserError
from ppernie.inference import limits, runtime
from ppernie.inference.deploy import BATCH, StepInterface, StepsDeploy


class StepsPredictor:
    """The graphs of an export, ready to run in fp32; each holds the weights in memory.

    Not thread-safe: one predictor belongs to one thread.

    Args:
        folder: an export (``deploy.yml``, a graph for each step, their weights).
        device: ``auto`` (a GPU where there is one), ``cpu`` or ``gpu``.
        threads: of the CPU's mathematics; one for each core if None.

    Attributes:
        deploy: the contents of ``deploy.yml``.

    Raises:
        UserError: the export is broken, or the machine cannot do what is asked.
    """

    def __init__(self, folder: Path, *, device: str = "auto", threads: int | None = None) -> None:
        self.deploy = StepsDeploy.read(folder)
        self.device = choose_device(device)
        runtime.prepare_process()
        self._predictors = {}
        for name, step in self.deploy.steps.items():
            files = folder / f"{name}.json", folder / step.weights
            config = runtime.predictor_config(*files, self.device, "fp32", threads or cpu_count())
            self._predictors[name] = predictor = runtime.create_predictor(config, folder)
            taken, said = predictor.get_input_names(), [field.name for field in step.inputs]
            if sorted(taken) != sorted(said):
                raise UserError(f"{folder}: {name} takes {sorted(taken)}, deploy.yml says otherwise; export again")

    def run(self, step: str, inputs: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        """Runs one step; inside, the rows are filled up to a power of two, since each shape has kernels of its own.

        Args:
            inputs: arrays by name, with the dimensions and types that ``deploy`` names.

        Returns:
            float32 arrays with the dimensions that ``deploy`` names.

        Raises:
            ValueError: names, types or shapes are wrong.
            UserError: an id or a length lies outside its limits.
        """
        interface = self.deploy.steps[step]
        rows = self._check(interface, inputs)
        filled = {name: _filled(array, limits.padded_rows(rows)) for name, array in inputs.items()}
        return [output[:rows] for output in runtime.execute(self._predictors[step], filled)]

    def _check(self, interface: StepInterface, inputs: Mapping[str, np.ndarray]) -> int:
        sizes = limits.check(inputs, interface.inputs, self.deploy.max_length)
        for dim, size in sizes.items():
            if self.deploy.sizes.get(dim, size) != size:
                raise ValueError(f"{dim} is {size}, not {self.deploy.sizes[dim]}")
        if sizes[BATCH] == 0:
            raise ValueError("the batch is empty")
        return sizes[BATCH]


def _filled(array: np.ndarray, rows: int) -> np.ndarray:
    """With the last row again until there are so many; contiguous."""
    if len(array) == rows:
        return np.ascontiguousarray(array)
    return np.concatenate([array, np.repeat(array[-1:], rows - len(array), axis=0)])
