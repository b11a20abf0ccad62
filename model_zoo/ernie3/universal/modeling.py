"""ERNIE 3.0's network (Sun et al. 2021, arXiv:2107.02137, section 3): one trunk, and a module for either paradigm.

The universal representation module, ``trunk``, is shared. On it stand ``nlu``, which sees a text from both sides, and
``nlg``, which goes from left to right through the segments of a document with a memory of the ones before. What the
paper leaves open is decided so: between the widths of trunk and module stands a linear map with a layer norm, the
``bridge``; a module's output is mapped back to the trunk's width, whose word table scores the vocabulary; and [CLS]
is classified as it comes, without a pooler.
"""

from __future__ import annotations

from typing import NamedTuple

import paddle
from paddle import nn

from model_zoo.ernie3.universal.config import UniversalConfig
from ppernie.nn import Dropout, LayerNorm, Linear, padding_mask
from ppernie.nn.functional import ACTIVATIONS
from ppernie.nn.layers import TiedDecoder
from ppernie.nn.text_encoder import EncoderNetwork
from ppernie.nn.transformer_xl import Context, TransformerXL, causal_mask


class UniversalEmbeddings(nn.Layer):
    """Sum of word, segment type and, where the network has it, task embeddings; then norm and dropout."""

    def __init__(self, config: UniversalConfig) -> None:
        super().__init__()
        size, tasks = config.hidden_size, config.task_type_vocab_size
        self.word_embeddings = nn.Embedding(config.vocab_size, size)
        self.token_type_embeddings = nn.Embedding(config.type_vocab_size, size)
        self.task_type_embeddings = nn.Embedding(tasks, size) if tasks else None
        self.layer_norm = LayerNorm(size, config.layer_norm_eps)
        self.dropout = Dropout(config.hidden_dropout_prob)

    def forward(
        self,
        input_ids: paddle.Tensor,
        token_type_ids: paddle.Tensor | None = None,
        task_type_ids: paddle.Tensor | None = None,
    ) -> paddle.Tensor:
        """int64 [batch, length] each, types and tasks 0 where not given -> [batch, length, hidden]."""
        zeros = paddle.zeros([1, 1], "int64")
        x = self.word_embeddings(input_ids)
        x = x + self.token_type_embeddings(zeros if token_type_ids is None else token_type_ids)
        if self.task_type_embeddings is not None:
            x = x + self.task_type_embeddings(zeros if task_type_ids is None else task_type_ids)
        return self.dropout(self.layer_norm(x))


class TaskModule(TransformerXL):
    """The layers of one paradigm, and the ``bridge`` by which the trunk's outputs come to their width."""

    def __init__(self, config: UniversalConfig) -> None:
        size, epsilon = config.branch_hidden_size, config.layer_norm_eps
        super().__init__(
            config.branch_num_layers,
            hidden_size=size,
            num_heads=config.branch_num_heads,
            intermediate_size=config.branch_intermediate_size,
            activation=config.hidden_act,
            dropout=config.hidden_dropout_prob,
            attention_dropout=config.attention_probs_dropout_prob,
            epsilon=epsilon,
        )
        self.bridge = nn.Sequential(("linear", Linear(config.hidden_size, size)), ("norm", LayerNorm(size, epsilon)))


class VocabularyHead(nn.Layer):
    """Scores over the vocabulary by the word table, to whose width a module's output is mapped first."""

    def __init__(self, config: UniversalConfig) -> None:
        super().__init__()
        self.transform = Linear(config.branch_hidden_size, config.hidden_size)
        self.activation = ACTIVATIONS[config.hidden_act]
        self.layer_norm = LayerNorm(config.hidden_size, config.layer_norm_eps)
        self.decoder = TiedDecoder(config.vocab_size)

    def forward(self, x: paddle.Tensor, positions: paddle.Tensor | None, table: paddle.Tensor) -> paddle.Tensor:
        """[batch, length, branch's hidden] -> [batch, length, vocab].

        With ``positions``, int64 [n] into the flattened [batch * length], those alone: [n, vocab].
        """
        if positions is not None:
            x = x.flatten(0, 1).gather(positions)
        return self.decoder(self.layer_norm(self.activation(self.transform(x))), table)


