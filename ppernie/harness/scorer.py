"""What a family offers to be evaluated: its network's view of blanks in a text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np

from ppernie.decoding.options import Decoding
from ppernie.errors import UserError
from ppernie.harness.tasks import Mask


class Context(NamedTuple):
    """Ids of a text with one mask, and the place of that."""

    ids: list[int]
    mask: int


class Blank(NamedTuple):
    """A context, and what may fill its mask: ids of one text or several, each by itself."""

    context: Context
    answers: Sequence[Sequence[int]]


class Scorer(Protocol):
    """A network in evaluation mode, with its tokenizer."""

    def context(self, text: str, mask: Mask, where: str) -> Context:
        """A text in which a mask may be written out, else with one behind it.

        Raises:
            UserError: it has several masks.
        """

    def answer(self, text: str) -> list[int]:
        """The ids of a text that may fill a mask."""

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids."""

    def room(self, answers: Sequence[int]) -> int:
        """Tokens that the window has for a context with its mask, beside answers of these lengths."""

    def log_likelihoods(self, blanks: Sequence[Blank]) -> list[list[np.ndarray]]:
        """For each answer of each blank, float64 [tokens]: log-probabilities of its tokens, each given those before.

        A context and all its answers are read in one go, in which no answer sees another.
        """

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


def fitted(context: Context, room: int, where: str) -> tuple[Context, bool]:
    """The context without as much of its beginning as does not fit, and whether anything was cut off.

    Raises:
        UserError: its mask would be cut off.
    """
    excess = len(context.ids) - room
    if excess <= 0:
        return context, False
    if excess > context.mask:
        raise UserError(
            f"{where}: {excess} tokens too many for the window, which has room for {max(room, 0)} beside the answers, "
            "and the mask would be cut off; shorten what stands behind it, or the answers"
        )
    return Context(context.ids[excess:], context.mask - excess), True
