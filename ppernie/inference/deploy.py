"""``deploy.yml``: what an exported model takes and gives, and how closely it was measured to follow its origin."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError
from pydantic import Field as Limit
from pydantic.dataclasses import dataclass

from ppernie.errors import UserError

DEPLOY, GRAPH, WEIGHTS = "deploy.yml", "inference.json", "inference.pdiparams"
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
        dtype: ``int64``.
        dims: names of the dimensions, e.g. ``("batch", "length")``. Equal names have equal sizes over all inputs;
            the first is ``batch``, and names that end in ``length`` count tokens.
        pad: id that fills rows up.
        upper: ids are at least 0 and below this.
    """

    name: str
    dtype: Literal["int64"]
    dims: Dims
    pad: int
    upper: Annotated[int, Limit(ge=1)]


class Difference(BaseModel):
    """How far an output lies from the dynamic model's."""

    max_absolute: float
    max_relative: Annotated[float, Limit(description="max_absolute over the output's largest magnitude")]


class Deploy(BaseModel):
    """The contents of ``deploy.yml``."""

    model_config = ConfigDict(extra="forbid")

    format_version: Literal[1] = 1
    paddle: str
    inputs: Annotated[list[Field], Limit(min_length=1)]
    outputs: Annotated[list[Dims], Limit(min_length=1, description="names of each output's dimensions")]
    max_length: Annotated[int, Limit(ge=1)]
    tolerance: Annotated[float, Limit(gt=0, description="largest max_relative that was accepted in fp32")]
    differences: Annotated[dict[str, Difference], Limit(description="measured, by precision")] = {}
    extra: Annotated[dict[str, Any], Limit(description="the exporter's own: task, labels, ...")] = {}

    def write(self, folder: Path) -> None:
        """Writes ``deploy.yml``."""
        text = yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
        (folder / DEPLOY).write_text(text, encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> Deploy:
        """Reads and checks an export.

        Raises:
            UserError: a file is missing or broken.
        """
        for name in (DEPLOY, GRAPH, WEIGHTS):
            if not (folder / name).is_file():
                raise UserError(f"{folder}: no {name}, so this is not an exported model; export one first")
        path = folder / DEPLOY
        try:
            return cls.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise UserError(f"{path}: cannot be read ({error}); export the model again") from error
        except ValidationError as error:
            problems = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'file'}: {e['msg']}" for e in error.errors())
            raise UserError(f"{path}: {problems}; export the model again") from error
