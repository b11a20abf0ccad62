"""What a saved model is: enough to rebuild its network, its task and its tokenizer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, ValidationError

from ppernie import registry
from ppernie.errors import UserError

if TYPE_CHECKING:
    import paddle

    from ppernie.data.tokenizers import ErnieTokenizer
    from ppernie.tasks.base import Task


class ModelDescription(BaseModel):
    """Written to ``config.json`` of a model folder and to ``deploy.yml`` of an export.

    Attributes:
        arch: ``name`` and all fields of the family's configuration.
        task: ``name`` and the task's options, with the labels that training found.
        max_length: longest input in tokens.
        fields: the training data's field map, so that prediction takes the same columns.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    arch: dict[str, Any]
    task: dict[str, Any]
    max_length: int
    fields: dict[str, str] = {}

    @classmethod
    def parse(cls, values: Any, source: Path) -> ModelDescription:
        """Checks values read from a file. Raises UserError that names the file."""
        try:
            description = cls.model_validate(values)
            for section in ("arch", "task"):
                if not isinstance(getattr(description, section).get("name"), str):
                    raise UserError(f"not a model description: {section}.name is missing")
            description.task_options()
            description.arch_config()
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(map(str, first["loc"])) or "content"
            raise UserError(f"{source}: not a model description: {key}: {first['msg']}") from error
        except UserError as error:
            raise UserError(f"{source}: {error}") from error
        return description

    def task_options(self) -> BaseModel:
        """The options of the task, checked."""
        options = {key: value for key, value in self.task.items() if key != "name"}
        return registry.task_options(self.task["name"])(**options)

    def arch_config(self) -> BaseModel:
        """The configuration of the network, checked."""
        fields = {key: value for key, value in self.arch.items() if key not in ("name", "variant")}
        return registry.arch_config(self.arch["name"])(**fields)

    def build_task(self, tokenizer: ErnieTokenizer) -> Task:
        """The task, ready to encode and to answer."""
        return registry.task_class(self.task["name"])(self.task_options(), tokenizer, self.max_length)

    def build_model(self, task: Task) -> paddle.nn.Layer:
        """The network, with Paddle's default values for weights."""
        return registry.arch_class(self.arch["name"])(self.arch_config(), **task.head())
