"""AdamW (Loshchilov and Hutter 2019) with its state named by structure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import paddle

from ppernie.optim.groups import decays, layer_scales

if TYPE_CHECKING:
    from ppernie.config.sections import OptimizerSection

_MOMENTS = ("moment1", "moment2", "beta1_pow_acc", "beta2_pow_acc")


class AdamW:
    """Paddle's AdamW over a model's trainable parameters.

    Its state is keyed ``<parameter's dotted name>.<moment>``, never by Paddle's automatic names, so that it fits
    another process's model.
    """

    def __init__(self, model: paddle.nn.Layer, section: OptimizerSection) -> None:
        self.parameters = {name: p for name, p in model.named_parameters() if not p.stop_gradient}
        scales = layer_scales(list(self.parameters), section.layer_decay)
        names = {parameter.name: name for name, parameter in self.parameters.items()}
        for name, parameter in self.parameters.items():
            parameter.optimize_attr["learning_rate"] = scales[name]
        self._optimizer = paddle.optimizer.AdamW(
            learning_rate=section.learning_rate,
            beta1=section.betas[0],
            beta2=section.betas[1],
            epsilon=section.epsilon,
            parameters=list(self.parameters.values()),
            weight_decay=section.weight_decay,
            apply_decay_param_fun=lambda automatic: decays(names[automatic], section.no_decay),
        )

    def step(self, learning_rate: float) -> None:
        """Applies the gradients once."""
        self._optimizer.set_lr(learning_rate)
        self._optimizer.step()

    def clear_grad(self) -> None:
        """Forgets the gradients."""
        self._optimizer.clear_grad(set_to_zero=False)

    def state_dict(self) -> dict[str, np.ndarray]:
        """Moments and powers of every parameter that has been updated, float32."""
        automatic = self._optimizer.state_dict()
        return {
            f"{name}.{moment}": automatic[key].numpy()
            for name, parameter in self.parameters.items()
            for moment in _MOMENTS
            if (key := f"{parameter.name}_{moment}_0") in automatic
        }

    def load_state_dict(self, state: Mapping[str, np.ndarray]) -> None:
        """Takes the state of ``state_dict``."""
        automatic = {
            f"{parameter.name}_{moment}_0": paddle.to_tensor(state[f"{name}.{moment}"])
            for name, parameter in self.parameters.items()
            for moment in _MOMENTS
            if f"{name}.{moment}" in state
        }
        self._optimizer.set_state_dict(automatic)
