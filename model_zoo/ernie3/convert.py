"""Names and layouts of foreign ERNIE checkpoints, as functions on dicts of numpy arrays.

A state of ours keeps its query, key and value projections in one matrix, [hidden, heads, 3, head size] flattened
to [hidden, 3 * hidden]; the others keep three. PaddleNLP stores matrices [in, out] as we do, Hugging Face [out, in].
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from model_zoo.ernie3.config import ErnieConfig
from ppernie.errors import UserError

State = dict[str, np.ndarray]


class Row(NamedTuple):
    """A module by its three names, and its sizes: fields of the config, numbers, or ``labels``.

    ``{layer}`` stands for each encoder layer, ``{part}`` for query, key and value.
    """

    ours: str
    paddlenlp: str
    huggingface: str
    kind: Literal["table", "matrix", "norm", "vector"]
    sizes: tuple[str | int, ...]


_SQUARE = ("hidden_size", "hidden_size")
_WIDE = ("hidden_size", "intermediate_size")
_NARROW = ("intermediate_size", "hidden_size")

# fmt: off
_POOLER = Row("pooler", "pooler.dense", "pooler.dense", "matrix", _SQUARE)
_TASKS = Row("embeddings.task_type_embeddings", "embeddings.task_type_embeddings",
             "embeddings.task_type_embeddings", "table", ("task_type_vocab_size",))
_ENCODER = (
    Row("embeddings.word_embeddings", "embeddings.word_embeddings",
        "embeddings.word_embeddings", "table", ("vocab_size",)),
    Row("embeddings.position_embeddings", "embeddings.position_embeddings",
        "embeddings.position_embeddings", "table", ("max_position_embeddings",)),
    Row("embeddings.token_type_embeddings", "embeddings.token_type_embeddings",
        "embeddings.token_type_embeddings", "table", ("type_vocab_size",)),
    Row("embeddings.layer_norm", "embeddings.layer_norm",
        "embeddings.LayerNorm", "norm", ("hidden_size",)),
    Row("encoder.layers.{layer}.self_attn.qkv_proj", "encoder.layers.{layer}.self_attn.{part}_proj",
        "encoder.layer.{layer}.attention.self.{part}", "matrix", _SQUARE),
    Row("encoder.layers.{layer}.self_attn.out_proj", "encoder.layers.{layer}.self_attn.out_proj",
        "encoder.layer.{layer}.attention.output.dense", "matrix", _SQUARE),
    Row("encoder.layers.{layer}.norm1", "encoder.layers.{layer}.norm1",
        "encoder.layer.{layer}.attention.output.LayerNorm", "norm", ("hidden_size",)),
    Row("encoder.layers.{layer}.feed_forward.linear1", "encoder.layers.{layer}.linear1",
        "encoder.layer.{layer}.intermediate.dense", "matrix", _WIDE),
    Row("encoder.layers.{layer}.feed_forward.linear2", "encoder.layers.{layer}.linear2",
        "encoder.layer.{layer}.output.dense", "matrix", _NARROW),
    Row("encoder.layers.{layer}.norm2", "encoder.layers.{layer}.norm2",
        "encoder.layer.{layer}.output.LayerNorm", "norm", ("hidden_size",)),
)
_LABELS = Row("classifier", "classifier", "classifier", "matrix", ("hidden_size", "labels"))
_MASKED_LM = (
    Row("transform", "cls.predictions.transform", "cls.predictions.transform.dense", "matrix", _SQUARE),
    Row("layer_norm", "cls.predictions.layer_norm", "cls.predictions.transform.LayerNorm", "norm", ("hidden_size",)),
    Row("decoder_bias", "cls.predictions.decoder_bias", "cls.predictions.bias", "vector", ("vocab_size",)),
)
_HEADS: dict[str, tuple[Row, ...]] = {
    "ErnieModel": (),
    "ErnieDualEncoder": (),
    "ErnieForSequenceClassification": (_LABELS,),
    "ErnieForTokenClassification": (_LABELS,),
    "ErnieForQuestionAnswering": (Row("classifier", "classifier", "qa_outputs", "matrix", ("hidden_size", 2)),),
    "ErnieForMultipleChoice": (Row("classifier", "classifier", "classifier", "matrix", ("hidden_size", 1)),),
    "ErnieForMaskedLM": _MASKED_LM,
}
# fmt: on

# These heads read no pooled output: Hugging Face's classes for them have no pooler.
_POOLER_OPTIONAL = ("ErnieForTokenClassification", "ErnieForQuestionAnswering", "ErnieForMaskedLM")


@dataclass(frozen=True)
class Layout:
    """How a library writes ERNIE.

    Args:
        title: the library's name, for messages.
        column: the field of ``Row`` that holds its names.
        parts: what ``{part}`` stands for: query, key, value.
        transposed: whether matrices are [out, in].
        tied: second names under which the masked language model's tensors are stored once more.
        buffers: constants that files of older versions hold beside the weights; never written.
    """

    title: str
    column: Literal["paddlenlp", "huggingface"]
    parts: tuple[str, str, str]
    transposed: bool
    tied: Mapping[str, str]
    buffers: tuple[str, ...] = ()


PADDLENLP = Layout(
    title="PaddleNLP",
    column="paddlenlp",
    parts=("q", "k", "v"),
    transposed=False,
    tied={
        "cls.predictions.decoder.weight": "ernie.embeddings.word_embeddings.weight",
        "cls.predictions.decoder.bias": "cls.predictions.decoder_bias",
    },
)
HUGGINGFACE = Layout(
    title="Hugging Face",
    column="huggingface",
    parts=("query", "key", "value"),
    transposed=True,
    tied={
        "cls.predictions.decoder.weight": "ernie.embeddings.word_embeddings.weight",
        "cls.predictions.decoder.bias": "cls.predictions.bias",
    },
    buffers=("embeddings.position_ids", "embeddings.token_type_ids"),
)


class _Tensor(NamedTuple):
    """One tensor of ours and the one foreign tensor, or three, that it is made of; ``shape`` is [in, out]."""

    ours: str
    foreign: tuple[str, ...]
    shape: tuple[int, ...]
    turned: bool

    @property
    def our_shape(self) -> tuple[int, ...]:
        return (*self.shape[:-1], self.shape[-1] * len(self.foreign))

    @property
    def foreign_shape(self) -> tuple[int, ...]:
        return self.shape[::-1] if self.turned else self.shape


def from_foreign(
    state: Mapping[str, np.ndarray],
    config: ErnieConfig,
    layout: Layout,
    architecture: str,
    ignore: Sequence[str] = (),
) -> State:
    """Turns a foreign state into one of ours, bit by bit.

    Args:
        architecture: our class that the result is for. ``ErnieModel`` and ``ErnieDualEncoder`` take a bare
            encoder, with or without ``ernie.`` before its names.
        ignore: beginnings of foreign names to leave out, such as ``("cls.",)`` to get the encoder out of a
            checkpoint from pretraining.

    Returns:
        Every tensor of the class; without the pooler where the head does not use it and the state lacks it.

    Raises:
        UserError: names that the class does not have, missing names, wrong shapes, tied tensors that differ.
    """
    kept = {name: array for name, array in state.items() if not name.startswith(tuple(ignore))}
    if not _HEADS[architecture] and any(name.startswith("ernie.") for name in kept):
        problems = [f"{name}: unknown name" for name in kept if not name.startswith("ernie.")]
        kept = {name.removeprefix("ernie."): array for name, array in kept.items()}
    else:
        problems = []
    kept = {name: array for name, array in kept.items() if name.removeprefix("ernie.") not in layout.buffers}
    tied = {alias: kept.pop(alias) for alias in _tied(layout, architecture) if alias in kept}

    tensors = _tensors(kept, config, layout, architecture)
    problems += _problems(kept, {name: t.foreign_shape for t in tensors for name in t.foreign})
    problems += [
        f"{alias}: differs from {layout.tied[alias]}, with which the model ties it"
        for alias, array in tied.items()
        if layout.tied[alias] in kept and not np.array_equal(array, kept[layout.tied[alias]])
    ]
    _raise(problems, f"this {layout.title} checkpoint is not one of {architecture} with this config")
    return {t.ours: _join([kept[name] for name in t.foreign], t, config) for t in tensors}


def to_foreign(state: Mapping[str, np.ndarray], config: ErnieConfig, layout: Layout, architecture: str) -> State:
    """Turns a state of ours into a foreign one, bit by bit; ``ErnieDualEncoder`` becomes a bare encoder.

    Tied tensors are written under both of their names, as in the foreign ``state_dict``. The pooler is written
    where the state has it.

    Raises:
        UserError: names that the class does not have, missing names, wrong shapes.
    """
    tensors = _tensors(state, config, layout, architecture)
    problems = _problems(state, {t.ours: t.our_shape for t in tensors})
    _raise(problems, f"these weights are not those of {architecture} with this config")
    foreign: State = {}
    for t in tensors:
        foreign.update(zip(t.foreign, _split(state[t.ours], t, config), strict=True))
    return foreign | {alias: foreign[layout.tied[alias]] for alias in _tied(layout, architecture)}


def _tied(layout: Layout, architecture: str) -> Iterable[str]:
    return layout.tied if architecture == "ErnieForMaskedLM" else ()


def _tensors(state: Mapping[str, np.ndarray], config: ErnieConfig, layout: Layout, architecture: str) -> list[_Tensor]:
    """Every tensor that ``state``, of ours or foreign, must hold."""
    pooler = architecture not in _POOLER_OPTIONAL or any(".pooler." in name for name in state)
    encoder = [*_ENCODER, *([_TASKS] if config.task_type_vocab_size else []), *([_POOLER] if pooler else [])]
    our_prefix = "" if architecture == "ErnieModel" else "backbone."
    foreign_prefix = "ernie." if _HEADS[architecture] else ""
    labels = state["classifier.bias"].size if "classifier.bias" in state else 0
    return [
        *(t for row in encoder for t in _expand(row, config, layout, our_prefix, foreign_prefix)),
        *(t for row in _HEADS[architecture] for t in _expand(row, config, layout, labels=labels)),
    ]


def _expand(
    row: Row,
    config: ErnieConfig,
    layout: Layout,
    our_prefix: str = "",
    foreign_prefix: str = "",
    labels: int = 0,
) -> Iterator[_Tensor]:
    """The tensors of a row, for every layer: weight and bias, or the row itself where it is a vector."""
    known = {**dict(config), "labels": labels}
    sizes = tuple(size if isinstance(size, int) else known[size] for size in row.sizes)
    shapes: dict[str, tuple[int, ...]]
    if row.kind == "table":
        shapes = {".weight": (*sizes, config.hidden_size)}
    elif row.kind == "vector":
        shapes = {"": sizes}
    else:
        shapes = {".weight": sizes, ".bias": sizes[-1:]}
    foreign = getattr(row, layout.column)
    parts = layout.parts if "{part}" in foreign else ("",)
    for layer in range(config.num_hidden_layers if "{layer}" in row.ours else 1):
        names = [foreign_prefix + foreign.format(layer=layer, part=part) for part in parts]
        for suffix, shape in shapes.items():
            yield _Tensor(
                ours=our_prefix + row.ours.format(layer=layer) + suffix,
                foreign=tuple(name + suffix for name in names),
                shape=shape,
                turned=layout.transposed and row.kind == "matrix" and suffix == ".weight",
            )


def _problems(state: Mapping[str, np.ndarray], expected: Mapping[str, tuple[int, ...]]) -> list[str]:
    """Differences between the names and shapes of ``state`` and the expected ones."""
    problems = [f"{name}: unknown name" for name in state if name not in expected]
    for name, shape in expected.items():
        if name not in state:
            problems.append(f"{name}: missing")
        elif state[name].shape != shape:
            problems.append(f"{name}: shape {list(state[name].shape)} instead of {list(shape)}")
    return problems


def _raise(problems: Sequence[str], what: str) -> None:
    if problems:
        more = [f"... and {len(problems) - 20} more"] if len(problems) > 20 else []
        raise UserError("\n  ".join([f"{what}:", *problems[:20], *more]))


def _join(parts: Sequence[np.ndarray], tensor: _Tensor, config: ErnieConfig) -> np.ndarray:
    parts = [part.T if tensor.turned else part for part in parts]
    if len(parts) == 1:
        return np.ascontiguousarray(parts[0])
    by_head = [part.reshape(*part.shape[:-1], config.num_attention_heads, -1) for part in parts]
    return np.stack(by_head, axis=-2).reshape(*parts[0].shape[:-1], -1)


def _split(array: np.ndarray, tensor: _Tensor, config: ErnieConfig) -> list[np.ndarray]:
    parts = [array]
    if len(tensor.foreign) > 1:
        lead = array.shape[:-1]
        by_head = array.reshape(*lead, config.num_attention_heads, len(tensor.foreign), -1)
        parts = [by_head[..., n, :].reshape(*lead, -1) for n in range(len(tensor.foreign))]
    return [np.ascontiguousarray(part.T if tensor.turned else part) for part in parts]
