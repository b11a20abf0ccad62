"""From a checked config to the parts of a run."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np

from ppernie import registry
from ppernie.data.corpus import Corpus, open_corpus
from ppernie.data.readers import Purpose, read_examples
from ppernie.data.tokenizers import Tokenizer
from ppernie.data.tokenizers.settings import tokenizer_of
from ppernie.errors import UserError
from ppernie.peft import Base
from ppernie.peft.plan import is_adapter, plan_with_adapters
from ppernie.peft.weights import fingerprint
from ppernie.slim.distillation.distiller import Distiller
from ppernie.slim.distillation.task import DistilledTask
from ppernie.slim.distillation.texts import TextDistillation
from ppernie.slim.quantization.training import training_ranges
from ppernie.tasks.pretraining import PretrainingTask
from ppernie.zoo.description import ModelDescription
from ppernie.zoo.layout import Fit
from ppernie.zoo.pretrained import found_in, tell
from ppernie.zoo.sources import Source, open_source
from ppernie.zoo.tokenizer import has_tokenizer, read_tokenizer
from ppernie.zoo.weights import fill

if TYPE_CHECKING:
    import paddle

    from ppernie.config import sections
    from ppernie.config.sections import Config
    from ppernie.data.streams import Stream
    from ppernie.parallel.network import Share
    from ppernie.parallel.plan import Plan
    from ppernie.parallel.ranks import Ranks
    from ppernie.tasks.base import Batch, Item, Task

logger = logging.getLogger("ppernie")

# Fields of an architecture that a run may choose: the weights are the same.
_FREE_FIELDS = ("hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout", "initializer_range")


@dataclass
class Parts:
    """What a run works on; ``eval`` and ``test`` are empty where the config names none.

    ``source`` holds the pretrained weights that the run starts from, not yet read. A run over a corpus has ``streams``
    of samples, and ``eval_streams``, in place of the lists; the corpus tells the ``start_values`` of some parameters.
    With a ``distiller`` the task's objectives are that one's, too.
    """

    task: Task
    train: list[Item]
    eval: list[Item]
    test: list[Item]
    description: ModelDescription
    source: Source | None = None
    streams: Mapping[str, Stream] = field(default_factory=dict)
    eval_streams: Mapping[str, Stream] = field(default_factory=dict)
    start_values: Mapping[str, np.ndarray] = field(default_factory=dict)
    distiller: Distiller | None = None


def assemble(config: Config) -> Parts:
    """Tokenizer, task and data of a config, all checked before a step is made.

    Raises:
        UserError: a file is absent or wrong, a label is unknown, or tokenizer and network do not fit.
    """
    if config.Data.train is None:
        raise UserError("Data.train is missing: name the training file or data set")
    source = pretrained_source(config)
    tokenizer = build_tokenizer(config, source)
    section = config.Task
    task = registry.task_class(section.name)(section.options, tokenizer, config.Data.max_length)
    task.adapt(config.Arch.model)
    if isinstance(task, PretrainingTask):
        return _over_corpora(config, task, source)
    examples = {
        "train": _read(config, config.Data.train, "train"),
        "eval": _read(config, config.Data.eval, "eval"),
        "test": _read(config, config.Data.test, "eval"),
    }
    task.prepare(examples["train"])
    items = {name: [item for e in rows for item in task.expand(e, True)] for name, rows in examples.items()}
    for name, rows in examples.items():
        if rows:
            logger.info("%s: %d examples, %d inputs", name, len(rows), len(items[name]))
    description = _describe(config, task, source)
    _check_ids(task, items["train"][:32], config.Arch.model)
    parts = Parts(task, items["train"], items["eval"], items["test"], description, source)
    if config.Slim.distillation is None:
        return parts
    distiller = Distiller(config.Slim.distillation, description, task)
    parts.train = distiller.augment_items(parts.train, examples["train"])
    return _distilled(parts, distiller)


def _distilled(parts: Parts, distiller: Distiller) -> Parts:
    # It stands for the task in all that the engine asks of one.
    return replace(parts, task=cast("Task", DistilledTask(parts.task, distiller)), distiller=distiller)


def _over_corpora(config: Config, task: PretrainingTask, source: Source | None) -> Parts:
    if config.Data.test is not None:
        raise UserError("Data.test: a run over a corpus reports on Data.eval; leave it out")
    _check_vocabulary(task, config.Arch.model)
    streams = {
        "train": open_streams(config, task, config.Data.train, "train"),
        "eval": open_streams(config, task, config.Data.eval, "eval"),
    }
    growth = config.Train.progressive
    for stream in streams["train"].values():
        for length in {config.Data.max_length, (growth and growth.length) or config.Data.max_length}:
            sample = stream.sample(0, length, np.random.default_rng(0))
            _check_types(stream.collate([sample], length), config.Arch.model)
    parts = Parts(task, [], [], [], _describe(config, task, source), source, streams["train"], streams["eval"])
    if config.Data.train is not None and config.Data.train.corpus is not None:
        parts.start_values = task.start_values(corpus_of(config, task, config.Data.train.corpus), config.Arch.model)
    if config.Slim.distillation is None:
        return parts
    distiller = Distiller(config.Slim.distillation, parts.description, task)
    distiller.augment_streams(parts.streams)
    return _distilled(parts, distiller)


def open_streams(
    config: Config, task: PretrainingTask, part: sections.Source | None, purpose: Literal["train", "eval"]
) -> Mapping[str, Stream]:
    key = f"Data.{purpose}"
    if part is None:
        return {}
    if part.corpus is None and isinstance(task, TextDistillation):
        # Labels, where the examples have them, are not asked for.
        data, like = config.Data, "sequence_classification"
        examples = read_examples(part, root=data.root, fields=data.fields, task=like, purpose="predict")
        return task.example_streams(examples)
    if part.corpus is None:
        raise UserError(f"{key}.corpus is missing: {config.Task.name} reads a folder that ppernie preprocess wrote")
    opened = task.streams if purpose == "train" else task.evaluation_streams
    streams = opened(corpus_of(config, task, part.corpus), config.Arch.model)
    for name, stream in streams.items():
        logger.info("%s: %d samples of %s", key, len(stream), name)
    return streams


def corpus_of(config: Config, task: Task, folder: str) -> Corpus:
    """The corpus in a folder. Raises UserError where it is absent, broken or of another tokenizer."""
    corpus = open_corpus(Path(config.Data.root or "", folder))
    corpus.check(task.tokenizer)
    return corpus


def _describe(config: Config, task: Task, source: Source | None) -> ModelDescription:
    return ModelDescription(
        arch=config.resolved()["Arch"],
        task={"name": config.Task.name, **task.options.model_dump(mode="json")},
        max_length=config.Data.max_length,
        fields=config.Data.fields,
        int8=training_ranges(config, None if source is None else source.folder),
    )


def build_tokenizer(config: Config, source: Source | None) -> Tokenizer:
    """The pretrained model's tokenizer, whose ids its weights know; without one, that of ``Data.tokenizer``."""
    if source is not None and has_tokenizer(source.folder):
        return read_tokenizer(source.folder)
    tokenizer = tokenizer_of(config.Data.tokenizer) if config.Data.tokenizer is not None else None
    if tokenizer is None:
        raise UserError(
            "Data.tokenizer.vocab_file is missing: name a vocab.txt, or set Global.pretrained_model to a released "
            "model or a model folder"
        )
    return tokenizer


