"""``deploy.yml``: what an exported model takes and gives, and how closely it was measured to follow its origin."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError, model_validator
from pydantic import Field as Limit
from pydantic.dataclasses import dataclass

from ppernie.errors import UserError

DEPLOY, GRAPH, WEIGHTS, ONNX = "deploy.yml", "inference.json", "inference.pdiparams", "inference.onnx"
BATCH = "batch"


def _starts_with_batch(dims: tuple[str, ...]) -> tuple[str, ...]:
    if dims[:1] != (BATCH,):
        raise ValueError(f"the first dimension is '{BATCH}'")
    return dims


Dims = Annotated[tuple[str, ...], AfterValidator(_starts_with_batch)]


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Field:
    """One input.

    Args:
        name: name of the argument of the model's ``forward``.
        dtype: ``int64``, or ``float32`` for what a step hands on to the next.
        dims: names of the dimensions, e.g. ``("batch", "length")``. Equal names have equal sizes over all inputs;
            the first is ``batch``, and names that end in ``length`` count tokens.
        pad: id that fills rows up.
        upper: ids are at least 0 and below this; None for what is no id.
    """

    name: str
    dtype: Literal["int64", "float32"]
    dims: Dims
    pad: int
    upper: Annotated[int, Limit(ge=1)] | None

    @model_validator(mode="after")
    def _ids_have_limits(self) -> Self:
        if (self.dtype == "int64") != (self.upper is not None):
            raise ValueError("int64 needs an upper limit, and float32 has none")
        return self


class Difference(BaseModel):
    """How far an output lies from the dynamic model's."""

    max_absolute: float
    max_relative: Annotated[float, Limit(description="max_absolute over the output's largest magnitude")]


class DeployFile(BaseModel):
    """What every ``deploy.yml`` says."""

    model_config = ConfigDict(extra="forbid")

    format_version: Literal[1] = 1
    paddle: str
    max_length: Annotated[int, Limit(ge=1)]
    tolerance: Annotated[float, Limit(gt=0, description="largest max_relative that was accepted")]
    differences: Annotated[dict[str, Difference], Limit(description="measured, by precision")] = {}
    extra: Annotated[dict[str, Any], Limit(description="the exporter's own: task, labels, ...")] = {}

    def files(self) -> list[str]:
        """What lies beside the file."""
        raise NotImplementedError

    def write(self, folder: Path) -> None:
        """Writes ``deploy.yml``."""
        text = yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
        (folder / DEPLOY).write_text(text, encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Reads and checks an export.

        Raises:
            UserError: a file is missing or broken.
        """
        path = folder / DEPLOY
        try:
            deploy = cls.model_validate(read_values(folder))
        except ValidationError as error:
            problems = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'file'}: {e['msg']}" for e in error.errors())
            raise UserError(f"{path}: {problems}; export the model again") from error
        for name in deploy.files():
            if not (folder / name).is_file():
                raise UserError(_absent(folder, name))
        return deploy


class Deploy(DeployFile):
    """The contents of ``deploy.yml`` of a network that is one graph."""

    engine: Annotated[
        Literal["paddle", "openvino", "onnxruntime"],
        Limit(description="what runs the graph: paddle in float, the others in INT8"),
    ] = "paddle"
    weight_bits: Annotated[Literal[7, 8] | None, Limit(description="of what is INT8; null where all is float")] = None
    inputs: Annotated[list[Field], Limit(min_length=1)]
    outputs: Annotated[list[Dims], Limit(min_length=1, description="names of each output's dimensions")]

    def files(self) -> list[str]:
        return [GRAPH, WEIGHTS] if self.engine == "paddle" else [ONNX]


class StepInterface(BaseModel):
    """What the graph of one step takes and gives."""

    model_config = ConfigDict(extra="forbid")

    weights: Annotated[str, Limit(pattern=r"^[\w.-]+$", description="file; steps may share one")]
    inputs: Annotated[list[Field], Limit(min_length=1)]
    outputs: Annotated[list[Dims], Limit(min_length=1)]


class StepsDeploy(DeployFile):
    """The contents of ``deploy.yml`` of a network that runs step by step, each kind of step a graph of its own."""

    steps: Annotated[dict[Annotated[str, Limit(pattern=r"^\w+$")], StepInterface], Limit(min_length=1)]
    sizes: Annotated[dict[str, int], Limit(description="dimensions that are always of one size")]

    def files(self) -> list[str]:
        return [name for step, interface in self.steps.items() for name in (f"{step}.json", interface.weights)]


def read_values(folder: Path) -> Any:
    """The content of ``deploy.yml``, not checked. Raises UserError where it is absent or no YAML."""
    path = folder / DEPLOY
    if not path.is_file():
        raise UserError(_absent(folder, DEPLOY))
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"{path}: cannot be read ({error}); export the model again") from error


def _absent(folder: Path, name: str) -> str:
    return f"{folder}: no {name}, so this is not an exported model; export one first"
