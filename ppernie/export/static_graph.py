"""From a network to a static graph that has proven to give the same answers."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import paddle
from paddle.static import InputSpec

from ppernie.cpu import cpu_has_bf16
from ppernie.errors import UserError
from ppernie.export.rewrite import inference_form
from ppernie.files import new_folder
from ppernie.inference.deploy import DEPLOY, GRAPH, Deploy, Difference, Field
from ppernie.inference.predictor import Predictor

Sample = Mapping[str, np.ndarray]

_AS_IT_IS = nullcontext()


@dataclass(frozen=True)
class Contents:
    """What an export takes and gives, is proven on, and holds beside its graph.

    Attributes:
        inputs: arguments of the network's ``forward``, by name.
        outputs: names of the dimensions of each output.
        max_length: longest input in tokens.
        samples: real inputs in several batch sizes and lengths.
        extra: goes into ``deploy.yml`` as it is.
        add_files: writes what else belongs into the folder, once the graph is proven.
    """

    inputs: Sequence[Field]
    outputs: Sequence[tuple[str, ...]]
    max_length: int
    samples: Sequence[Sample]
    extra: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    add_files: Callable[[Path], object] = lambda folder: None

    def deploy(self, **told: Any) -> Deploy:
        """What ``deploy.yml`` says of them; ``told`` are the fields of ``Deploy`` that are not here."""
        return Deploy(
            paddle=paddle.__version__,
            inputs=list(self.inputs),
            outputs=list(self.outputs),
            max_length=self.max_length,
            extra=dict(self.extra),
            **told,
        )


def export_model(model: paddle.nn.Layer, contents: Contents, folder: Path, tolerance: float) -> dict[str, Any]:
    """Writes ``inference.json``, ``inference.pdiparams`` and ``deploy.yml`` and proves them against the model.

    The folder appears whole or not at all; an export that stands there is replaced at the very end.

    Args:
        model: the network; it is left as it was.
        folder: where the export goes.
        tolerance: largest accepted difference in fp32, relative to an output's largest magnitude.

    Returns:
        What was written to ``deploy.yml``.

    Raises:
        UserError: the graph differs from the model, or the folder cannot be written.
    """

    def write(temporary: Path) -> None:
        with inference_form(model):
            save_graph(model, contents.inputs, temporary)

    return write_proven(model, contents, contents.deploy(tolerance=tolerance), folder, write)


def write_proven(
    model: paddle.nn.Layer,
    contents: Contents,
    deploy: Deploy,
    folder: Path,
    write: Callable[[Path], object],
    reference: AbstractContextManager[None] = _AS_IT_IS,
) -> dict[str, Any]:
    """Writes an export and proves it against the network; the folder appears whole or not at all.

    Args:
        write: writes the graph into a folder that it is given.
        reference: inside it the network computes what the graph must.

    Returns:
        What was written to ``deploy.yml``.

    Raises:
        UserError: the graph differs from the network, or the folder cannot be written.
    """
    if not contents.samples:
        raise ValueError("an export is proven on samples, and there are none")
    check_target(folder)
    with reference:
        expected = dynamic_outputs(model, contents.samples)
    with new_folder(folder) as temporary:
        write(temporary)
        deploy.write(temporary)
        prove(temporary, folder, deploy, expected, contents.samples)
        contents.add_files(temporary)
    return deploy.model_dump(mode="json")


def save_graph(model: paddle.nn.Layer, inputs: Sequence[Field], folder: Path) -> None:
    """Writes ``inference.json`` and ``inference.pdiparams``."""
    # jit.save takes a path without its ending.
    paddle.jit.save(model, str(folder / Path(GRAPH).stem), input_spec=_specs(model, inputs))


def prove(
    folder: Path, target: Path, deploy: Deploy, expected: Sequence[list[np.ndarray]], samples: Sequence[Sample]
) -> None:
    """Runs an export on samples, and writes into its ``deploy.yml`` how far it lies from what is expected.

    Args:
        target: where the folder will stand.

    Raises:
        UserError: it is farther than ``deploy.tolerance``; of a graph in float only fp32 counts.
    """
    bf16 = deploy.engine != "onnxruntime" and cpu_has_bf16()
    for precision in ("fp32", "bf16") if bf16 else ("fp32",):
        predictor = Predictor(folder, device="cpu", precision=precision)
        deploy.differences[precision] = difference(expected, (predictor.run(sample) for sample in samples))
    for precision, measured in deploy.differences.items():
        if (precision == "fp32" or deploy.engine != "paddle") and not measured.max_relative <= deploy.tolerance:
            raise UserError(
                f"{target}: nothing was exported: the static graph differs from the model by "
                f"{measured.max_relative:.1e} of the largest output, more than the tolerance of {deploy.tolerance:.1e}"
            )
    deploy.write(folder)


def check_target(folder: Path) -> None:
    """Raises UserError where the folder holds something other than an export."""
    if folder.exists() and not (folder / DEPLOY).is_file() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder}: holds something other than an export; choose another folder")


def dynamic_outputs(model: paddle.nn.Layer, samples: Iterable[Sample]) -> list[list[np.ndarray]]:
    training = {layer: layer.training for layer in model.sublayers(include_self=True)}
    model.eval()
    try:
        with paddle.no_grad():
            outputs = [model(**{name: paddle.to_tensor(ids) for name, ids in sample.items()}) for sample in samples]
    finally:
        for layer, mode in training.items():
            layer.training = mode
    return [[output.numpy() for output in (outs if isinstance(outs, (list, tuple)) else [outs])] for outs in outputs]


def _specs(model: paddle.nn.Layer, inputs: Sequence[Field]) -> list[InputSpec | None]:
    """One for each argument of ``forward`` up to the last that is wanted; None where its default stays."""
    fields = {field.name: field for field in inputs}
    names = list(inspect.signature(model.forward).parameters)
    if unknown := sorted(set(fields) - set(names)):
        raise ValueError(f"forward of {type(model).__name__} takes no {unknown}")
    last = max(names.index(name) for name in fields)
    return [
        InputSpec([None] * len(fields[name].dims), fields[name].dtype, name) if name in fields else None
        for name in names[: last + 1]
    ]


def difference(expected: Iterable[list[np.ndarray]], actual: Iterable[list[np.ndarray]]) -> Difference:
    """Over all outputs of all samples; each output is measured by its own largest magnitude."""
    absolute = relative = 0.0
    for wanted, got in zip(expected, actual, strict=True):
        for one, other in zip(wanted, got, strict=True):
            if one.shape != other.shape:
                raise UserError(f"the static graph gives shape {other.shape} where the model gives {one.shape}")
            largest = float(np.abs(one - other).max())
            scale = float(np.abs(one).max())
            # np.maximum keeps NaN, which max() may drop.
            absolute = float(np.maximum(absolute, largest))
            relative = float(np.maximum(relative, largest / scale if scale else largest))
    return Difference(max_absolute=absolute, max_relative=relative)
