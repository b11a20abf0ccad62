"""What a saved model is: enough to rebuild its network, its task and its tokenizer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, ValidationError

from ppernie import registry
from ppernie.errors import UserError
from ppernie.peft import Adapters
from ppernie.slim.quantization.settings import Int8
from ppernie.slim.weight_only.arithmetic import Quantization

if TYPE_CHECKING:
    import paddle

    from ppernie.data.tokenizers import Tokenizer
    from ppernie.tasks.base import Task


class ModelDescription(BaseModel):
    """Written to ``config.json`` of a model folder and to ``deploy.yml`` of an export.

    Attributes:
        arch: ``name`` and all fields of the family's configuration.
        task: ``name`` and the task's options, with the labels that training found; None for a network of another
            library that does not say its task.
        max_length: longest input in tokens.
        fields: the training data's field map, so that prediction takes the same columns.
        quantization: which weights are stored in 8 or 4 bits, and how; None where none is.
        int8: which layers compute in INT8, and in which ranges; their weights are float in the folder.
        tuning: what the network has beside, and where the rest of its weights is; None where all are its own.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    arch: dict[str, Any]
    task: dict[str, Any] | None
    max_length: int
    fields: dict[str, str] = {}
    quantization: Quantization | None = None
    int8: Int8 | None = None
    tuning: Adapters | None = None

    @classmethod
    def parse(cls, values: Any, source: Path) -> ModelDescription:
        """Checks values read from a file. Raises UserError that names the file."""
        try:
            description = cls.model_validate(values)
            for name, section in (("arch", description.arch), ("task", description.task)):
                if section is not None and not isinstance(section.get("name"), str):
                    raise UserError(f"not a model description: {name}.name is missing")
            if description.task is not None:
                description.task_options()
            description.arch_config()
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(map(str, first["loc"])) or "content"
            raise UserError(f"{source}: not a model description: {key}: {first['msg']}") from error
        except UserError as error:
            raise UserError(f"{source}: {error}") from error
        return description

    @property
    def task_name(self) -> str:
        """Name of the task. Raises UserError where there is none."""
        if self.task is None:
            raise UserError("is a network without a task; training can start from it (Global.pretrained_model)")
        return self.task["name"]

    def task_options(self) -> BaseModel:
        """The options of the task, checked. Raises UserError where there is no task."""
        name = self.task_name
        return registry.task_options(name)(**{key: value for key, value in (self.task or {}).items() if key != "name"})

    def arch_config(self) -> BaseModel:
        """The configuration of the network, checked."""
        fields = {key: value for key, value in self.arch.items() if key not in ("name", "variant")}
        return registry.arch_config(self.arch["name"])(**fields)

    def build_task(self, tokenizer: Tokenizer) -> Task:
        """The task, ready to encode and to answer."""
        task = registry.task_class(self.task_name)(self.task_options(), tokenizer, self.max_length)
        task.adapt(self.arch_config())
        return task

    def build_model(self, task: Task) -> paddle.nn.Layer:
        """The network, with Paddle's default values for weights."""
        return self.build_network(**task.head())

    def check_unquantized(self, folder: Path) -> None:
        """Raises UserError where weights are stored in 8 or 4 bits, or layers compute in INT8."""
        if self.quantization is not None or self.int8 is not None:
            raise quantized_already(folder)

    def in_float(self) -> ModelDescription:
        """The same network, all of whose layers compute in float."""
        return self.model_copy(update={"int8": None})

    def build_network(self, **head: Any) -> paddle.nn.Layer:
        """The network with a task's arguments or none; of adapters it has those that cannot be laid into weights.

        Its layers that are to be INT8 compute as those do. Raises UserError where it has no such layers.
        """
        network = registry.arch_class(self.arch["name"])(self.arch_config(), **head)
        if self.tuning is not None and self.tuning.prefix is not None:
            from ppernie.peft.network import add_adapters

            add_adapters(network, registry.arch_plan(self.arch["name"]), self.tuning)
        if self.int8 is not None:
            from ppernie.slim.quantization.network import put_int8

            put_int8(network, self.int8)
        return network


def quantized_already(source: Path) -> UserError:
    """What is said of a source that must be in float."""
    return UserError(f"{source}: is quantised already; start from the weights that it was made of")
