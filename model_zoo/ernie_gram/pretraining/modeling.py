"""The network that ERNIE-Gram is pretrained with (arXiv:2010.12148, section 3): the encoder, and what is left after.

The encoder is ``backbone``, as in the networks for fine-tuning, which take its weights unchanged.
"""

from __future__ import annotations

from collections.abc import Sequence

import paddle
from paddle import nn
from paddle.nn import functional as F

from model_zoo.ernie_gram.config import ErnieGramConfig
from model_zoo.ernie_gram.modeling import ErnieGramModel
from model_zoo.ernie_gram.pretraining.config import GeneratorConfig, PretrainingConfig
from ppernie.nn import Dropout, EncoderLayer, EncoderNetwork, LayerNorm, Linear, padding_mask
from ppernie.nn.functional import ACTIVATIONS
from ppernie.nn.layers import TiedDecoder
from ppernie.nn.masks import MASKED


class ErnieGramForPretraining(EncoderNetwork):
    """Predicts hidden units as whole identities, and token by token.

    One table of ``output_size`` columns holds all identities, the tokens and then the n-grams. It is the classifier
    of units, here and in the generator, the generator's embedding, and, mapped to the encoder's width, the embedding
    of the n-grams that the generator proposes. Those and the query symbols are added to the word vector of [MASK]:
    at the start they are close to it, and so is what the encoder makes of them.

    Args:
        pretraining: which parts there are.
        num_tokens: tokens of the vocabulary.
        num_ngrams: n-grams of the lexicon, for each length from 2 on.
    """

    def __init__(
        self, config: ErnieGramConfig, pretraining: PretrainingConfig, num_tokens: int, num_ngrams: Sequence[int]
    ) -> None:
        super().__init__(config)
        self.num_tokens = num_tokens
        width, identities, longest = pretraining.output_size, num_tokens + sum(num_ngrams), len(num_ngrams) + 1
        by_unit, by_token = pretraining.prediction != "contiguous", pretraining.prediction != "explicit"
        self.backbone = ErnieGramModel(config)
        self.identities = nn.Embedding(identities, width) if by_unit else None
        self.tokens = nn.Embedding(num_tokens, width) if by_token else None
        self.identity_head = _Head(config, config.hidden_size, width, identities) if by_unit else None
        self.token_head = _Head(config, config.hidden_size, width, num_tokens) if by_token else None
        self.queries = nn.Embedding(longest + 1, config.hidden_size) if by_unit and by_token else None
        self.generator = self.ngram_projection = self.detector = None
        if pretraining.generator is not None:
            self.generator = Generator(config, pretraining.generator, width, identities)
            self.ngram_projection = Linear(width, config.hidden_size, bias_attr=False)
            self.detector = Linear(config.hidden_size, 1)

    def forward(
        self,
        input_ids: paddle.Tensor,
        masked_positions: paddle.Tensor,
        position_ids: paddle.Tensor | None = None,
        query_ids: paddle.Tensor | None = None,
        query_positions: paddle.Tensor | None = None,
        draws: paddle.Tensor | None = None,
    ) -> dict[str, paddle.Tensor]:
        """Scores of the objectives that the network has.

        Args:
            input_ids: int64 [batch, length + queries]: texts, with [MASK] at what is hidden, and after them [MASK]
                for every query.
            masked_positions: int64 [units] into the flattened [batch * length]; of tokens in contiguous masking.
            position_ids: int64, as ``input_ids``; 0, 1, ... by default.
            query_ids: int64 [batch, queries], each a hidden token by its place in its unit, from 1; 0 pads. There
                are no queries without them.
            query_positions: int64 [tokens] into the flattened [batch * queries].
            draws: float32 [units] in [0, 1); each picks one of the generator's proposals.

        Returns:
            ``tokens`` [tokens, vocabulary] and ``identities`` [units, identities]; from the generator the same as
            ``generator``, its ``sampled`` identities int64 [units], and ``original`` [batch, length], the score for
            a symbol's being the text's own.
        """
        queries = 0 if query_ids is None else query_ids.shape[1]
        length = input_ids.shape[1] - queries
        if position_ids is None:
            position_ids = paddle.arange(length).unsqueeze(0)
        # Which places are padding is settled by what was read: a proposal may be the padding token.
        mask = padding_mask(input_ids[:, :length], self.config.pad_token_id)
        outputs: dict[str, paddle.Tensor] = {}
        offsets = []
        if self.generator is not None:
            text = input_ids[:, :length]
            scores = self.generator(text, position_ids[:, :length], mask, masked_positions, self.identities.weight)
            outputs |= {"generator": scores, "sampled": sample(scores, draws)}
            text, offset = self._replace(text, masked_positions, outputs["sampled"])
            input_ids = paddle.concat([text, input_ids[:, length:]], axis=1)
            offsets.append(offset)
        if query_ids is not None:
            mask = two_block_mask(mask, queries)
            if not offsets:
                offsets.append(paddle.zeros([input_ids.shape[0], length, self.config.hidden_size]))
            offsets.append(self.queries(query_ids))
        offset = paddle.concat(offsets, axis=1) if offsets else None
        x = self.backbone.embeddings(input_ids, position_ids=position_ids, offsets=offset)
        if self.backbone.relative_positions is not None:
            mask = mask + self.backbone.relative_positions(position_ids)
        x = self.backbone.encoder(x, mask)
        text = x[:, :length]
        if self.identity_head is not None:
            outputs["identities"] = self.identity_head(_rows(text, masked_positions), self.identities.weight)
        if self.token_head is not None:
            asked = _rows(text, masked_positions) if query_ids is None else _rows(x[:, length:], query_positions)
            outputs["tokens"] = self.token_head(asked, self.tokens.weight)
        if self.detector is not None:
            outputs["original"] = self.detector(text).squeeze(-1)
        return outputs

    def _replace(
        self, input_ids: paddle.Tensor, masked_positions: paddle.Tensor, identities: paddle.Tensor
    ) -> tuple[paddle.Tensor, paddle.Tensor]:
        """Puts proposals in place of masks: tokens as ids, n-grams as [MASK] and offsets [batch, length, hidden]."""
        flat = input_ids.flatten()
        is_token = identities < self.num_tokens
        ids = paddle.where(is_token, identities, flat.gather(masked_positions))
        vectors = self.ngram_projection(self.identities(identities)).astype(paddle.get_default_dtype())
        vectors = paddle.where(is_token.unsqueeze(1), paddle.zeros_like(vectors), vectors)
        offsets = paddle.zeros([flat.shape[0], self.config.hidden_size])
        offsets = paddle.scatter(offsets, masked_positions, vectors).reshape([*input_ids.shape, -1])
        return paddle.scatter(flat, masked_positions, ids).reshape(input_ids.shape), offsets


