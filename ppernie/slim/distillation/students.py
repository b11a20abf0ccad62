"""Students that learn beside a run's own network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ppernie import registry
from ppernie.architectures import EncoderConfig
from ppernie.errors import UserError
from ppernie.zoo.pretrained import found_in, tell
from ppernie.zoo.sources import Source, check_architecture, open_source
from ppernie.zoo.weights import fill

if TYPE_CHECKING:
    import paddle

    from ppernie.slim.distillation.settings import Student
    from ppernie.tasks.base import Task
    from ppernie.zoo.description import ModelDescription


@dataclass(frozen=True)
class StudentModel:
    """A student, described and not yet built.

    Attributes:
        description: of what is saved.
        config: of what is saved.
        learning: of the network that learns, which may have one layer more.
        source: weights that it starts from.
        by_teacher: whether it learns from the frozen teacher.
    """

    description: ModelDescription
    config: EncoderConfig
    learning: EncoderConfig
    source: Source | None
    by_teacher: bool

    def build(self, task: Task) -> Any:
        """The network that learns."""
        return registry.arch_class(self.description.arch["name"])(self.learning, **task.head())

    def start(self, network: paddle.nn.Layer, task: Task) -> None:
        """Lays the weights that it starts from over what was drawn. Raises UserError where they do not fit."""
        if self.source is None:
            return
        own = dict(network.named_parameters())
        shapes = {name: tuple(parameter.shape) for name, parameter in own.items()}
        labels = task.head().get("num_labels")
        found = found_in(self.source, self.description.arch["name"], self.config, shapes, labels=labels)
        fill(own, found.tensors)
        tell(found, [name for name in own if name not in found.tensors], str(self.source.place))

    def kept(self, weights: dict[str, Any]) -> dict[str, Any]:
        """Of the weights of the network that learns, those that are saved."""
        if self.learning == self.config:
            return weights
        extra = f"encoder.layers.{self.config.num_hidden_layers}."
        return {name: value for name, value in weights.items() if extra not in name}


def open_student(name: str, student: Student, description: ModelDescription, task: Task) -> StudentModel:
    """Checks a student of ``Slim.distillation.students``.

    Args:
        description: of the run's own network.

    Raises:
        UserError: its fields are wrong, or its weights are another network's.
    """
    key = f"Slim.distillation.students.{name}"
    arch = description.arch["name"]
    fields = {field: value for field, value in description.arch.items() if field not in ("name", "variant")}
    if student.variant is not None:
        variants = registry.arch_variants(arch)
        if student.variant not in variants:
            raise UserError(
                f"{key}.variant: {arch} has no variant {student.variant!r}; there are {', '.join(variants)}"
            )
        fields = dict(variants[student.variant])
    source = None
    if student.pretrained_model is not None:
        source = open_source(student.pretrained_model)
        fields = fields if student.variant else dict(source.architecture)
    fields |= student.fields
    config = check_architecture(arch.partition("/")[0], fields, key)
    assert isinstance(config, EncoderConfig)
    for field, size, needed in (
        ("vocab_size", config.vocab_size, task.tokenizer.vocab_size),
        ("max_position_embeddings", config.max_position_embeddings, task.max_length),
    ):
        if size < needed:
            raise UserError(f"{key}.fields.{field}: {size} is too few, {needed} are needed")
    extra = {"num_hidden_layers": config.num_hidden_layers + 1} if student.extra_layer else {}
    described = {"name": arch, "variant": student.variant, **config.model_dump(mode="json", round_trip=True)}
    return StudentModel(
        description=description.model_copy(update={"arch": described}),
        config=config,
        learning=config.model_copy(update=extra),
        source=source,
        by_teacher=student.learns_from == "teacher",
    )