def build_model(config: Config, parts: Parts, ranks: Ranks) -> Share:
    """This rank's share of the network: with new weights, or those of ``Global.pretrained_model``.

    Its encoder must fit exactly. A head of which it stores nothing is drawn anew, and logged. What is drawn depends on
    the seed and the parameter's name alone. With ``Tuning`` the network has adapters, and only what is drawn learns.
    """
    from ppernie.parallel.network import build_network, draw_parameters, parts_of
    from ppernie.peft.network import add_adapters, connect_adapters
    from ppernie.slim.distillation.companions import is_companion

    arch, source, tuning = config.Arch, parts.source, config.Tuning

    def plan() -> Plan:
        return plan_with_adapters(registry.arch_plan(arch.name))

    def build() -> paddle.nn.Layer:
        network = parts.description.build_model(parts.task)
        if tuning.on:
            add_adapters(network, plan(), tuning)
        if parts.distiller is not None:
            parts.distiller.attach(network)
        return network

    share = build_network(build, plan, arch.model, ranks, config.Distributed)
    connect_adapters(share.network, tuning)
    found = Fit({}, []) if source is None else _found(config, parts, source, share)
    new = [name for name in share.cuts if name not in found.tensors]
    started = {name: value for name, value in parts.start_values.items() if name in new}
    fill(dict(share.network.named_parameters()), parts_of({**started, **found.tensors}, share))
    drawn = [name for name in new if name not in started]
    draw_parameters(share, drawn, config.Global.seed)
    _check_frozen(share, drawn)
    if source is not None:
        tell(found, [name for name in new if not (is_adapter(name) or is_companion(name))], str(source.place))
    if parts.distiller is not None:
        parts.distiller.start(share.network)
    return _frozen(config, share, found, ranks) if tuning.on else share


