"""How likely a GLM finds texts in the place of a mask, and what it writes there (``ppernie.harness``).

The layout is that of GLM-130B's evaluation: a context with a mask, and behind it each text behind a [sop] of its own.
What stands after [MASK] has the mask's position, after [gMASK] positions run on.
"""

from __future__ import annotations

import string
import sys
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import paddle
from paddle.nn import functional as F
from tqdm import tqdm

from model_zoo.glm.generation.blanks import end_ids, written_by
from model_zoo.glm.generation.prompts import check_text, lay_out, mask_id, mask_ids
from model_zoo.glm.generation.reader import GlmReader
from model_zoo.glm.modeling import GlmForBlankInfilling
from ppernie.data.batches import batches_by_length
from ppernie.data.collate import pad_rows
from ppernie.data.tokenizers import GlmTokenizer, Tokenizer
from ppernie.decoding.beam import Following, beam_texts
from ppernie.decoding.generate import generate
from ppernie.decoding.options import Decoding
from ppernie.errors import UserError
from ppernie.harness.scorer import Blank, Context
from ppernie.harness.tasks import Mask

# Of a batch, padding included.
_TOKENS = 2048


class _Row(NamedTuple):
    """A context and its answers as the network reads them.

    Attributes:
        ids: int64 [n].
        positions: int64 [rows, n].
        visible: int64 [3, n].
        places: for each answer where its tokens are predicted.
    """

    ids: np.ndarray
    positions: np.ndarray
    visible: np.ndarray
    places: list[np.ndarray]


