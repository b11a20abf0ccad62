"""Names and layouts of checkpoints: tables, and the engine that reads and writes weights by them.

A ``Layout`` says how one library writes one family. Ours is a layout like the others, so that every way into a
network is the same: ``fit`` lays stored tensors over it, strictly, and ``write`` goes back, bit by bit. Nothing is
read from the disk before a parameter asks for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
from pydantic import BaseModel

from ppernie.errors import UserError

State = dict[str, np.ndarray]
_SUFFIXES = (".weight", ".bias")

Kind = str  # of a network: what follows the family's name in its class, such as ForMaskedLM


class Tensor(Protocol):
    """What weights are read from: an array, or something on the disk."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __array__(self) -> np.ndarray: ...


class Row(NamedTuple):
    """A module by its names in each library, and its sizes: fields of the config, numbers, or ``labels``.

    ``{layer}`` stands for each encoder layer. A ``fused`` matrix is one of ours for three of the others': ``{part}``
    stands for query, key and value, and the sizes are those of a part.
    """

    ours: str
    paddlenlp: str
    huggingface: str
    repository: str
    static: str
    kind: Literal["table", "matrix", "fused", "norm", "vector"]
    sizes: tuple[str | int, ...]


class Head(NamedTuple):
    """What a network holds beside its encoder; ``tied`` names second names under which tensors are stored again."""

    rows: tuple[Row, ...] = ()
    reads_pooler: bool = True
    tied: Mapping[str, str] = {}

    @property
    def counted(self) -> bool:
        """Whether its size is a number of classes, which each network chooses."""
        return any("labels" in row.sizes for row in self.rows)


@dataclass(frozen=True)
class Layout:
    """How a library writes a family.

    Args:
        title: the library's name, for messages.
        column: the field of ``Row`` that holds its names.
        brand: what its class names begin with.
        prefix: what stands before the encoder's names in a network with a head.
        encoder, pooler: rows of the encoder.
        heads: what each network holds beside it.
        head_names: beginnings of all names that belong to some head, ours or not.
        parts: what ``{part}`` stands for: query, key, value.
        transposed: whether matrices are [out, in].
        buffers: constants that files of older versions hold beside the weights; never written.
        suffixes: of the weight and the bias of tables, matrices and norms.
    """

    title: str
    column: Literal["ours", "paddlenlp", "huggingface", "repository", "static"]
    brand: str
    prefix: str
    encoder: tuple[Row, ...]
    pooler: Row
    heads: Mapping[Kind, Head]
    head_names: tuple[str, ...]
    parts: tuple[str, ...] = ("",)
    transposed: bool = False
    buffers: tuple[str, ...] = ()
    suffixes: Mapping[str, tuple[str, str]] = field(
        default_factory=lambda: dict.fromkeys(("table", "matrix", "norm"), _SUFFIXES)
    )


class Fit(NamedTuple):
    """Stored tensors by our names, and the stored names that were left: those of another head."""

    tensors: dict[str, Tensor]
    left: list[str]


class _Target(NamedTuple):
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


