"""All dropout of a network at once."""

from __future__ import annotations

import paddle

# Attributes by which the layers of ``ppernie.nn`` call their probabilities.
_NAMES = ("p", "dropout", "attention_dropout")


class DropoutScale:
    """Multiplies every dropout probability of a network, of what it was when this object was made."""

    def __init__(self, network: paddle.nn.Layer) -> None:
        self._full = [
            (layer, name, value)
            for layer in network.sublayers(include_self=True)
            for name in _NAMES
            if isinstance(value := getattr(layer, name, None), float)
        ]

    def set(self, factor: float) -> None:
        """Sets the probabilities to ``factor`` times the full ones."""
        for layer, name, value in self._full:
            setattr(layer, name, factor * value)