def _check_frozen(share: Share, drawn: Sequence[str]) -> None:
    """Raises UserError where parameters would stay as they were drawn."""
    frozen = {name for name, parameter in share.network.named_parameters() if parameter.stop_gradient}
    if lost := [name for name in drawn if name in frozen]:
        raise UserError(
            f"{len(lost)} frozen parameters, {lost[0]} the first, have drawn values that nothing would change; name a "
            "Global.pretrained_model that has them, or let them learn"
        )


def _found(config: Config, parts: Parts, source: Source, share: Share) -> Fit:
    """What the network takes of pretrained weights."""
    shapes = {name: cut.shape for name, cut in share.cuts.items()}
    labels = parts.task.head().get("num_labels")
    return found_in(source, config.Arch.name, config.Arch.model, shapes, labels=labels, new_head=config.Global.new_head)


def _frozen(config: Config, share: Share, found: Fit, ranks: Ranks) -> Share:
    """The share with what was found of the pretrained network for the base of its adapters."""
    from ppernie.peft.network import freeze

    model = config.Global.pretrained_model
    assert model is not None
    freeze(share.network, found.tensors.keys())
    checksum = ranks.broadcast_object(fingerprint(found.tensors) if ranks.topology.rank == 0 else "")
    sizes = {name: math.prod(cut.shape) for name, cut in share.cuts.items()}
    learning = sum(size for name, size in sizes.items() if name not in found.tensors)
    logger.info("%d of %d numbers learn; the others are those of %s", learning, sum(sizes.values()), model)
    base = Base(model=model, new_head=config.Global.new_head, checksum=checksum)
    return replace(share, frozen=frozenset(found.tensors), base=base)


def pretrained_source(config: Config) -> Source | None:
    """``Global.pretrained_model``, opened and compared with ``Arch``. Raises UserError where it is another network."""
    name = config.Global.pretrained_model
    if name is None:
        return None
    try:
        source = open_source(name)
    except UserError as error:
        raise UserError(f"Global.pretrained_model: {error}") from error
    family = config.Arch.name.partition("/")[0]
    if source.family != family:
        raise UserError(f"Global.pretrained_model: {name} is of the family {source.family}, Arch.name of {family}")
    if registry.arch_start(config.Arch.name) is not None:
        return source
    own = config.Arch.model.model_dump()
    if not source.architecture.keys() <= own.keys():
        raise UserError(f"Global.pretrained_model: {name} is not a network of the kind of {config.Arch.name}")
    differing = [
        f"{field} is {value!r} there and {own[field]!r} in Arch"
        for field, value in source.architecture.items()
        if field not in _FREE_FIELDS and own[field] != value
    ]
    if differing:
        raise UserError(
            f"Global.pretrained_model: {name} is another network than Arch: {'; '.join(differing)}. Set Arch.variant "
            "to the released model, or to null, which takes the pretrained model's fields"
        )
    return source


def _read(config: Config, source: sections.Source | None, purpose: Purpose) -> list[dict[str, Any]]:
    if source is None:
        return []
    data = config.Data
    return read_examples(source, root=data.root, fields=data.fields, task=config.Task.name, purpose=purpose)


def _check_ids(task: Task, items: Sequence[Item], arch: Any) -> None:
    """The network's tables must hold every id that the task can make."""
    _check_vocabulary(task, arch)
    _check_types(task.collate([task.encode(item, (0, 0, 0)) for item in items]), arch)


def _check_types(batch: Batch, arch: Any) -> None:
    types = batch.get("token_type_ids")
    if types is not None and types.max() >= arch.type_vocab_size:
        raise UserError(
            f"pairs need {types.max() + 1} segment types, but Arch.type_vocab_size is {arch.type_vocab_size}; "
            "join the texts in one field, set it, or choose another variant"
        )


def _check_vocabulary(task: Task, arch: Any) -> None:
    if task.tokenizer.vocab_size > arch.vocab_size:
        raise UserError(
            f"the vocabulary has {task.tokenizer.vocab_size} tokens, but Arch.vocab_size is {arch.vocab_size}; "
            "use the model's own vocabulary or set Arch.vocab_size"
        )
