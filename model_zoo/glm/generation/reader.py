"""A GLM that reads prompts whole and then token by token (``ppernie.decoding.generate.Reader``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
import paddle

from model_zoo.glm.generation.prompts import lay_out
from ppernie.errors import UserError

if TYPE_CHECKING:
    from model_zoo.glm.config import GlmConfig
    from ppernie.data.tokenizers import GlmTokenizer


class ReadingNetwork(Protocol):
    """``GlmForBlankInfilling``, or its export."""

    config: GlmConfig

    def read(
        self, input_ids: paddle.Tensor, position_ids: paddle.Tensor, visible: paddle.Tensor
    ) -> tuple[paddle.Tensor, Any]: ...
    def read_on(
        self, input_ids: paddle.Tensor, position_ids: paddle.Tensor, reading: Any
    ) -> tuple[paddle.Tensor, Any]: ...
    def select(self, reading: Any, rows: paddle.Tensor) -> Any: ...


class Stand(NamedTuple):
    """What was read, and where it ends.

    Attributes:
        reading: the network's.
        positions: int64 [batch, rows], of the last token.
        moves: int64 [batch, rows], by how much they grow with the next one.
        lengths: int64 [batch], tokens read, without padding.
    """

    reading: Any
    positions: np.ndarray
    moves: np.ndarray
    lengths: np.ndarray


class GlmReader:
    """Reads prompts of a mask and [sop], padded on the left, in the first step, and one token of each row thereafter.

    Args:
        tokenizer: whose ids the network knows; scores of rows of the word table behind its own are left out.
    """

    def __init__(self, network: ReadingNetwork, tokenizer: GlmTokenizer) -> None:
        self._network, self._tokenizer = network, tokenizer

    def start(self) -> None:
        """Before the prompts."""
        return None

    def step(self, ids: paddle.Tensor, stand: Stand | None) -> tuple[paddle.Tensor, Stand]:
        """Reads int64 [batch, n], after the prompts n = 1; logits [batch, vocab] for what follows.

        Raises:
            UserError: an id is not in the vocabulary, a prompt has no mask, or the window is full.
        """
        if stand is None:
            array = self._checked(ids.numpy())
            layout = lay_out(array, self._tokenizer, self._network.config.position_rows)
            lengths = array.shape[1] - layout.visible[:, 0, -1]
            self._check_room(lengths)
            inputs = (paddle.to_tensor(part) for part in layout[:2])
            logits, reading = self._network.read(ids, *inputs)
            stand = Stand(reading, layout.position_ids[:, :, -1], layout.moves, lengths)
        else:
            self._checked(ids.numpy())
            positions, lengths = stand.positions + stand.moves, stand.lengths + 1
            self._check_room(lengths)
            logits, reading = self._network.read_on(ids, paddle.to_tensor(positions[:, :, None]), stand.reading)
            stand = Stand(reading, positions, stand.moves, lengths)
        size = self._tokenizer.vocab_size
        return logits if logits.shape[1] <= size else logits[:, :size], stand

    def select(self, stand: Stand, rows: paddle.Tensor) -> Stand:
        """Where these rows stand, int64 [n], which may repeat."""
        kept = rows.numpy()
        return Stand(self._network.select(stand.reading, rows), *(part[kept] for part in stand[1:]))

    def _checked(self, ids: np.ndarray) -> np.ndarray:
        size = self._network.config.vocab_size
        if ids.min() < 0 or ids.max() >= size:
            raise UserError(f"id {ids.max() if ids.max() >= size else ids.min()} lies outside 0..{size - 1}")
        return ids

    def _check_room(self, lengths: np.ndarray) -> None:
        window = self._network.config.max_position_embeddings
        if lengths.max() > window:
            raise UserError(f"{lengths.max()} tokens do not fit into the window of {window}; shorten the prompt")