class UniversalNetwork(EncoderNetwork):
    """Base of the classes: embeddings and trunk.

    Attributes:
        stacks: the stacks of layers from the lowest up, the modules beside each other on the trunk.
    """

    config: UniversalConfig
    stacks = (("trunk",), ("nlu", "nlg"))

    def __init__(self, config: UniversalConfig) -> None:
        super().__init__(config)
        self.embeddings = UniversalEmbeddings(config)
        self.trunk = TransformerXL(
            config.num_hidden_layers,
            hidden_size=config.hidden_size,
            num_heads=config.num_attention_heads,
            intermediate_size=config.intermediate_size,
            activation=config.hidden_act,
            dropout=config.hidden_dropout_prob,
            attention_dropout=config.attention_probs_dropout_prob,
            epsilon=config.layer_norm_eps,
            head_size=config.head_dim,
        )
        for parameter in (*self.embeddings.parameters(), *self.trunk.parameters()):
            parameter.stop_gradient = config.freeze_trunk

    def understood(
        self,
        module: TaskModule,
        input_ids: paddle.Tensor,
        token_type_ids: paddle.Tensor | None,
        task_type_ids: paddle.Tensor | None,
    ) -> paddle.Tensor:
        """What the NLU module makes of texts, [batch, length, branch's hidden]; padding is hidden."""
        mask = padding_mask(input_ids, self.config.pad_token_id)
        x = self.trunk(self.embeddings(input_ids, token_type_ids, task_type_ids), mask)
        return module(module.bridge(x), mask)

    def read_on(
        self, module: TaskModule, document_ids: paddle.Tensor, segment_length: int | paddle.Tensor | None
    ) -> paddle.Tensor:
        """What the NLG module makes of documents, [batch, length, branch's hidden].

        Padding on the right needs no mask: nothing looks ahead.
        """
        length = int(segment_length or self.config.max_position_embeddings)
        mask = causal_mask(length, self.config.memory_length + length)
        x = self.trunk(self.embeddings(document_ids), mask, length)
        return module(module.bridge(x), mask, length)

    @property
    def table(self) -> paddle.Tensor:
        """The word table."""
        return self.embeddings.word_embeddings.weight


class ErnieUniversalForPretraining(UniversalNetwork):
    """The whole network, with the heads of all objectives."""

    def __init__(self, config: UniversalConfig) -> None:
        super().__init__(config)
        self.nlu = TaskModule(config)
        self.nlg = TaskModule(config)
        self.nlu_head = VocabularyHead(config)
        self.nlg_head = VocabularyHead(config)
        self.reordering = Linear(config.branch_hidden_size, config.reordering_classes)
        self.distance = Linear(config.branch_hidden_size, 3)

    def forward(
        self,
        input_ids: paddle.Tensor | None = None,
        token_type_ids: paddle.Tensor | None = None,
        task_type_ids: paddle.Tensor | None = None,
        masked_positions: paddle.Tensor | None = None,
        document_ids: paddle.Tensor | None = None,
        segment_length: int | paddle.Tensor | None = None,
        predicted_positions: paddle.Tensor | None = None,
    ) -> dict[str, paddle.Tensor]:
        """Logits of a batch for the NLU module or, where ``document_ids`` are given instead, for the NLG module.

        Args:
            input_ids, token_type_ids, task_type_ids: int64 [batch, length].
            masked_positions: int64 [n] into [batch * length], the tokens to predict.
            document_ids: int64 [batch, length], each row a document, padded on the right.
            segment_length: of the documents; by default ``max_position_embeddings``.
            predicted_positions: int64 [n] into [batch * length], the tokens whose next one is asked for; by default
                all.

        Returns:
            ``tokens`` [n, vocab], ``reordering`` [batch, classes] and ``distance`` [batch, 3]; or ``document``
            [batch, length, vocab], or [n, vocab] with ``predicted_positions``.
        """
        if document_ids is not None:
            x = self.read_on(self.nlg, document_ids, segment_length)
            return {"document": self.nlg_head(x, predicted_positions, self.table)}
        x = self.understood(self.nlu, input_ids, token_type_ids, task_type_ids)
        return {
            "tokens": self.nlu_head(x, masked_positions, self.table),
            "reordering": self.reordering(x[:, 0]),
            "distance": self.distance(x[:, 0]),
        }


