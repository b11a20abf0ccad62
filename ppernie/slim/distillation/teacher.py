"""The frozen network that a run learns from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ppernie import registry
from ppernie.architectures import EncoderConfig
from ppernie.data.corpus.fingerprint import fingerprint
from ppernie.errors import UserError
from ppernie.zoo.pretrained import ENCODER, load_network
from ppernie.zoo.sources import Source, check_architecture, open_source
from ppernie.zoo.tokenizer import has_tokenizer, read_tokenizer

if TYPE_CHECKING:
    import paddle

    from ppernie.data.tokenizers import Tokenizer
    from ppernie.slim.distillation.settings import Distillation
    from ppernie.tasks.base import Task
    from ppernie.zoo.layout import Kind

_KEY = "Slim.distillation.teacher"


@dataclass(frozen=True)
class Teacher:
    """A teacher that was opened and not yet read.

    Attributes:
        head: the task whose answers it gives; ``encoder`` for layers alone.
        tokenizer: its own, where it is another than the students'.
    """

    source: Source
    config: EncoderConfig
    head: str
    tokenizer: Tokenizer | None

    def load(self, task: Task) -> paddle.nn.Layer:
        """The network in evaluation mode; no parameter takes a gradient.

        Raises:
            UserError: the weights are damaged, or lack the head.
        """
        encoder = self.head == ENCODER
        kind = "Model" if encoder else self._kind()
        labels = None if encoder else task.head().get("num_labels")
        network, new = load_network(self.source, kind, self.config, num_labels=labels)
        if lacking := [name for name in new if not (encoder or name.startswith("backbone."))]:
            raise UserError(
                f"{_KEY}: {self.source.place} answers no {self.head} (it lacks {', '.join(lacking)}); fine-tune it "
                "first, or leave soft out"
            )
        return frozen(network)

    def _kind(self) -> Kind:
        return registry.task_arch(self.source.family, self.head).removeprefix(self.source.brand)


def frozen(network: paddle.nn.Layer) -> paddle.nn.Layer:
    """The network in evaluation mode, without a parameter that learns."""
    for parameter in network.parameters():
        parameter.stop_gradient = True
    network.eval()
    return network


def open_teacher(section: Distillation, name: str, task: str, run: Task) -> Teacher:
    """Opens a teacher and compares it with the run.

    Args:
        name: of ``section``, or another's.
        task: name of the run's task.

    Raises:
        UserError: there is none, or its labels, lengths or tokenizer do not fit what is learnt from it.
    """
    try:
        source = open_source(name)
        config = check_architecture(source.family, source.architecture, str(source.place))
    except UserError as error:
        raise UserError(f"{_KEY}: {error}") from error
    if not isinstance(config, EncoderConfig):
        raise UserError(f"{_KEY}: {name} is no text encoder; distillation is for these")
    if config.max_position_embeddings < run.max_length:
        raise UserError(
            f"{_KEY}: {name} reads {config.max_position_embeddings} tokens, Data.max_length is {run.max_length}"
        )
    tokenizer = _other_tokenizer(source, config, run)
    if tokenizer is not None:
        _check_vocabularies(section, run)
    if section.soft is not None:
        _check_labels(source, run)
    return Teacher(source, config, ENCODER if section.soft is None else task, tokenizer)


def _other_tokenizer(source: Source, config: EncoderConfig, run: Task) -> Tokenizer | None:
    """The teacher's tokenizer; None where it is the run's, or where it has none and the vocabularies are as large."""
    if has_tokenizer(source.folder):
        tokenizer = read_tokenizer(source.folder)
        return None if fingerprint(tokenizer) == fingerprint(run.tokenizer) else tokenizer
    if config.vocab_size < run.tokenizer.vocab_size:
        raise UserError(
            f"{_KEY}: {source.place} has no tokenizer beside it, and {config.vocab_size} tokens, of which the "
            f"student's {run.tokenizer.vocab_size} cannot be; put its vocabulary into the folder"
        )
    return None


def _check_vocabularies(section: Distillation, run: Task) -> None:
    """Tokens of two tokenizers are not each other's; whole texts are."""
    by_token = [name for name in ("hidden", "attention", "relation") if getattr(section, name) is not None]
    if by_token:
        raise UserError(
            f"{_KEY}: its tokenizer is another than the student's, so {', '.join(by_token)} cannot compare their "
            "tokens; take sentence, soft and hard alone"
        )
    dims: Any = getattr(run, "output_dims", ("batch", "length"))
    if "length" in dims or run.id_names != ("input_ids",):
        raise UserError(
            f"{_KEY}: its tokenizer is another than the student's, and this task is not one over whole texts; "
            "choose a teacher with the same vocabulary"
        )


def _check_labels(source: Source, run: Task) -> None:
    description = source.description.task if source.description is not None else None
    stored = source.labels or (description or {}).get("labels")
    own = getattr(run.options, "labels", None)
    if stored and own and list(stored) != list(own):
        raise UserError(
            f"{_KEY}: {source.place} has the labels {', '.join(stored)}, the run {', '.join(own)}; set Task.labels to "
            "the teacher's, in its order"
        )