class Scorer:
    """A ``ppernie.harness`` scorer; the network is put in evaluation mode.

    Raises:
        UserError: the tokenizer is none of a GLM, or has more tokens than the network.
    """

    def __init__(self, network: GlmForBlankInfilling, tokenizer: Tokenizer) -> None:
        if not isinstance(tokenizer, GlmTokenizer):
            raise UserError("a GLM reads texts with a GLM's tokenizer; put its files into the model folder")
        if tokenizer.vocab_size > network.config.vocab_size:
            raise UserError(
                f"the tokenizer has {tokenizer.vocab_size} tokens and the network {network.config.vocab_size}; take "
                "the tokenizer that it was trained with"
            )
        self.network, self.tokenizer = network, tokenizer
        self._rows = network.config.position_rows
        # The smaller GLMs have learnt texts with a frame; GLM-130B's evaluation has none, unlike its generate.py.
        *self._before, end = tokenizer.encode("").ids
        self._after = [end] if self._before else []
        network.eval()

    def context(self, text: str, mask: Mask, where: str) -> Context:
        """A text in which a mask may be written out, else with one behind it.

        Raises:
            UserError: it has several masks, or a token that stands around prompts.
        """
        ids = self.tokenizer.encode_prompt(text)
        places = np.flatnonzero(np.isin(ids, mask_ids(self.tokenizer))).tolist()
        if len(places) > 1:
            raise UserError(f"{where}: {len(places)} masks in {text!r:.60}; a prompt of the harness has one")
        check_text(ids, self.tokenizer, where)
        return Context(ids, places[0]) if places else Context([*ids, mask_id(self.tokenizer, mask)], len(ids))

    def answer(self, text: str) -> list[int]:
        """The ids of a text that may fill a mask."""
        return self.tokenizer.encode_plain(text)

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids."""
        return self.tokenizer.decode(ids)

    def room(self, answers: Sequence[int]) -> int:
        """Tokens that the window has for a context with its mask, beside answers of these lengths."""
        frame = len(self._before) + len(self._after)
        return self.network.config.max_position_embeddings - frame - (1 if set(answers) == {1} else sum(answers))

    @paddle.no_grad()
    def log_likelihoods(self, blanks: Sequence[Blank]) -> list[list[np.ndarray]]:
        """For each answer of each blank, float64 [tokens]: log-probabilities of its tokens, each given those before."""
        found: list[list[np.ndarray]] = [[] for _ in blanks]
        lengths = [len(context.ids) + sum(map(len, answers)) for context, answers in blanks]
        for numbers in _shown(lengths):
            rows = [self._laid_out(*blanks[number]) for number in numbers]
            labels = [[np.asarray(answer) for answer in blanks[number].answers] for number in numbers]
            width = max(len(row.ids) for row in rows)
            places = [n * width + place for n, row in enumerate(rows) for place in row.places]
            logits = self.network(
                paddle.to_tensor(pad_rows([row.ids.tolist() for row in rows], self.tokenizer.pad_id)),
                paddle.to_tensor(np.stack([_padded(row.positions, width) for row in rows])),
                paddle.to_tensor(np.stack([_padded(row.visible, width) for row in rows])),
                paddle.to_tensor(np.concatenate(places)),
            )
            wanted = np.concatenate([answer for answers in labels for answer in answers])
            losses = F.cross_entropy(logits, paddle.to_tensor(wanted), reduction="none").flatten()
            parts = iter(np.split(-losses.numpy().astype(np.float64), np.cumsum([len(p) for p in places])[:-1]))
            for number, answers in zip(numbers, labels, strict=True):
                found[number] = [next(parts) for _ in answers]
        return found

    def texts(
        self,
        prompts: Sequence[tuple[Context, Sequence[int]]],
        decoding: Decoding,
        max_new_tokens: int,
        *,
        no_leading_punctuation: bool,
    ) -> list[list[list[int]]]:
        """What fills the masks, given contexts and the beginnings of what fills them; of beams all, best first.

        Args:
            no_leading_punctuation: of beams, none of which then begins with a token of punctuation alone.
        """
        reader, ends = GlmReader(self.network, self.tokenizer), end_ids(self.tokenizer)
        options = written_by(decoding, self.tokenizer)
        ids = [[*self._framed(context), self.tokenizer.sop_id, *begun] for context, begun in prompts]
        following = self._beginning_with_words() if no_leading_punctuation else None
        limits: dict[str, Any] = {"end_id": ends, "max_new_tokens": max_new_tokens}
        found: list[list[list[int]]] = [[] for _ in prompts]
        for numbers in _shown([len(row) + max_new_tokens for row in ids]):
            rows = [ids[number] for number in numbers]
            if decoding.strategy == "beam":
                beams = [beam_texts(reader, row, options, **limits, following=following) for row in rows]
            else:
                beams = [
                    [text]
                    for text in generate(reader, rows, options, **limits, pad_id=self.tokenizer.pad_id, numbers=numbers)
                ]
            for number, texts in zip(numbers, beams, strict=True):
                found[number] = texts or [[]]
        return found

    def _framed(self, context: Context) -> list[int]:
        return [*self._before, *context.ids, *self._after]

    def _laid_out(self, context: Context, answers: Sequence[Sequence[int]]) -> _Row:
        """Each answer has the positions that it would have alone; answers of one token share one place."""
        framed = self._framed(context)
        blocks = [[self.tokenizer.sop_id, *answer[:-1]] for answer in answers]
        shared = max(map(len, blocks)) == 1
        if shared:
            blocks = blocks[:1]
        alone = lay_out(
            pad_rows([[*framed, *block] for block in blocks], self.tokenizer.pad_id), self.tokenizer, self._rows
        )
        sizes = [len(block) for block in blocks]
        starts = len(framed) + np.cumsum([0, *sizes])[:-1]
        positions = [alone.position_ids[0, :, : len(framed)]]
        positions += [
            part[:, len(framed) : len(framed) + size] for part, size in zip(alone.position_ids, sizes, strict=True)
        ]
        own = np.concatenate([np.zeros(len(framed), np.int64), np.repeat(starts, sizes)])
        places = [np.arange(start, start + size) for start, size in zip(starts, sizes, strict=True)]
        return _Row(
            np.concatenate([framed, *blocks]),
            np.concatenate(positions, axis=1),
            np.stack([np.zeros_like(own), np.full_like(own, len(framed)), own]),
            places * len(answers) if shared else places,
        )

    def _beginning_with_words(self) -> Following:
        every = np.arange(self.tokenizer.vocab_size)
        words = np.setdiff1d(every, self._punctuation())
        return lambda tokens: every if tokens else words

    def _punctuation(self) -> list[int]:
        signs = set(string.punctuation)
        texts = (self.tokenizer.decode([index]).strip() for index in range(self.tokenizer.vocab_size))
        return [index for index, text in enumerate(texts) if text and set(text) <= signs]


def _padded(array: np.ndarray, width: int) -> np.ndarray:
    return np.pad(array, ((0, 0), (0, width - array.shape[1])))


def _shown(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Batches of rows of like length, with a bar of progress on a terminal."""
    with tqdm(total=len(lengths), unit="row", leave=False, disable=not sys.stderr.isatty()) as bar:
        for numbers in batches_by_length(lengths, _TOKENS):
            yield numbers
            bar.update(len(numbers))
