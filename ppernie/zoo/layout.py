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
    """A module by its names in each library, and its sizes: what the config says, numbers, or ``labels``.

    ``{layer}`` stands for each layer. A ``fused`` matrix makes queries, keys and values; where others have one for
    each, ``{part}`` stands for query, key and value. Its sizes are those of a part.
    """

    ours: str
    paddlenlp: str
    huggingface: str
    repository: str
    static: str
    kind: Literal["table", "matrix", "fused", "norm", "vector"]
    sizes: tuple[str | int, ...]


class Head(NamedTuple):
    """What a network holds beside its backbone.

    Attributes:
        rows: its own modules.
        reads_pooler: whether it needs the pooler.
        tied: second names under which tensors are stored again, with ``{prefix}`` for the layout's.
        aliases: the same of names that only some files have; never written.
        our_prefix: what stands before the backbone's names in our class.
        prefixed: whether the library's class has its prefix before them.
    """

    rows: tuple[Row, ...] = ()
    reads_pooler: bool = True
    tied: Mapping[str, str] = {}
    aliases: Mapping[str, str] = {}
    our_prefix: str = "backbone."
    prefixed: bool = True

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
        prefix: what stands before the backbone's names in a network with a head.
        backbone: what all networks hold.
        pooler: the part of the backbone that only some heads read.
        heads: what each network holds beside it; the first is that of a file that does not say.
        head_names: beginnings of all names that belong to some head, ours or not.
        kinds: what networks of ours hold the weights of classes whose names differ from ours, by what follows the
            brand there.
        parts: what ``{part}`` stands for: query, key, value.
        in_turn: whether one matrix holds all queries, all keys and all values, and not those of head after head.
        transposed: whether matrices are [out, in].
        buffers: constants that files of older versions hold beside the weights; never written.
        trained_length: longest input of released networks whose positions are more; None where they use them all.
        suffixes: of the weight and the bias of tables, matrices and norms.
    """

    title: str
    column: Literal["ours", "paddlenlp", "huggingface", "repository", "static"]
    brand: str
    prefix: str
    backbone: tuple[Row, ...]
    heads: Mapping[Kind, Head]
    head_names: tuple[str, ...] = ()
    pooler: Row | None = None
    kinds: Mapping[str, Kind] = field(default_factory=dict)
    parts: tuple[str, ...] = ("",)
    in_turn: bool = False
    transposed: bool = False
    buffers: tuple[str, ...] = ()
    trained_length: int | None = None
    suffixes: Mapping[str, tuple[str, str]] = field(
        default_factory=lambda: dict.fromkeys(("table", "matrix", "norm"), _SUFFIXES)
    )


class Fit(NamedTuple):
    """Stored tensors by our names, and the stored names that were left: those of another head."""

    tensors: dict[str, Tensor]
    left: list[str]


class _Target(NamedTuple):
    """One tensor of ours and the one foreign tensor, or three, that it is made of.

    Attributes:
        shape: [in, out] of a foreign one.
        turned: whether it is stored [out, in].
        parts: that lie side by side for every head here, and there each on its own or in turn; or 1.
    """

    ours: str
    foreign: tuple[str, ...]
    shape: tuple[int, ...]
    turned: bool
    parts: int

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

    The backbone must fit to the name and the number. The head may be absent as a whole, and so may the pooler where
    the head does not read it; tensors of other heads are left.

    Args:
        state: stored tensors by foreign names, the backbone's with or without ``layout.prefix``.
        stored_kind: the network that the state is of, where that is known: another one's head is not this one's,
            though its names and shapes may be.
        labels: outputs of the network's classifier; as many as are stored where None.
        new_head: leave the stored head, and do not ask for a pooler.
        place: of the state, for messages.

    Raises:
        UserError: unknown names, missing names, wrong shapes; on reading, tied tensors that differ.
    """
    prefix = layout.prefix if any(name.startswith(layout.prefix) for name in state) else ""
    layers = range(dict(config)["num_hidden_layers"])
    buffers = {prefix + name.format(layer=layer) for name in layout.buffers for layer in layers}
    state = {name: tensor for name, tensor in state.items() if name not in buffers}
    head = layout.heads[kind]
    targets = _backbone_targets(config, layout, head, prefix)
    pooler = _pooler_targets(config, layout, head, prefix)
    if (head.reads_pooler and not new_head) or _any_in(state, pooler):
        targets += pooler
    own = _head_targets(head, state, config, layout, labels)
    tied = {}
    if not new_head and stored_kind in (None, kind) and (not own or _any_in(state, own)):
        targets += own
        second = {**head.tied, **head.aliases}
        tied = {alias: name.format(prefix=prefix) for alias, name in second.items() if alias in state}

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
    prefix = layout.prefix if head.prefixed else ""
    targets = _backbone_targets(config, layout, head, prefix)
    pooler = _pooler_targets(config, layout, head, prefix)
    if head.reads_pooler or any(target.ours in state for target in pooler):
        targets += pooler
    targets += _head_targets(head, state, config, layout, None)
    problems = _problems(state, {t.ours: t.our_shape for t in targets})
    _raise(problems, f"these weights are not those of {layout.brand}{kind} with this config")
    foreign: State = {}
    for target in targets:
        foreign.update(zip(target.foreign, _split(state[target.ours], target, config), strict=True))
    return foreign | {alias: foreign[name.format(prefix=prefix)] for alias, name in head.tied.items()}


