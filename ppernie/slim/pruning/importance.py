"""How much the loss would change without a head or a neuron: |dL / d mask|, to first order.

For heads it is Michel et al.'s measure (2019, arXiv:1905.10650, section 4.1). For neurons it is the sum of gradient
times weight over the weights of one, by which DynaBERT ranks them (Hou et al. 2020, arXiv:2004.04037, section 2.1):
where the neuron is read, the two are the same sum.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import paddle

from ppernie.engine.evaluate import network_inputs
from ppernie.errors import UserError
from ppernie.slim.distillation.teacher import frozen
from ppernie.slim.pruning.groups import Group, Groups
from ppernie.slim.pruning.masks import Masks, ones
from ppernie.slim.scores import eval_batches

if TYPE_CHECKING:
    from ppernie.config.sections import Config
    from ppernie.tasks.base import Task
    from ppernie.zoo.description import ModelDescription


def importance(
    network: paddle.nn.Layer, task: Task, description: ModelDescription, groups: Groups, config: Config
) -> dict[str, np.ndarray]:
    """float64 [units] by ``Group.row``, summed over the batches of ``Data.eval``; the network is frozen by it.

    Heads that all layers share something by have the sum over the layers.

    Raises:
        UserError: the data cannot be read, or the task has nothing to say of it.
    """
    if not task.objectives:
        raise UserError(f"Slim.width: {description.task_name} has no loss of its own to rank heads and neurons by")
    masks, sums = Masks(network, groups.own), {group.row: np.zeros(group.units) for group in groups.own}
    frozen(network)
    for arrays in eval_batches(task, description, config):
        batch = {name: paddle.to_tensor(array) for name, array in arrays.items()}
        values, units = ones(groups.own), task.weights(arrays)
        with masks.over(values):
            losses = task.losses(network(**network_inputs(task, batch)), batch)
        means = [task.objectives[name] * loss / max(units[name], 1.0) for name, loss in losses.items()]
        paddle.add_n(means).backward()
        for row, mask in values.items():
            assert mask.grad is not None
            sums[row] += np.abs(mask.grad.numpy())
    if groups.shared:
        heads = [group.row for group in groups.own if group.are_heads]
        sums |= dict.fromkeys(heads, np.sum([sums[row] for row in heads], axis=0))
    return sums


def order(groups: tuple[Group, ...], important: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Numbers of units by ``Group.row``, the most important first."""
    return {group.row: np.argsort(-important[group.row], kind="stable") for group in groups}