def fit(
    state: Mapping[str, Tensor],
    config: BaseModel,
    layout: Layout,
    kind: Kind,
    *,
    stored_kind: Kind | None = None,
    labels: int | None = None,
    new_head: bool = False,
    place: str | None = None,
) -> Fit:
    """Lays a stored state over a network.

    The encoder must fit to the name and the number. The head may be absent as a whole, and so may the pooler where
    the head does not read it; tensors of other heads are left.

    Args:
        state: stored tensors by foreign names, the encoder's with or without ``layout.prefix``.
        stored_kind: the network that the state is of, where that is known: another one's head is not this one's,
            though its names and shapes may be.
        labels: outputs of the network's classifier; as many as are stored where None.
        new_head: leave the stored head, and do not ask for a pooler.
        place: of the state, for messages.

    Raises:
        UserError: unknown names, missing names, wrong shapes; on reading, tied tensors that differ.
    """
    prefix = layout.prefix if any(name.startswith(layout.prefix) for name in state) else ""
    buffers = {prefix + name for name in layout.buffers}
    state = {name: tensor for name, tensor in state.items() if name not in buffers}
    head = layout.heads[kind]
    targets = _encoder_targets(config, layout, kind, prefix)
    pooler = list(_targets(layout.pooler, config, layout, _our_prefix(kind), prefix))
    if (head.reads_pooler and not new_head) or _any_in(state, pooler):
        targets += pooler
    own = _head_targets(head, state, config, layout, labels)
    tied = {}
    if not new_head and stored_kind in (None, kind) and _any_in(state, own):
        targets += own
        tied = {alias: name for alias, name in head.tied.items() if alias in state}

    expected = {name: t.foreign_shape for t in targets for name in t.foreign}
    expected |= {alias: expected.get(name, ()) for alias, name in tied.items()}
    left = [name for name in state if name not in expected and name.startswith(layout.head_names)]
    problems = _problems({name: state[name] for name in state if name not in left}, expected)
    if any(name in problem for problem in problems for target in (*own, *pooler) for name in target.foreign):
        problems.append("(new_head makes the head anew, and with it a pooler that is missing)")
    where = f"{place}: " if place else ""
    _raise(problems, f"{where}this {layout.title} checkpoint is not one of {layout.brand}{kind} with this config")

    # Where both names stand for the same bytes of a file, there is nothing to compare.
    twins = {name: alias for alias, name in tied.items() if not _is_same(state[name], state[alias])}

    def part(name: str) -> Tensor:
        return _Tied(state[name], name, state[twins[name]], twins[name]) if name in twins else state[name]

    return Fit({t.ours: _joined([part(name) for name in t.foreign], t, config) for t in targets}, left)


def write(state: Mapping[str, np.ndarray], config: BaseModel, layout: Layout, kind: Kind) -> State:
    """Turns a state of ours into a foreign one, bit by bit; a dual encoder becomes a bare encoder.

    Tied tensors are written under both of their names, as in the foreign ``state_dict``. The pooler is written
    where the state has it.

    Raises:
        UserError: names that the network does not have, missing names, wrong shapes.
    """
    head = layout.heads[kind]
    prefix = layout.prefix if head.rows else ""
    targets = _encoder_targets(config, layout, kind, prefix)
    pooler = list(_targets(layout.pooler, config, layout, _our_prefix(kind), prefix))
    if head.reads_pooler or any(target.ours in state for target in pooler):
        targets += pooler
    targets += _head_targets(head, state, config, layout, None)
    problems = _problems(state, {t.ours: t.our_shape for t in targets})
    _raise(problems, f"these weights are not those of {layout.brand}{kind} with this config")
    foreign: State = {}
    for target in targets:
        foreign.update(zip(target.foreign, _split(state[target.ours], target, config), strict=True))
    return foreign | {alias: foreign[name] for alias, name in head.tied.items()}


def read_into(tensor: Tensor, out: np.ndarray) -> None:
    """Fills ``out``, of the tensor's shape, in its own dtype; what lies on the disk goes straight there."""
    if hasattr(tensor, "read_into"):
        tensor.read_into(out)
    else:
        out[...] = np.asarray(tensor)


def _is_same(one: Tensor, other: Tensor) -> bool:
    return one is other or (not isinstance(one, np.ndarray) and one == other)


def _our_prefix(kind: Kind) -> str:
    return "" if kind == "Model" else "backbone."


def _any_in(state: Mapping[str, object], targets: Sequence[_Target]) -> bool:
    return any(name in state for target in targets for name in target.foreign)


def _encoder_targets(config: BaseModel, layout: Layout, kind: Kind, prefix: str) -> list[_Target]:
    return [t for row in layout.encoder for t in _targets(row, config, layout, _our_prefix(kind), prefix)]


def _head_targets(
    head: Head, state: Mapping[str, Tensor], config: BaseModel, layout: Layout, labels: int | None
) -> list[_Target]:
    if labels is None:
        ends = {("ours", ".bias"), (layout.column, layout.suffixes["matrix"][1])}
        named = [getattr(row, column) + end for row in head.rows for column, end in ends]
        labels = next((state[name].shape[0] for name in named if name in state and state[name].shape), 0)
    return [t for row in head.rows for t in _targets(row, config, layout, labels=labels)]