def read_into(tensor: Tensor, out: np.ndarray) -> None:
    """Fills ``out``, of the tensor's shape, in its own dtype; what lies on the disk goes straight there."""
    if hasattr(tensor, "read_into"):
        tensor.read_into(out)
    else:
        out[...] = np.asarray(tensor)


def _is_same(one: Tensor, other: Tensor) -> bool:
    return one is other or (not isinstance(one, np.ndarray) and one == other)


def _any_in(state: Mapping[str, object], targets: Sequence[_Target]) -> bool:
    return any(name in state for target in targets for name in target.foreign)


def _backbone_targets(config: BaseModel, layout: Layout, head: Head, prefix: str) -> list[_Target]:
    return [t for row in layout.backbone for t in _targets(row, config, layout, head.our_prefix, prefix)]


def _pooler_targets(config: BaseModel, layout: Layout, head: Head, prefix: str) -> list[_Target]:
    return [] if layout.pooler is None else list(_targets(layout.pooler, config, layout, head.our_prefix, prefix))


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
    sizes = tuple(
        size if isinstance(size, int) else labels if size == "labels" else getattr(config, size) for size in row.sizes
    )
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
    for layer in range(dict(config)["num_hidden_layers"] if "{layer}" in row.ours else 1):
        names = [prefix + foreign.format(layer=layer, part=part) for part in parts]
        for own, other, shape in tensors:
            yield _Target(
                ours=our_prefix + row.ours.format(layer=layer) + own,
                foreign=tuple(name + other for name in names),
                shape=shape,
                turned=layout.transposed and row.kind in ("matrix", "fused") and own == ".weight",
                parts=3 if row.kind == "fused" and layout.in_turn else len(parts),
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
    """A tensor of ours made of foreign ones: turned, and its parts side by side for every head."""

    tensors: Sequence[Tensor]
    target: _Target
    heads: int

    @property
    def shape(self) -> tuple[int, ...]:
        return self.target.our_shape

    def read_into(self, out: np.ndarray) -> None:
        by_head = out.reshape(*self.shape[:-1], self.heads, self.target.parts, -1)
        for n, part in enumerate(self._parts()):
            if self.target.turned:
                by_head[..., n, :] = part.reshape(self.heads, -1, part.shape[1]).transpose(2, 0, 1)
            else:
                by_head[..., n, :] = part.reshape(*self.shape[:-1], self.heads, -1)

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        out = np.empty(self.shape, np.asarray(self.tensors[0]).dtype)
        self.read_into(out)
        return out

    def _parts(self) -> Iterator[np.ndarray]:
        for tensor in self.tensors:
            yield from np.split(
                np.asarray(tensor), self.target.parts // len(self.tensors), axis=0 if self.target.turned else -1
            )


def _joined(tensors: Sequence[Tensor], target: _Target, config: BaseModel) -> Tensor:
    if target.parts == 1 and not target.turned:
        return tensors[0]
    return _Joined(tensors, target, _heads(target, config))


def _split(array: np.ndarray, target: _Target, config: BaseModel) -> list[np.ndarray]:
    lead = array.shape[:-1]
    by_part = array.reshape(*lead, _heads(target, config), target.parts, -1).swapaxes(-3, -2)
    tensors = by_part.reshape(*lead, len(target.foreign), -1)
    split = [tensors[..., n, :] for n in range(len(target.foreign))]
    return [np.ascontiguousarray(tensor.T if target.turned else tensor) for tensor in split]


def _heads(target: _Target, config: BaseModel) -> int:
    return dict(config)["num_attention_heads"] if target.parts > 1 else 1
