"""The process of ``ppernie bench linear``."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from statistics import median

import numpy as np
import paddle

from ppernie.bench.side import serve
from ppernie.slim.weight_only import Scheme, dequantize, quantize
from ppernie.slim.weight_only.products import linear


def main() -> None:
    inputs, outputs, rounds = map(int, sys.argv[1:])

    def prepare() -> Callable[[str], dict[str, object]]:
        paddle.set_grad_enabled(False)
        rng = np.random.default_rng(0)
        matrix = rng.standard_normal((outputs, inputs), dtype=np.float32) * 0.02

        def answer(line: str) -> dict[str, object]:
            bits, group, rows = json.loads(line)
            scheme = Scheme(bits=bits, group_size=group)
            numbers, scales = quantize(matrix, scheme)
            float_weight = paddle.to_tensor(np.ascontiguousarray(dequantize(numbers, scales, scheme).T))
            weight, scale = paddle.to_tensor(numbers), paddle.to_tensor(scales)
            x = paddle.to_tensor(rng.standard_normal((rows, inputs), dtype=np.float32))

            def own() -> paddle.Tensor:
                return linear(x, weight, scale, scheme)

            def plain() -> paddle.Tensor:
                return paddle.matmul(x, float_weight)

            expected = plain()
            difference = float((own() - expected).abs().max() / expected.abs().max())
            times = [(_seconds(own), _seconds(plain)) for _ in range(rounds)]
            return {
                "own": median(time[0] for time in times),
                "plain": median(time[1] for time in times),
                "nbytes": numbers.nbytes + scales.nbytes,
                "plain_nbytes": matrix.nbytes,
                "difference": difference,
            }

        return answer

    serve(prepare)


def _seconds(run: Callable[[], paddle.Tensor]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
