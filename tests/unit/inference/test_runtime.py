from __future__ import annotations

import paddle
import pytest

from ppernie.device import choose_device
from ppernie.errors import UserError
from ppernie.inference import runtime


def test_the_cpu_is_always_there() -> None:
    assert choose_device("cpu") == "cpu"
    assert choose_device("auto") in ("cpu", "gpu")


@pytest.mark.skipif(paddle.is_compiled_with_cuda(), reason="this Paddle has CUDA")
def test_a_gpu_is_not_silently_replaced_by_the_cpu() -> None:
    assert choose_device("auto") == "cpu"
    with pytest.raises(UserError, match="without CUDA"):
        choose_device("gpu")


def test_unknown_names_are_refused() -> None:
    with pytest.raises(UserError, match="'tpu'"):
        choose_device("tpu")
    with pytest.raises(UserError, match="'int4'"):
        runtime.check_precision("int4", "cpu")


def test_a_precision_needs_its_hardware(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="fp16.* GPU"):
        runtime.check_precision("fp16", "cpu")
    monkeypatch.setattr(runtime, "cpu_has_bf16", lambda: False)
    with pytest.raises(UserError, match="avx512_bf16"):
        runtime.check_precision("bf16", "cpu")
    monkeypatch.setattr(runtime, "cpu_has_bf16", lambda: True)
    runtime.check_precision("bf16", "cpu")
    runtime.check_precision("fp16", "gpu")


def test_tensorrt_needs_a_gpu_and_a_build_that_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="device 'gpu'"):
        runtime.check_tensorrt("cpu")
    monkeypatch.setattr("paddle.inference.get_trt_compile_version", lambda: (0, 0, 0))
    with pytest.raises(UserError, match="without TensorRT"):
        runtime.check_tensorrt("gpu")