def _targets(
    row: Row, config: BaseModel, layout: Layout, our_prefix: str = "", prefix: str = "", labels: int = 0
) -> Iterator[_Target]:
    """The tensors of a row, for every layer: weight and bias, or the row itself where it is a vector.

    A row with a size of 0 is a part that this network does not have.
    """
    known = {**dict(config), "labels": labels}
    sizes = tuple(size if isinstance(size, int) else known[size] for size in row.sizes)
    if row.kind == "table" and 0 in sizes:
        return
    parts = layout.parts if row.kind == "fused" else ("",)
    if row.kind == "fused":
        sizes = (*sizes[:-1], sizes[-1] * 3 // len(parts))
    # A tensor's own suffix, the library's, and its shape.
    tensors: list[tuple[str, str, tuple[int, ...]]] = [("", "", sizes)]
    if row.kind != "vector":
        weight, bias = layout.suffixes["matrix" if row.kind == "fused" else row.kind]
        tensors = [(".weight", weight, sizes), (".bias", bias, sizes[-1:])][: 1 if row.kind == "table" else 2]
    foreign = getattr(row, layout.column)
    for layer in range(known["num_hidden_layers"] if "{layer}" in row.ours else 1):
        names = [prefix + foreign.format(layer=layer, part=part) for part in parts]
        for own, other, shape in tensors:
            yield _Target(
                ours=our_prefix + row.ours.format(layer=layer) + own,
                foreign=tuple(name + other for name in names),
                shape=shape,
                turned=layout.transposed and row.kind in ("matrix", "fused") and own == ".weight",
            )


def _problems(state: Mapping[str, Tensor], expected: Mapping[str, tuple[int, ...]]) -> list[str]:
    """Differences between the names and shapes of ``state`` and the expected ones."""
    problems = [f"{name}: unknown name" for name in state if name not in expected]
    for name, shape in expected.items():
        if name not in state:
            problems.append(f"{name}: missing")
        elif tuple(state[name].shape) != shape:
            problems.append(f"{name}: shape {list(state[name].shape)} instead of {list(shape)}")
    return problems


def _raise(problems: Sequence[str], what: str) -> None:
    if problems:
        more = [f"... and {len(problems) - 20} more"] if len(problems) > 20 else []
        raise UserError("\n  ".join([f"{what}:", *problems[:20], *more]))


class _Tied(NamedTuple):
    """A tensor that is stored twice; reading it compares the two, one after the other in the same memory."""

    tensor: Tensor
    name: str
    twin: Tensor
    alias: str

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.tensor.shape)

    def read_into(self, out: np.ndarray) -> None:
        read_into(self.twin, out)
        expected = sha256(out.data).digest()
        read_into(self.tensor, out)
        if sha256(out.data).digest() != expected:
            raise UserError(f"{self.alias}: differs from {self.name}, with which the model ties it")

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        out = np.empty(self.shape, np.asarray(self.twin).dtype)
        self.read_into(out)
        return out


class _Joined(NamedTuple):
    """A tensor of ours made of foreign ones: turned, and side by side for every head."""

    parts: Sequence[Tensor]
    target: _Target
    heads: int

    @property
    def shape(self) -> tuple[int, ...]:
        return self.target.our_shape

    def read_into(self, out: np.ndarray) -> None:
        by_head = out.reshape(*self.shape[:-1], self.heads, len(self.parts), -1)
        for n, part in enumerate(self.parts):
            array = np.asarray(part)
            if self.target.turned:
                by_head[..., n, :] = array.reshape(self.heads, -1, array.shape[1]).transpose(2, 0, 1)
            else:
                by_head[..., n, :] = array.reshape(*self.shape[:-1], self.heads, -1)

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        out = np.empty(self.shape, np.asarray(self.parts[0]).dtype)
        self.read_into(out)
        return out


def _joined(parts: Sequence[Tensor], target: _Target, config: BaseModel) -> Tensor:
    if len(parts) == 1 and not target.turned:
        return parts[0]
    heads = dict(config)["num_attention_heads"] if len(parts) > 1 else 1
    return _Joined(parts, target, heads)


def _split(array: np.ndarray, target: _Target, config: BaseModel) -> list[np.ndarray]:
    parts = [array]
    if len(target.foreign) > 1:
        lead = array.shape[:-1]
        by_head = array.reshape(*lead, dict(config)["num_attention_heads"], len(target.foreign), -1)
        parts = [by_head[..., n, :].reshape(*lead, -1) for n in range(len(target.foreign))]
    return [np.ascontiguousarray(part.T if target.turned else part) for part in parts]
