"""Exact match and F1 of extracted answers, as CMRC 2018 and SQuAD count them."""

import re
import string
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Literal

#: What CMRC 2018's evaluation removes; ASCII commas, full stops, quotes and brackets stay.
CMRC_PUNCTUATION = frozenset("-:_*^/\\~`+=，。：？！“”；’《》·、「」（）－～『』")
#: A Chinese character alone; else words about as NLTK cuts them: a comma before a digit and a full stop that
#: no Chinese character follows belong to the word, other signs stand alone.
CMRC_SEGMENT = re.compile(
    r"""[\u4e00-\u9fa5]
    | \.{3}
    | (?: [^\s\u4e00-\u9fa5;@#$%&?!()\[\]{}<>"',.—–‘] | ,(?=\d) | \.(?!\.\.|\s*(?:[\u4e00-\u9fa5]|$)) )+
    | '[a-z]+
    | \S""",
    re.VERBOSE,
)
ARTICLES = re.compile(r"\b(?:a|an|the)\b")
NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


class SpanScore:
    """Exact match and F1 of answer texts; an example counts with the reference that fits best.

    "cmrc": Chinese characters stand alone and other runs are cut into words; F1 is that of the longest common
    contiguous run of segments (the official script's `find_lcs`), so order counts. That script cuts runs of
    Latin text with NLTK, which is followed here but for quotation marks and the likes of "don't".
    "squad": lower case without punctuation and articles; F1 of the bags of words (SQuAD 2.0).
    "exact": the texts as they are but for white space around them; F1 is the same as exact match.
    An example without references is unanswerable: it scores 1 for an empty prediction and else 0.
    """

    def __init__(self, style: Literal["cmrc", "squad", "exact"]) -> None:
        self._normalise, self._f1 = STYLES[style]
        self._exact = self._overlap = 0.0
        self._count = 0

    def update(self, predictions: Sequence[str], references: Sequence[Sequence[str]]) -> None:
        """Add a batch: predicted texts, and for each all texts that are right."""
        for predicted, answers in zip(predictions, references, strict=True):
            self._count += 1
            if not answers:
                right = float(not predicted.strip())
                self._exact += right
                self._overlap += right
                continue
            normal = self._normalise(predicted)
            self._exact += any(self._normalise(answer) == normal for answer in answers)
            self._overlap += max(self._f1(predicted, answer) for answer in answers)

    def compute(self) -> dict[str, float]:
        """exact_match and f1; 0 if nothing was added."""
        count = max(self._count, 1)
        return {"exact_match": self._exact / count, "f1": self._overlap / count}


def _cmrc_normalise(text: str) -> str:
    return "".join(char for char in text.lower().strip() if char not in CMRC_PUNCTUATION)


def _cmrc_f1(predicted: str, answer: str) -> float:
    left, right = (CMRC_SEGMENT.findall(_cmrc_normalise(text)) for text in (predicted, answer))
    return _f1(_longest_common_run(left, right), len(left), len(right))


def _longest_common_run(left: Sequence[str], right: Sequence[str]) -> int:
    """Length of the longest contiguous run of segments that both have."""
    longest = 0
    # runs[j]: the common run that ends at the current left segment and right[j - 1].
    runs = [0] * (len(right) + 1)
    for segment in left:
        runs = [0] + [runs[j] + 1 if segment == other else 0 for j, other in enumerate(right)]
        longest = max(longest, *runs)
    return longest


def _squad_normalise(text: str) -> str:
    return " ".join(ARTICLES.sub(" ", text.lower().translate(NO_PUNCTUATION)).split())


def _squad_f1(predicted: str, answer: str) -> float:
    left, right = (_squad_normalise(text).split() for text in (predicted, answer))
    if not left or not right:
        return float(left == right)
    return _f1((Counter(left) & Counter(right)).total(), len(left), len(right))


def _f1(common: int, predicted: int, actual: int) -> float:
    return 2 * common / (predicted + actual) if common else 0.0


def _equal(predicted: str, answer: str) -> float:
    return float(predicted.strip() == answer.strip())


STYLES: dict[str, tuple[Callable[[str], str], Callable[[str, str], float]]] = {
    "cmrc": (_cmrc_normalise, _cmrc_f1),
    "squad": (_squad_normalise, _squad_f1),
    "exact": (str.strip, _equal),
}
