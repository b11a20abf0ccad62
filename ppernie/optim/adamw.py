"""AdamW (Loshchilov and Hutter 2019) with its state named by structure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import paddle

from ppernie.optim.groups import decays, layer_scales

if TYPE_CHECKING:
    from ppernie.config.sections import OptimizerSection


class AdamW:
    """Paddle's AdamW over a model's trainable parameters.

    Its state is keyed ``<parameter's dotted name>.<moment>``, never by Paddle's automatic names, so that it fits
    another process's model.

    Args:
        model: the network; its ``stacks``, where it has them, are those of ``layer_scales``.
        section: of the config.
        names: of the parameters of the whole network, where ``model`` is a part of it.
        share_out: gives each of several ranks a share of the parameters to update; by default this one has all.
    """

    def __init__(
        self,
        model: paddle.nn.Layer,
        section: OptimizerSection,
        names: Sequence[str] | None = None,
        share_out: Callable[[Any], Any] | None = None,
    ) -> None:
        self.parameters = {name: p for name, p in model.named_parameters() if not p.stop_gradient}
        scales = layer_scales(names or list(self.parameters), section.layer_decay, getattr(model, "stacks", ()))
        dotted = {parameter.name: name for name, parameter in self.parameters.items()}
        for name, parameter in self.parameters.items():
            parameter.optimize_attr["learning_rate"] = scales[name]
        beta1, beta2 = section.betas
        self._starts = {"moment1": 0.0, "moment2": 0.0, "beta1_pow_acc": beta1, "beta2_pow_acc": beta2}
        self._optimizer = paddle.optimizer.AdamW(
            learning_rate=section.learning_rate,
            beta1=beta1,
            beta2=beta2,
            epsilon=section.epsilon,
            parameters=list(self.parameters.values()),
            weight_decay=section.weight_decay,
            apply_decay_param_fun=lambda automatic: decays(dotted[automatic], section.no_decay),
        )
        self._ranks = share_out(self._optimizer) if share_out else self._optimizer
        held: list[Any] = self._optimizer._parameter_list
        shared = {parameter.name for parameter in held}
        self.own = {name: parameter for name, parameter in self.parameters.items() if parameter.name in shared}

    def step(self, learning_rate: float) -> None:
        """Applies the gradients once."""
        self._optimizer.set_lr(learning_rate)
        self._ranks.step()

    def clear_grad(self) -> None:
        """Forgets the gradients."""
        self._ranks.clear_grad(set_to_zero=False)

    def state_dict(self) -> dict[str, np.ndarray]:
        """Moments and powers of every parameter that has been updated here, float32."""
        automatic = self._optimizer.state_dict()
        return {
            f"{name}.{moment}": automatic[key].numpy()
            for name, parameter in self.own.items()
            for moment in self._starts
            if (key := f"{parameter.name}_{moment}_0") in automatic
        }

    def load_state_dict(self, state: Mapping[str, np.ndarray]) -> None:
        """Takes the state of ``state_dict``; a parameter that it does not name is as before its first update."""
        held = self._optimizer.state_dict()
        automatic = {}
        for name, parameter in self.own.items():
            for moment, start in self._starts.items():
                key = f"{parameter.name}_{moment}_0"
                if f"{name}.{moment}" in state:
                    automatic[key] = paddle.to_tensor(state[f"{name}.{moment}"])
                elif key in held:
                    automatic[key] = paddle.full_like(held[key], start)
                elif self._ranks is not self._optimizer:
                    # Fleet has a state for all of a rank's parameters, with or without a gradient.
                    shape = parameter.shape if moment.startswith("moment") else [1]
                    automatic[key] = paddle.full(shape, start, "float32")
        self._optimizer.set_state_dict(automatic)
