"""The distillation of one run: who learns what from whom."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ppernie import registry
from ppernie.architectures import EncoderConfig
from ppernie.errors import UserError
from ppernie.slim.distillation.answers import check_answers, count_answers
from ppernie.slim.distillation.augmentation import Augmenter, augmented, texts_of
from ppernie.slim.distillation.links import OWN, Link, link
from ppernie.slim.distillation.masked_words import MaskedWords
from ppernie.slim.distillation.part_of_speech import SameKind
from ppernie.slim.distillation.students import open_student
from ppernie.slim.distillation.teacher import open_teacher
from ppernie.slim.distillation.texts import ExampleStream
from ppernie.zoo.sources import open_source

if TYPE_CHECKING:
    import paddle

    from ppernie.data.streams import Stream
    from ppernie.slim.distillation.lessons import Lesson
    from ppernie.slim.distillation.settings import Distillation
    from ppernie.slim.distillation.taps import Taps
    from ppernie.tasks.base import Batch, Example, Item, Task
    from ppernie.zoo.description import ModelDescription

# The inputs of an encoder without a head.
_ENCODER_INPUTS = ("input_ids", "token_type_ids", "position_ids", "task_type_ids")


class Distiller:
    """Losses between networks over the batches of a run.

    One pass through the frozen teacher serves all that learn from it. A student that learns from the run's own
    network, its assistant, gets what that says in the same step, as constants (online distillation: Wang et al. 2021,
    arXiv:2112.12731, section 5).

    Args:
        section: of the config.
        description: of the run's own network.
        task: of the run, prepared.

    Attributes:
        objectives: factors of the losses by name: ``hidden``, ``attention``, ``relation``, ``sentence`` and ``soft``,
            a student's or another width's with its name before, as in ``nano.hidden`` and ``0.5.hidden``.
        teacher: opened; None where the run's own network is the only teacher.
        students: that learn beside the run's own network, by name.

    Raises:
        UserError: networks, task and losses do not fit each other.
    """

    def __init__(self, section: Distillation, description: ModelDescription, task: Task) -> None:
        self.section, self.task = section, task
        name = description.task_name
        config = description.arch_config()
        if not isinstance(config, EncoderConfig):
            raise UserError(f"Slim.distillation: {description.arch['name']} is no text encoder; leave it out")
        self._check(name)
        self.teacher = open_teacher(section, section.teacher, name, task) if section.teacher is not None else None
        self.students = {own: open_student(own, s, description, task) for own, s in section.students.items()}
        self.links: dict[str, Link] = {}
        if self.teacher is not None:
            self.links[OWN] = link(section, config, self.teacher.config)
        for own, student in self.students.items():
            master = self.teacher.config if student.by_teacher and self.teacher is not None else config
            self.links[own] = link(section, student.learning, master)
        self._check_widths()
        self.links |= {_width_name(width): self.links[OWN] for width in section.widths[1:]}
        self._arch, self._config = description.arch["name"], config
        self._factors = {
            loss: getattr(section, loss).weight
            for loss in ("hidden", "attention", "relation", "sentence", "soft")
            if getattr(section, loss) is not None
        }
        self.objectives = {_named(own, loss): factor for own in self.links for loss, factor in self._factors.items()}
        self._name = name
        self._masked_words: MaskedWords | None = None
        self._network: paddle.nn.Layer | None = None
        self._taps: dict[str, Taps] = {}

    def _check(self, name: str) -> None:
        if self.section.soft is not None:
            check_answers(name, self.task)
        layers = [loss for loss in ("hidden", "attention", "relation", "sentence") if getattr(self.section, loss)]
        if layers and len(self.task.id_names) > 1:
            raise UserError(
                f"Slim.distillation.{layers[0]}: {name} passes the network more than once, and layers are learnt from "
                "one pass; take soft and hard alone"
            )

    def _check_widths(self) -> None:
        if self.section.widths and len(set(self.links[OWN].widths)) > 1:
            own, teacher = self.links[OWN].widths
            raise UserError(
                f"Slim.distillation.widths: a network of several widths learns from one as wide as its own whole, "
                f"{own} and not {teacher}"
            )

    def augment_items(self, items: list[Item], examples: Sequence[Example]) -> list[Item]:
        """The items of a training set; with ``augmentation``, each with other words every time it is read.

        Raises:
            UserError: the task's labels would not fit any more.
        """
        augmenter = self._augmenter(examples)
        return items if augmenter is None else [*augmented(items, augmenter)]

    def augment_streams(self, streams: Mapping[str, Stream]) -> None:
        """The same for streams. Raises UserError for those of a corpus, which is tokens and no words."""
        for stream in streams.values():
            if isinstance(stream, ExampleStream):
                stream.augmenter = self._augmenter(stream.examples)
            elif self.section.augmentation is not None:
                raise UserError("Slim.distillation.augmentation: is for examples, not for a corpus; leave it out")

    def _augmenter(self, examples: Sequence[Example]) -> Augmenter | None:
        section = self.section.augmentation
        if section is None:
            return None
        texts = texts_of(examples)
        if section.words == "masked_lm":
            model = section.model or self.section.teacher
            if model is None:
                raise UserError("Slim.distillation.augmentation.model is missing: name a masked language model")
            tokenizer, length = self.task.tokenizer, self.task.max_length
            self._masked_words = MaskedWords(open_source(model), tokenizer, texts, length, section.top_k)
            return Augmenter(section, self._name, self._masked_words)
        return Augmenter(section, self._name, SameKind(texts))

    def attach(self, network: paddle.nn.Layer) -> None:
        """Adds projections and students to the run's own network, before its parameters are set."""
        from ppernie.slim.distillation.companions import Companions, add_companions

        students = {name: student.build(self.task) for name, student in self.students.items()}
        # Of several widths, the hidden states are as wide as the teacher's, and compared as they are.
        add_companions(network, Companions({} if self.section.widths else self.links, students))

    def start(self, network: paddle.nn.Layer) -> None:
        """Reads the teacher, listens to all networks, and asks for the words of an augmentation.

        Raises:
            UserError: weights are damaged or do not fit.
        """
        from ppernie.slim.distillation.companions import companions_of
        from ppernie.slim.distillation.taps import Taps
        from ppernie.slim.pruning.masks import Widths

        self._own = network
        self._companions = companions_of(network)
        heard: dict[str, tuple[set[int], set[int]]] = {name: (set(), set()) for name in ("", OWN, *self.students)}
        for name, own in self.links.items():
            for side, heard_of in enumerate((self._network_of(name), self._master(name))):
                heard[heard_of][0].update(own.hidden_of(side))
                heard[heard_of][1].update(own.projected_of(side))
        networks = {OWN: network, **{name: self._companions.students[name] for name in self.students}}
        for name, student in self.students.items():
            student.start(networks[name], self.task)
        if self.teacher is not None:
            self._network = networks[""] = self.teacher.load(self.task)
        if self.section.widths:
            self._widths = Widths(network, registry.arch_plan(self._arch), self._config, self.section.widths)
        self._taps = {name: Taps(listened, *heard[name]) for name, listened in networks.items()}
        if self._masked_words is not None:
            self._masked_words.ask()

    def _master(self, name: str) -> str:
        """Whom a network learns from: the frozen teacher has no name."""
        student = self.students.get(name)
        return "" if student is None or student.by_teacher else OWN

    def _network_of(self, name: str) -> str:
        """The network that a learner is: a width is the run's own."""
        return name if name in self.students else OWN

    def weights(self, batch: Batch) -> dict[str, float]:
        """What each loss is averaged over: tokens, cells of two tokens, texts or answers."""
        ids = batch["input_ids"].reshape(-1, batch["input_ids"].shape[-1])
        lengths = (ids != self.task.tokenizer.pad_id).sum(-1)
        tokens = float(lengths.sum())
        units = {"hidden": tokens, "attention": float((lengths**2).sum()), "relation": tokens, "sentence": len(ids)}
        if "soft" in self._factors:
            units["soft"] = count_answers(self.task, batch)
        return {_named(own, loss): float(units[loss]) for own in self.links for loss in self._factors}

    def losses(self, outputs: Any, batch: Mapping[str, paddle.Tensor]) -> dict[str, paddle.Tensor]:
        """The sums of a batch's losses, right after the run's own network has passed it.

        Args:
            outputs: of that network.
            batch: with the entries ``teacher_...`` where the teacher has a tokenizer of its own.
        """
        from ppernie.slim.distillation.lessons import Lesson, compare

        own = Lesson(self._taps[OWN].take(), outputs)
        teacher = self._teach(batch)
        found: dict[str, paddle.Tensor] = {}
        for name in self.links:
            learner = own if name == OWN else self._pass(name, batch)
            lesson = own.constant() if self._master(name) == OWN else teacher
            assert lesson is not None
            project = _as_it_is if self.section.widths else functools.partial(self._companions.project, name)
            sums = compare(self.section, self.links[name], self.task, project, learner, lesson, batch)
            found |= {_named(name, loss): value for loss, value in sums.items()}
        return found

    def _inputs(self, batch: Mapping[str, paddle.Tensor]) -> dict[str, paddle.Tensor]:
        names = (*self.task.input_names, "masked_positions")
        return {name: batch[name] for name in names if name in batch}

    def _pass(self, name: str, batch: Mapping[str, paddle.Tensor]) -> Lesson:
        from ppernie.slim.distillation.lessons import Lesson

        if name in self.students:
            outputs = self._companions.students[name](**self._inputs(batch))
        else:
            with self._widths.at(float(name)):
                outputs = self._own(**self._inputs(batch))
        return Lesson(self._taps[self._network_of(name)].take(), outputs)

    def _teach(self, batch: Mapping[str, paddle.Tensor]) -> Lesson | None:
        import paddle

        from ppernie.slim.distillation.lessons import Lesson, rows

        if self._network is None or self.teacher is None:
            return None
        inputs = self._inputs(batch)
        if self.teacher.tokenizer is not None:
            inputs = {name: batch[f"teacher_{name}"] for name in inputs}
        if self.section.soft is None:
            inputs = {name: rows(ids) for name, ids in inputs.items() if name in _ENCODER_INPUTS}
        with paddle.no_grad():
            outputs = self._network(**inputs)
        return Lesson(self._taps[""].take(), outputs)


def _width_name(width: float) -> str:
    return str(width)


def _as_it_is(layer: int, states: paddle.Tensor) -> paddle.Tensor:
    return states


def _named(name: str, loss: str) -> str:
    return loss if name == OWN else f"{name}.{loss}"
