"""Weight files as they lie on disk, read lazily."""

from ppernie.zoo.formats.opening import open_weights
from ppernie.zoo.formats.tensors import StoredTensor

__all__ = ["StoredTensor", "open_weights"]
