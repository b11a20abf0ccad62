"""Gradients of a whole model."""

from __future__ import annotations

from collections.abc import Iterable

import paddle


def gradient_norm(parameters: Iterable[paddle.Tensor]) -> float:
    """Euclidean norm of all gradients together."""
    norms = [p.grad.astype("float32").norm() for p in parameters if p.grad is not None]
    return float(paddle.stack(norms).norm()) if norms else 0.0


def scale_gradients(parameters: Iterable[paddle.Tensor], factor: float) -> None:
    """Multiplies every gradient in place."""
    with paddle.no_grad():
        for parameter in parameters:
            if parameter.grad is not None:
                parameter.grad.scale_(factor)
