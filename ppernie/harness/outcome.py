"""From the results of rows to those of parts, prompts and tasks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean, median
from typing import Any, NamedTuple

from ppernie.errors import UserError

# A mean over rows, as a sum and what it is divided by.
Share = tuple[float, float]
# A published harness bounds the exponent so, lest a bad network's perplexity overflow.
_LONGEST = 20.0
PERPLEXITY = "perplexity"


class Outcome(NamedTuple):
    """What came of the questions of a prompt.

    Attributes:
        rows: for each question the share that it adds to each measure.
        truncated: questions whose prompt was too long for the window.
    """

    rows: list[dict[str, Share]]
    truncated: int


def of_prompt(outcome: Outcome, parts: Sequence[str], weights: Mapping[str, float] | None) -> dict[str, Any]:
    """The measures of a prompt, ``all`` and by part; the whole is the parts' mean, weighted, or else by their sizes.

    Args:
        parts: of each question.

    Raises:
        UserError: the weights are not of these parts.
    """
    by_part: dict[str, list[dict[str, Share]]] = {}
    for part, row in zip(parts, outcome.rows, strict=True):
        by_part.setdefault(part, []).append(row)
    if weights is not None and (absent := sorted(set(by_part) - set(weights))):
        raise UserError(f"weights: nothing for {', '.join(absent)}; there is {', '.join(weights)}")
    sums = {part: _sums(rows) for part, rows in by_part.items()}
    whole = _sums(outcome.rows)
    if weights is not None:
        share = sum(weights[part] for part in sums)
        for name in whole:
            mean = sum(weights[part] * found[name][0] / found[name][1] for part, found in sums.items())
            whole[name] = (mean / share, 1.0)
    return {
        "rows": len(outcome.rows),
        "truncated": outcome.truncated,
        "all": _values(whole),
        "parts": {part: {"rows": len(by_part[part]), **_values(found)} for part, found in sums.items()},
    }


def of_task(prompts: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, float]]:
    """For each measure its highest, median and mean value over prompts."""
    measures = next(iter(prompts.values()))["all"]
    columns = {name: [result["all"][name] for result in prompts.values()] for name in measures}
    return {name: {"max": max(c), "median": median(c), "mean": fmean(c)} for name, c in columns.items()}


def _sums(rows: Sequence[dict[str, Share]]) -> dict[str, Share]:
    return {name: (sum(row[name][0] for row in rows), sum(row[name][1] for row in rows)) for name in rows[0]}


def _values(sums: Mapping[str, Share]) -> dict[str, float]:
    means = {name: total / size for name, (total, size) in sums.items()}
    return {name: math.exp(min(_LONGEST, mean)) if name == PERPLEXITY else mean for name, mean in means.items()}
