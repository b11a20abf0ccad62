"""Scores of generated texts against given ones, as sequences of tokens."""

from collections import Counter
from collections.abc import Hashable, Sequence
from math import exp, log

Text = Sequence[Hashable]


class GenerationScore:
    """BLEU-4 of all texts together (Papineni et al. 2002) and the mean F1 of ROUGE-L (Lin 2004), one reference each.

    BLEU is not smoothed: without a common run of four tokens in all texts it is 0. ROUGE-L weighs precision and recall
    alike.
    """

    def __init__(self) -> None:
        self._matches, self._possible = [0] * 4, [0] * 4
        self._predicted = self._actual = self._count = 0
        self._rouge = 0.0

    def update(self, predictions: Sequence[Text], references: Sequence[Text]) -> None:
        """Add a batch: predicted texts, each with the one that is right."""
        for predicted, actual in zip(predictions, references, strict=True):
            self._count += 1
            self._predicted += len(predicted)
            self._actual += len(actual)
            for n in range(4):
                runs = _runs(predicted, n + 1)
                self._matches[n] += (runs & _runs(actual, n + 1)).total()
                self._possible[n] += runs.total()
            self._rouge += 2 * longest_common_subsequence(predicted, actual) / max(len(predicted) + len(actual), 1)

    def compute(self) -> dict[str, float]:
        """rouge_l and bleu; 0 if nothing was added."""
        bleu = 0.0
        if min(self._matches):
            precision = sum(log(m / p) for m, p in zip(self._matches, self._possible, strict=True)) / 4
            bleu = exp(precision + min(0.0, 1 - self._actual / self._predicted))
        return {"rouge_l": self._rouge / max(self._count, 1), "bleu": bleu}


def _runs(text: Text, size: int) -> Counter[tuple[Hashable, ...]]:
    return Counter(tuple(text[start : start + size]) for start in range(len(text) - size + 1))


def longest_common_subsequence(left: Text, right: Text) -> int:
    """Length of the longest sequence that both have in order, not necessarily without gaps."""
    # lengths[j]: of the tokens of ``left`` so far and the first j of ``right``.
    lengths = [0] * (len(right) + 1)
    for token in left:
        diagonal = 0
        for j, other in enumerate(right, 1):
            diagonal, lengths[j] = lengths[j], diagonal + 1 if token == other else max(lengths[j], lengths[j - 1])
    return lengths[-1]
