"""How likely ERNIE 3.0's pretrained network finds texts: by the NLG module, and by the NLU module's distance head."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import paddle
from paddle.nn import functional as F

from model_zoo.ernie3.universal.modeling import ErnieUniversalForPretraining
from ppernie.data.collate import pad_rows
from ppernie.data.tokenizers import Tokenizer

# Of a batch, padding included: scores of so many tokens over the vocabulary stand in memory at once.
_TOKENS = 1024
# The distance of a sentence to the one after it.
_ADJACENT = 0


class Scorer:
    """A ``ppernie.zero_shot`` scorer; the network is put in evaluation mode."""

    network_class = ErnieUniversalForPretraining

    def __init__(self, network: ErnieUniversalForPretraining, tokenizer: Tokenizer) -> None:
        self.network, self.tokenizer = network, tokenizer
        network.eval()

    @paddle.no_grad()
    def log_likelihoods(self, texts: Sequence[Sequence[int]]) -> list[np.ndarray]:
        """For each text, float64 [n - 1]: log-probabilities of its tokens after the first, given those before.

        Of a text longer than a segment the network sees the memory of the segments before.
        """
        found: list[np.ndarray] = [np.zeros(0)] * len(texts)
        for numbers in _batches([len(text) for text in texts]):
            rows = [texts[n] for n in numbers]
            ids = pad_rows(rows, self.tokenizer.pad_id)
            counts = [len(row) - 1 for row in rows]
            positions = np.concatenate([r * ids.shape[1] + np.arange(count) for r, count in enumerate(counts)])
            if not len(positions):
                continue
            logits = self.network(document_ids=paddle.to_tensor(ids), predicted_positions=paddle.to_tensor(positions))[
                "document"
            ]
            following = paddle.to_tensor(ids.reshape(-1)[positions + 1])
            losses = F.cross_entropy(logits, following, reduction="none").flatten().numpy().astype(np.float64)
            for n, part in zip(numbers, np.split(-losses, np.cumsum(counts)[:-1]), strict=True):
                found[n] = part
        return found

    @paddle.no_grad()
    def truths(self, pairs: Sequence[tuple[str, str]]) -> np.ndarray:
        """Log-probabilities that the second sentence of a pair follows the first, float64 [pairs]."""
        longest = self.network.config.max_position_embeddings
        encodings = [self.tokenizer.encode(first, second, max_length=longest) for first, second in pairs]
        found = np.zeros(len(pairs))
        for numbers in _batches([len(encoding) for encoding in encodings]):
            distances = self.network(
                paddle.to_tensor(pad_rows([encodings[n].ids for n in numbers], self.tokenizer.pad_id)),
                token_type_ids=paddle.to_tensor(pad_rows([encodings[n].type_ids for n in numbers], 0)),
                # One token, as none would be scores of all over the vocabulary.
                masked_positions=paddle.zeros([1], "int64"),
            )["distance"]
            found[numbers] = F.log_softmax(distances.astype("float64"), axis=-1)[:, _ADJACENT].numpy()
        return found


def _batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Numbers of rows of like length, in batches of at most ``_TOKENS``, or of one longer row."""
    order = np.argsort(lengths, kind="stable")[::-1].tolist()
    while order:
        count = max(_TOKENS // max(lengths[order[0]], 1), 1)
        yield order[:count]
        order = order[count:]
