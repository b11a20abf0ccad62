"""Input embeddings of the encoder families."""

from __future__ import annotations

import paddle
from paddle import nn

from ppernie.nn.layers import Dropout, LayerNorm


class EncoderEmbeddings(nn.Layer):
    """Sum of word, position, segment and, where the model has it, task embeddings; then norm and dropout.

    The tables have no ``padding_idx``: with one, Paddle leaves ids beyond the table unchecked.

    Args:
        vocab_size, max_positions, num_types, num_tasks: rows of the tables; no task table where ``num_tasks`` is 0.
        hidden_size: width.
    """

    def __init__(
        self,
        vocab_size: int,
        max_positions: int,
        num_types: int,
        num_tasks: int,
        hidden_size: int,
        dropout: float,
        epsilon: float,
    ) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(vocab_size, hidden_size)
        self.position_embeddings = nn.Embedding(max_positions, hidden_size)
        self.token_type_embeddings = nn.Embedding(num_types, hidden_size)
        self.task_type_embeddings = nn.Embedding(num_tasks, hidden_size) if num_tasks else None
        self.layer_norm = LayerNorm(hidden_size, epsilon)
        self.dropout = Dropout(dropout)

    def forward(
        self,
        input_ids: paddle.Tensor,
        token_type_ids: paddle.Tensor | None = None,
        position_ids: paddle.Tensor | None = None,
        task_type_ids: paddle.Tensor | None = None,
        offsets: paddle.Tensor | None = None,
    ) -> paddle.Tensor:
        """int64 [batch, length] each; segments and tasks default to 0, positions to 0..length-1.

        Args:
            offsets: added to the words' vectors, [batch, length, hidden].

        Returns:
            [batch, length, hidden].
        """
        if position_ids is None:
            position_ids = paddle.arange(input_ids.shape[1]).unsqueeze(0)
        # The small tables are summed first: without the batch dimension, where segments and tasks are default.
        x = self.position_embeddings(position_ids) + _rows(self.token_type_embeddings, token_type_ids)
        if self.task_type_embeddings is not None:
            x = x + _rows(self.task_type_embeddings, task_type_ids)
        x = self.word_embeddings(input_ids) + x
        return self.dropout(self.layer_norm(x if offsets is None else x + offsets))


def _rows(table: nn.Embedding, ids: paddle.Tensor | None) -> paddle.Tensor:
    return table.weight[0] if ids is None else table(ids)
