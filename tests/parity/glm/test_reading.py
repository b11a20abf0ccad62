"""Reading prompts of unequal length and going on token by token gives what one pass over the whole gives."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import paddle
import pytest

PROMPT, MORE = 7, 5
NETWORKS = pytest.mark.parametrize("name", ["glm", "chatglm", "glm-130b-half"])


def inputs(config: object, pads: list[int], seed: int = 3) -> list[paddle.Tensor]:
    rng = np.random.default_rng(seed)
    length, rows = PROMPT + MORE, len(pads)
    ids = rng.integers(0, config.vocab_size, (rows, length))
    positions = rng.integers(0, config.max_position_embeddings, (rows, config.position_rows, length))
    visible = np.zeros((rows, 3, length), np.int64)
    # The last token of a prompt starts the answer, and is seen from itself on.
    visible[:, 0] = visible[:, 2] = np.array(pads)[:, None]
    visible[:, 1] = PROMPT - 1
    return [paddle.to_tensor(array) for array in (ids, positions, visible)]


@NETWORKS
@pytest.mark.parametrize("pads", [[0, 2, 4], [0, 0]], ids=["padded", "equal"])
def test_token_by_token(
    name: str, pads: list[int], network: Callable[..., SimpleNamespace], parity: SimpleNamespace
) -> None:
    small = network(name)
    small.model.eval()
    ids, positions, visible = inputs(small.config, pads)
    whole = small.model(ids, positions, visible).numpy()
    scores, reading = small.model.read(ids[:, :PROMPT], positions[:, :, :PROMPT], visible[:, :, :PROMPT])
    parity.assert_close({"prompt": scores.numpy()}, {"prompt": whole[:, PROMPT - 1]})
    for n in range(PROMPT, PROMPT + MORE):
        assert reading.length == n
        scores, reading = small.model.read_on(ids[:, n : n + 1], positions[:, :, n : n + 1], reading)
        parity.assert_close({"next": scores.numpy()}, {"next": whole[:, n]})


@NETWORKS
def test_padding_is_not_seen(name: str, network: Callable[..., SimpleNamespace], parity: SimpleNamespace) -> None:
    """A padded prompt gives what it gives alone, whatever stands in the padding."""
    small = network(name)
    small.model.eval()
    pads = [0, 3]
    ids, positions, visible = inputs(small.config, pads)
    scores, reading = small.model.read(ids[:, :PROMPT], positions[:, :, :PROMPT], visible[:, :, :PROMPT])
    later, _ = small.model.read_on(ids[:, PROMPT : PROMPT + 1], positions[:, :, PROMPT : PROMPT + 1], reading)
    for row, pad in enumerate(pads):
        alone = [ids[row : row + 1, pad:], positions[row : row + 1, :, pad:], visible[row : row + 1, :, pad:] - pad]
        first, own = small.model.read(*(tensor[..., : PROMPT - pad] for tensor in alone))
        assert own.start is None
        parity.assert_close({"first": scores[row].numpy()}, {"first": first[0].numpy()})
        step = slice(PROMPT - pad, PROMPT - pad + 1)
        after, _ = small.model.read_on(alone[0][:, step], alone[1][:, :, step], own)
        parity.assert_close({"second": later[row].numpy()}, {"second": after[0].numpy()})


@NETWORKS
def test_rows_that_are_selected(name: str, network: Callable[..., SimpleNamespace], parity: SimpleNamespace) -> None:
    small = network(name)
    small.model.eval()
    ids, positions, visible = inputs(small.config, [0, 2, 4])
    whole = small.model(ids, positions, visible).numpy()
    _, reading = small.model.read(ids[:, :PROMPT], positions[:, :, :PROMPT], visible[:, :, :PROMPT])
    rows = paddle.to_tensor([2, 0, 2, 1])
    chosen = small.model.select(reading, rows)
    step = slice(PROMPT, PROMPT + 1)
    scores, _ = small.model.read_on(ids.index_select(rows)[:, step], positions.index_select(rows)[:, :, step], chosen)
    parity.assert_close({"next": scores.numpy()}, {"next": whole[rows.numpy(), PROMPT]})
