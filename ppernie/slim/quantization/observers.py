"""What of PaddleSlim and of Paddle's quantisation is used, and what is replaced, on Paddle 3.3 and PaddleSlim 2.6.

* ``HistObserver``, ``KLObserver``, ``MSEObserver``, ``EMDObserver``: used, by ``input_range``.
* ``AbsmaxObserver``: replaced by the largest number itself, which needs no package.
* ``AbsMaxChannelWiseWeightObserver``: replaced by ``layers.steps``; what it finds is for ``convert`` alone.
* ``PTQ.convert`` and ``QAT.convert`` of ``paddle.quantization``: replaced by ``layers`` and ``ppernie.export.int8``.
  The predictor refuses what they make, and computes wrong numbers once it loads, since ``dequantize_linear`` runs the
  kernel of ``quantize_linear``; ``QAT.convert`` itself fails for want of zero points.
* ``quant_post_static``, ``quant_post_dynamic``, and ``QAT`` and ``PTQ`` of ``paddleslim.dygraph``: not used; they need
  the graphs that Paddle had before.
* ``GPTQ``: not used; it sets weights to 0 without a word.

The observers are fed once, with the magnitudes of all inputs together, because ``MSEObserver`` and ``EMDObserver``
forget every batch but the last, ``KLObserver`` counts the bins from 0 of a histogram that begins at the least number,
and ``EMDObserver`` takes the largest number for the largest magnitude.
"""

from __future__ import annotations

import numpy as np

from ppernie.extras import extra_package
from ppernie.slim.quantization.settings import Observer

_CLASSES = {
    "histogram": "HistObserver",
    "kl": "KLObserver",
    "mse": "MSEObserver",
    "emd": "EMDObserver",
}


def input_range(observer: Observer, magnitudes: np.ndarray) -> float:
    """The largest magnitude that a layer's inputs keep.

    Args:
        magnitudes: float32 [numbers], of the inputs.

    Raises:
        UserError: PaddleSlim is not installed.
    """
    import paddle

    if observer == "absmax" or magnitudes.min() == magnitudes.max():  # of which there is no histogram
        return float(magnitudes.max())
    observers = extra_package("paddleslim.quant.observers", "int8")
    seen = getattr(observers, _CLASSES[observer])()._instance(None)
    seen(paddle.to_tensor(magnitudes))
    return float(seen.scales())