class UnderstandingHead(UniversalNetwork):
    """Base of the heads on the NLU module: ``num_labels`` scores by a linear map, ``classifier``."""

    def __init__(self, config: UniversalConfig, num_labels: int) -> None:
        super().__init__(config)
        self.nlu = TaskModule(config)
        self.dropout = Dropout(config.head_dropout)
        self.classifier = Linear(config.branch_hidden_size, num_labels)

    def forward(
        self,
        input_ids: paddle.Tensor,
        token_type_ids: paddle.Tensor | None = None,
        task_type_ids: paddle.Tensor | None = None,
    ) -> paddle.Tensor:
        """int64 [batch, length] -> logits, of what ``asked`` leaves of the module's output."""
        x = self.understood(self.nlu, input_ids, token_type_ids, task_type_ids)
        return self.classifier(self.dropout(self.asked(x)))

    def asked(self, x: paddle.Tensor) -> paddle.Tensor:
        """The part of [batch, length, branch's hidden] that the head reads; all of it by default."""
        return x


class ErnieUniversalForSequenceClassification(UnderstandingHead):
    """Classes or, with ``num_labels=1``, one score for a text or a pair, from [CLS]: logits [batch, num_labels]."""

    def asked(self, x: paddle.Tensor) -> paddle.Tensor:
        return x[:, 0]


class ErnieUniversalForTokenClassification(UnderstandingHead):
    """A tag for every token: logits [batch, length, num_labels]."""


class ErnieUniversalForQuestionAnswering(UnderstandingHead):
    """Start and end of an answer inside the text: logits [batch, length, 2], the start's in column 0."""

    def __init__(self, config: UniversalConfig) -> None:
        super().__init__(config, 2)


class Reading(NamedTuple):
    """Where the generator stands in its documents.

    Attributes:
        trunk, nlg: contexts of their layers.
        position: tokens of the running segment that it has read.
    """

    trunk: list[Context]
    nlg: list[Context]
    position: int = 0


class ErnieUniversalForGeneration(UniversalNetwork):
    """Scores for the next token, from the NLG module."""

    def __init__(self, config: UniversalConfig) -> None:
        super().__init__(config)
        self.nlg = TaskModule(config)
        self.nlg_head = VocabularyHead(config)

    def forward(
        self,
        document_ids: paddle.Tensor,
        predicted_positions: paddle.Tensor | None = None,
        segment_length: int | paddle.Tensor | None = None,
    ) -> paddle.Tensor:
        """Logits for what follows every token, or those at ``predicted_positions``.

        Arguments and shapes are those of ``ErnieUniversalForPretraining``.
        """
        return self.nlg_head(self.read_on(self.nlg, document_ids, segment_length), predicted_positions, self.table)

    @paddle.no_grad()
    def start(self) -> Reading:
        """Before the first token."""
        lengths = self.config.max_position_embeddings, self.config.memory_length
        return Reading(self.trunk.start(*lengths), self.nlg.start(*lengths))

    @paddle.no_grad()
    def step(self, ids: paddle.Tensor, reading: Reading) -> tuple[paddle.Tensor, Reading]:
        """Reads the next tokens, int64 [batch, n], of which no row is padded.

        Returns:
            Logits [batch, vocab] for the token after them, the same as ``forward``'s, and where the reading stands.
        """
        segment_length, memory_length = self.config.max_position_embeddings, self.config.memory_length
        while ids.shape[1]:
            if reading.position == segment_length:
                reading = Reading(
                    self.trunk.next_segment(reading.trunk, memory_length),
                    self.nlg.next_segment(reading.nlg, memory_length),
                )
            count = min(segment_length - reading.position, ids.shape[1])
            x, trunk = self.trunk.extend(self.embeddings(ids[:, :count]), reading.trunk)
            x, nlg = self.nlg.extend(self.nlg.bridge(x), reading.nlg)
            reading = Reading(trunk, nlg, reading.position + count)
            ids = ids[:, count:]
        return self.nlg_head(x[:, -1], None, self.table), reading

    @paddle.no_grad()
    def select(self, reading: Reading, rows: paddle.Tensor) -> Reading:
        """Where the documents of these rows stand, int64 [n], which may repeat."""
        trunk, nlg = ([context.select(rows) for context in contexts] for contexts in reading[:2])
        return Reading(trunk, nlg, reading.position)