class Generator(nn.Layer):
    """A small encoder that proposes identities for the masks; its tokens' vectors are those of the identities."""

    def __init__(self, config: ErnieGramConfig, sizes: GeneratorConfig, width: int, num_identities: int) -> None:
        super().__init__()
        self.positions = nn.Embedding(config.max_position_embeddings, width)
        self.layer_norm = LayerNorm(width, config.layer_norm_eps)
        self.dropout = Dropout(config.hidden_dropout_prob)
        self.projection = Linear(width, sizes.hidden_size)
        self.layers = nn.LayerList(
            [
                EncoderLayer(
                    hidden_size=sizes.hidden_size,
                    num_heads=sizes.num_attention_heads,
                    intermediate_size=sizes.intermediate_size,
                    activation=config.hidden_act,
                    dropout=config.hidden_dropout_prob,
                    attention_dropout=config.attention_probs_dropout_prob,
                    epsilon=config.layer_norm_eps,
                )
                for _ in range(sizes.num_hidden_layers)
            ]
        )
        self.head = _Head(config, sizes.hidden_size, width, num_identities)

    def forward(
        self,
        input_ids: paddle.Tensor,
        position_ids: paddle.Tensor,
        mask: paddle.Tensor,
        masked_positions: paddle.Tensor,
        table: paddle.Tensor,
    ) -> paddle.Tensor:
        """Scores [units, identities] for the masks; ``table`` [identities, width] holds the vectors."""
        x = F.embedding(input_ids, table) + self.positions(position_ids)
        x = self.projection(self.dropout(self.layer_norm(x)))
        for layer in self.layers:
            x = layer(x, mask)
        return self.head(_rows(x, masked_positions), table)


class _Head(nn.Layer):
    """Scores over a table of ``rows`` vectors: linear to their width, activation, norm, product and bias."""

    def __init__(self, config: ErnieGramConfig, hidden_size: int, width: int, rows: int) -> None:
        super().__init__()
        self.transform = Linear(hidden_size, width)
        self.activation = ACTIVATIONS[config.hidden_act]
        self.layer_norm = LayerNorm(width, config.layer_norm_eps)
        self.decoder = TiedDecoder(rows)

    def forward(self, x: paddle.Tensor, table: paddle.Tensor) -> paddle.Tensor:
        """[n, hidden] and [rows, width] -> [n, rows]."""
        return self.decoder(self.layer_norm(self.activation(self.transform(x))), table)


def two_block_mask(padding: paddle.Tensor, queries: int) -> paddle.Tensor:
    """The mask of a text with a block of queries after it: the text sees itself, a query the text and itself.

    Args:
        padding: additive, [batch, 1, 1, length], which hides the text's padding.

    Returns:
        Additive, [batch, 1, length + queries, length + queries].
    """
    batch, length = padding.shape[0], padding.shape[-1]
    alone = paddle.concat([paddle.ones([length, queries]), 1 - paddle.eye(queries)]).astype(padding.dtype) * MASKED
    text = padding.expand([batch, 1, length + queries, length])
    return paddle.concat([text, alone.expand([batch, 1, length + queries, queries])], axis=-1)


@paddle.no_grad()
def sample(scores: paddle.Tensor, draws: paddle.Tensor) -> paddle.Tensor:
    """One class for each row of scores [n, classes], by its probability; no gradient goes back through it.

    A draw picks the class into whose stretch of the cumulated probabilities it falls. So what is sampled is a
    function of the batch, however the batches are dealt out.

    Args:
        draws: float32 [n], uniform in [0, 1).

    Returns:
        int64 [n].
    """
    cumulated = paddle.cumsum(F.softmax(scores.astype("float32"), axis=-1), axis=-1)
    found = paddle.searchsorted(cumulated, draws.unsqueeze(1) * cumulated[:, -1:], right=True).squeeze(1)
    return paddle.clip(found, max=scores.shape[-1] - 1)


def _rows(x: paddle.Tensor, positions: paddle.Tensor) -> paddle.Tensor:
    """The rows [n, hidden] of [batch, length, hidden] at flat positions."""
    return x.reshape([-1, x.shape[-1]]).gather(positions)
