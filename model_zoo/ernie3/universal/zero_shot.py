"""How likely ERNIE 3.0's pretrained network finds texts: by the NLG module, and by the NLU module's distance head."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import paddle
from paddle.nn import functional as F

from model_zoo.ernie3.universal.modeling import ErnieUniversalForGeneration, ErnieUniversalForPretraining
from ppernie.data.batches import batches_by_length
from ppernie.data.collate import pad_rows
from ppernie.data.tokenizers import Tokenizer
from ppernie.decoding.beam import beam_search
from ppernie.decoding.options import Decoding
from ppernie.decoding.spans import SpansOf

# Of a batch, padding included, as long as no text is longer; so many have their scores over the vocabulary at once.
_TOKENS = 1024
# The distance of a sentence to the one after it.
_ADJACENT = 0


class Scorer:
    """A ``ppernie.zero_shot`` scorer; the network is put in evaluation mode."""

    network_class = ErnieUniversalForPretraining

    def __init__(self, network: ErnieUniversalForPretraining, tokenizer: Tokenizer) -> None:
        self.network, self.tokenizer = network, tokenizer
        network.eval()
        self._writer = _writer_of(network)

    @paddle.no_grad()
    def log_likelihoods(self, texts: Sequence[Sequence[int]]) -> list[np.ndarray]:
        """For each text, float64 [n - 1]: log-probabilities of its tokens after the first, given those before.

        Of a text longer than a segment the network sees the memory of the segments before.
        """
        found: list[np.ndarray] = [np.zeros(0)] * len(texts)
        for numbers in batches_by_length([len(text) for text in texts], _TOKENS):
            rows = [texts[n] for n in numbers]
            ids = pad_rows(rows, self.tokenizer.pad_id)
            counts = [len(row) - 1 for row in rows]
            positions = np.concatenate([r * ids.shape[1] + np.arange(count) for r, count in enumerate(counts)])
            if not len(positions):
                continue
            x = self.network.read_on(self.network.nlg, paddle.to_tensor(ids), None)
            slices = [positions[start : start + _TOKENS] for start in range(0, len(positions), _TOKENS)]
            losses = np.concatenate([self._losses(x, ids, part) for part in slices])
            for n, part in zip(numbers, np.split(-losses, np.cumsum(counts)[:-1]), strict=True):
                found[n] = part
        return found

    def _losses(self, x: paddle.Tensor, ids: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """Losses of the tokens behind positions of the flattened ids, float64 [n]; ``x`` is the module's output."""
        logits = self.network.nlg_head(x, paddle.to_tensor(positions), self.network.table)
        following = paddle.to_tensor(ids.reshape(-1)[positions + 1])
        return F.cross_entropy(logits, following, reduction="none").flatten().numpy().astype(np.float64)

    @paddle.no_grad()
    def truths(self, pairs: Sequence[tuple[str, str]]) -> np.ndarray:
        """Log-probabilities that the second sentence of a pair follows the first, float64 [pairs]."""
        longest = self.network.config.max_position_embeddings
        encodings = [self.tokenizer.encode(first, second, max_length=longest) for first, second in pairs]
        found = np.zeros(len(pairs))
        for numbers in batches_by_length([len(encoding) for encoding in encodings], _TOKENS):
            distances = self.network(
                paddle.to_tensor(pad_rows([encodings[n].ids for n in numbers], self.tokenizer.pad_id)),
                token_type_ids=paddle.to_tensor(pad_rows([encodings[n].type_ids for n in numbers], 0)),
                # One token, as none would be scores of all over the vocabulary.
                masked_positions=paddle.zeros([1], "int64"),
            )["distance"]
            found[numbers] = F.log_softmax(distances.astype("float64"), axis=-1)[:, _ADJACENT].numpy()
        return found

    def span(
        self, prompt: Sequence[int], context: Sequence[int], *, beams: int, end_id: int, max_new_tokens: int
    ) -> list[int]:
        """The likeliest stretch of a context's tokens behind a prompt, at least one token and none the end's."""
        options = Decoding(strategy="beam", beams=beams, min_new_tokens=1)
        return beam_search(
            self._writer,
            prompt,
            options,
            end_id=end_id,
            max_new_tokens=max_new_tokens,
            following=SpansOf(context, end_id),
        )


def _writer_of(network: ErnieUniversalForPretraining) -> ErnieUniversalForGeneration:
    """The network's NLG module with its trunk, the same layers, to be read step by step."""
    with paddle.LazyGuard():
        writer = ErnieUniversalForGeneration(network.config)
    for name, _ in list(writer.named_children()):
        setattr(writer, name, getattr(network, name))
    writer.eval()
    return writer
