"""A pipeline's stages: the runs of blocks that a rank keeps of a network, and the network's forward cut to one run.

Every rank reads the batch itself and calls the network's own forward; only what its blocks hand on travels. So masks,
positions and labels go nowhere, and a network needs nothing but a list of blocks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import paddle

from ppernie.errors import UserError
from ppernie.parallel.plan import Plan, Vocab, VocabHead, matches, own_parameters
from ppernie.parallel.topology import Topology, runs_of


class Stages:
    """The runs of a network's blocks, those of one stage kept.

    Run ``r`` is of stage ``r % pp``. The network loses the parameters that the stage does not have; names stay.

    Args:
        network: lazily built; its forward is cut from here on.
        plan: of the family.
        width: size of the last dimension of what the blocks hand on.
        virtual: runs of each stage.
        alike: the context, of a batch's number, in which all stages draw the same random numbers.

    Attributes:
        runs: the blocks of each run.
        width: as given.
        holders: the stages that have each parameter, by its name.

    Raises:
        UserError: the plan names no blocks or no entry of this network, or there are fewer blocks than runs.
    """

    def __init__(
        self,
        network: paddle.nn.Layer,
        plan: Plan,
        width: int,
        topology: Topology,
        virtual: int,
        alike: Callable[[int], AbstractContextManager[None]] = lambda number: nullcontext(),
    ) -> None:
        layers = list(network.named_sublayers())
        self._forward, self.width = network.forward, width
        blocks = [(name, layer) for name, layer in layers if matches(name, plan.blocks)]
        entries = [(name, layer) for name, layer in layers if plan.entry and matches(name, [plan.entry])]
        if not blocks or not entries:
            raise UserError("Distributed.pp: the family's plan names no blocks of this network, or no entry to them")
        count = topology.pp * virtual
        if len(blocks) < count:
            raise UserError(f"Distributed.pp: the network's {len(blocks)} blocks are fewer than {count} stages")
        self.runs = runs_of(len(blocks), count)
        self._entry = entries[0][0]
        self._blocks = {name: index for index, (name, _) in enumerate(blocks)}
        self._stages = topology.pp
        self.holders = self._find_holders(layers, plan)
        for name, layer in layers:
            for parameter in [key for key, value in layer._parameters.items() if value is not None]:
                if topology.pp_rank not in self.holders[f"{name}.{parameter}"]:
                    del layer._parameters[parameter]
        self._run, self._number, self._alike = range(0), 0, alike
        self._received: paddle.Tensor | None = None
        self._cut_entry(entries[0][1])
        for name, layer in layers:
            if matches(name, plan.everywhere) and not matches(name.rpartition(".")[0], plan.everywhere):
                self._draw_alike(layer)
        for index, (_, block) in enumerate(blocks):
            self._cut_block(block, index)

    def forward(
        self, run: int, received: paddle.Tensor | None, inputs: Mapping[str, paddle.Tensor], number: int = 0
    ) -> Any:
        """What a run makes of a batch: the network's outputs if it is the last, else what the next one receives.

        Args:
            received: from the run before, flat, with at least as many elements as it handed on; None for the first.
            inputs: of the network.
            number: of the batch, in training.
        """
        self._run, self._received, self._number = self.runs[run], received, number
        try:
            return self._forward(**inputs)
        except _LeftRun as left:
            return left.x
        finally:
            self._received = None

    def _find_holders(self, layers: list[tuple[str, paddle.nn.Layer]], plan: Plan) -> dict[str, tuple[int, ...]]:
        kinds = {}
        for name, layer in layers:
            rule = plan.rule(name, own_parameters(layer))
            kinds[name] = rule.kind if rule else None
        tied = any(isinstance(kind, VocabHead) for kind in kinds.values())
        last = self._stages - 1
        stage_of = {index: run % self._stages for run, blocks in enumerate(self.runs) for index in blocks}
        holders: dict[str, tuple[int, ...]] = {}
        for name, layer in layers:
            block = next((i for prefix, i in self._blocks.items() if _within(name, prefix)), None)
            if block is not None:
                stages: tuple[int, ...] = (stage_of[block],)
            elif matches(name, plan.everywhere):
                stages = tuple(range(self._stages))
            elif _within(name, self._entry):
                stages = (0, last) if tied and isinstance(kinds[name], Vocab) else (0,)
            else:
                stages = (last,)
            for parameter, value in layer._parameters.items():
                if value is not None:
                    holders[f"{name}.{parameter}"] = stages
        return holders

    def _cut_entry(self, entry: paddle.nn.Layer) -> None:
        plain = entry.forward

        def forward(ids: paddle.Tensor, *arguments: Any, **named: Any) -> paddle.Tensor:
            if self._run.start == 0:
                return plain(ids, *arguments, **named)
            return paddle.zeros([*ids.shape, self.width], self._received.dtype)  # type: ignore[union-attr]

        entry.forward = forward  # type: ignore[method-assign]

    def _draw_alike(self, layer: paddle.nn.Layer) -> None:
        """All stages compute the layer, and what it makes must be the same."""
        plain = layer.forward

        def forward(*arguments: Any, **named: Any) -> Any:
            with self._alike(self._number) if layer.training else nullcontext():
                return plain(*arguments, **named)

        layer.forward = forward  # type: ignore[method-assign]

    def _cut_block(self, block: paddle.nn.Layer, index: int) -> None:
        plain = block.forward

        def forward(x: paddle.Tensor, *arguments: Any, **named: Any) -> paddle.Tensor:
            if index in self._run:
                return plain(x, *arguments, **named)
            if index == self._run.stop:
                raise _LeftRun(x)
            if index == self._run.start - 1:
                return _shaped(self._received, x.shape)
            return x

        block.forward = forward  # type: ignore[method-assign]


def _shaped(received: paddle.Tensor | None, shape: Sequence[int]) -> paddle.Tensor:
    assert received is not None
    return received[: math.prod(shape)].reshape(shape)


def _within(name: str, outer: str) -> bool:
    return name == outer or name.startswith(f"{outer}.")


class _LeftRun(Exception):
    """Ends a forward after the last block of a run, with what that handed on: [batch, length, width]."""

    def __init__(self, x: paddle.Tensor) -> None:
        super().__init__()
        self.x = x
