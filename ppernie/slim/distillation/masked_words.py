"""What a masked language model would put in the place of each token (Jiao et al. 2020, section 3.2)."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ppernie.errors import UserError
from ppernie.slim.distillation.augmentation import Place

if TYPE_CHECKING:
    import paddle

    from ppernie.data.tokenizers import Encoding, Tokenizer
    from ppernie.zoo.sources import Source

logger = logging.getLogger("ppernie")

# Of a text every seventh token is hidden at a time, as about as many are in the model's own training.
_PASSES = 7


class MaskedWords:
    """The likely tokens at every place of the given texts; a text that is not one of them is left as it is.

    Args:
        source: a masked language model, with its tokenizer if that is not the run's.
        top_k: tokens at each place.
    """

    def __init__(self, source: Source, tokenizer: Tokenizer, texts: Sequence[str], max_length: int, top_k: int) -> None:
        self._source, self._tokenizer, self._texts = source, tokenizer, texts
        self._max_length, self._top_k = max_length, top_k
        self._places: dict[str, list[Place]] = {}

    def __call__(self, text: str) -> list[Place]:
        return self._places.get(text, [])

    def ask(self) -> None:
        """Asks the model about all texts. Raises UserError where it has no such head."""
        import paddle

        from ppernie.slim.distillation.teacher import frozen
        from ppernie.zoo.pretrained import load_network
        from ppernie.zoo.sources import check_architecture

        config = check_architecture(self._source.family, self._source.architecture, str(self._source.place))
        network, new = load_network(self._source, "ForMaskedLM", config)
        if lacking := [name for name in new if not name.startswith("backbone.")]:
            raise UserError(
                f"Slim.distillation.augmentation.model: {self._source.place} predicts no masked tokens (it lacks "
                f"{', '.join(lacking)}); name one that does"
            )
        frozen(network)
        logger.info("Augmentation: what %s would put into %d texts", self._source.place, len(self._texts))
        with paddle.no_grad():
            for text in self._texts:
                self._places[text] = self._ask(network, text)

    def _ask(self, network: paddle.nn.Layer, text: str) -> list[Place]:
        import paddle

        encoding = self._tokenizer.encode(text, max_length=self._max_length)
        ids = np.asarray(encoding.ids, dtype=np.int64)
        own = np.flatnonzero(np.asarray(encoding.special_tokens_mask) == 0)
        if not len(own):
            return []
        hidden = [own[first::_PASSES] for first in range(min(_PASSES, len(own)))]
        rows = np.tile(ids, (len(hidden), 1))
        for row, positions in zip(rows, hidden, strict=True):
            row[positions] = self._tokenizer.mask_id
        masked = np.concatenate([row * len(ids) + positions for row, positions in enumerate(hidden)])
        logits = network(paddle.to_tensor(rows), masked_positions=paddle.to_tensor(masked))
        likely = dict(zip((masked % len(ids)).tolist(), logits.topk(self._top_k)[1].numpy(), strict=True))
        places = (self._place(encoding, int(position), likely[int(position)]) for position in own)
        return [place for place in places if place is not None]

    def _place(self, encoding: Encoding, position: int, likely: np.ndarray) -> Place | None:
        """Whole words among the likely tokens; None where there is no other than the one that stands there."""
        tokens = [self._tokenizer.id_to_token(int(i)) for i in likely if int(i) != encoding.ids[position]]
        special = self._tokenizer.special_tokens
        words = [token for token in tokens if token not in special and not token.startswith("##")]
        start, end = encoding.offsets[position]
        return Place(start, end, words) if words else None
