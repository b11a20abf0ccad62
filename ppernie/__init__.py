"""ppernie: the PaddlePaddle-native zoo of ERNIE 3.0, ERNIE-Gram, ERNIE-Tiny, ERNIE 5.0 and GLM-130B."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ppernie.zoo.pretrained import from_pretrained as from_pretrained
    from ppernie.zoo.tokenizer import load_tokenizer as load_tokenizer

__version__ = "0.1.0"

# Imported when first asked for: ``import ppernie`` loads no Paddle.
_LAZY = {"from_pretrained": "ppernie.zoo.pretrained", "load_tokenizer": "ppernie.zoo.tokenizer"}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'ppernie' has no attribute '{name}'")
    import importlib

    return getattr(importlib.import_module(_LAZY[name]), name)
