from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import pytest

from ppernie.cpu import cpu_has_bf16
from ppernie.errors import UserError
from ppernie.inference.predictor import Predictor

Request = Callable[[int, int], dict[str, np.ndarray]]


@pytest.fixture(scope="module")
def predictor(exported: Path) -> Predictor:
    return Predictor(exported, device="cpu", threads=1)


def logits(model: Any, inputs: dict[str, np.ndarray]) -> np.ndarray:
    with paddle.no_grad():
        return model(**{name: paddle.to_tensor(ids) for name, ids in inputs.items()}).numpy()


@pytest.mark.parametrize("shape", [(1, 1), (1, 32), (3, 7), (5, 9), (8, 16), (9, 16), (19, 31)])
def test_every_shape_gives_what_the_network_gives(
    predictor: Predictor, tagger: Any, request_of: Request, shape: tuple[int, int]
) -> None:
    inputs = request_of(*shape)
    (output,) = predictor.run(inputs)
    expected = logits(tagger, inputs)
    assert output.shape == expected.shape
    np.testing.assert_allclose(output, expected, atol=1e-5)


def test_an_empty_batch_gives_empty_outputs(predictor: Predictor, request_of: Request) -> None:
    (output,) = predictor.run(request_of(0, 5))
    assert output.shape == (0, 5, 3)
    assert output.dtype == np.float32


def test_padding_does_not_change_a_row(predictor: Predictor, request_of: Request) -> None:
    inputs = request_of(3, 9)
    (together,) = predictor.run(inputs)
    for row in range(3):
        (alone,) = predictor.run({name: ids[row : row + 1] for name, ids in inputs.items()})
        np.testing.assert_allclose(alone[0], together[row], atol=1e-5)


def test_the_predictor_works_after_a_refused_request(predictor: Predictor, tagger: Any, request_of: Request) -> None:
    inputs = request_of(2, 4)
    with pytest.raises(UserError, match="input_ids: id 10000000"):
        predictor.run(inputs | {"input_ids": np.full((2, 4), 10**7)})
    with pytest.raises(UserError, match="33 tokens"):
        predictor.run(request_of(1, 33))
    np.testing.assert_allclose(predictor.run(inputs)[0], logits(tagger, inputs), atol=1e-5)


def test_slices_of_larger_arrays_are_taken(predictor: Predictor, tagger: Any, request_of: Request) -> None:
    inputs = {name: np.repeat(ids, 2, axis=1)[:, ::2] for name, ids in request_of(4, 16).items()}
    np.testing.assert_allclose(predictor.run(inputs)[0], logits(tagger, inputs), atol=1e-5)


@pytest.mark.skipif(not cpu_has_bf16(), reason="this CPU has no bfloat16 products")
def test_bf16_is_close(exported: Path, tagger: Any, request_of: Request) -> None:
    inputs = request_of(4, 16)
    (output,) = Predictor(exported, device="cpu", precision="bf16", threads=1).run(inputs)
    expected = logits(tagger, inputs)
    difference = np.abs(output - expected).max() / np.abs(expected).max()
    assert 1e-6 < difference < 0.1


def test_a_broken_graph_is_the_users_to_mend(copied: Path) -> None:
    (copied / "inference.json").write_text("{}")
    with pytest.raises(UserError, match="export"):
        Predictor(copied, device="cpu")


MEMORY = """
import re, sys
from pathlib import Path
import numpy as np
from ppernie.inference.predictor import Predictor

predictor = Predictor(Path(sys.argv[1]), device="cpu", threads=1)
random = np.random.default_rng(0)
for number in range(400):
    ids = random.integers(1, 20, (random.integers(1, 40), random.integers(1, 33)))
    predictor.run({"input_ids": ids, "token_type_ids": np.zeros_like(ids)})
    if number in (99, 399):
        print(re.search(r"VmRSS:\\s*(\\d+) kB", Path("/proc/self/status").read_text())[1])
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_stays_flat_over_random_shapes(exported: Path, repository: Path) -> None:
    command = [sys.executable, "-c", MEMORY, str(exported)]
    environment = {**os.environ, "PYTHONPATH": str(repository)}
    result = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    early, late = (int(kilobytes) for kilobytes in re.findall(r"^\d+$", result.stdout, re.M))
    assert late - early < 10_000
