"""One number of several tasks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import fmean, median
from typing import Any

NORMALISED = "normalised"


def aggregate(results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The mean over groups of parts of (score - chance) / (1 - chance), as the results of a task.

    A score is a choice's accuracy, or a written answer's exact match, by chance 0 (BIG-bench, arXiv:2206.04615,
    section 2.2). A group is the mean of its parts, whose names are equal before a "/". Of several prompts a part has
    the highest, median or mean score.
    """
    statistics: dict[str, Callable[[Iterable[float]], float]] = {"max": max, "median": median, "mean": fmean}
    return {
        "rows": sum(result["rows"] for result in results),
        "truncated": sum(result["truncated"] for result in results),
        "measures": {NORMALISED: {how: _mean(results, statistic) for how, statistic in statistics.items()}},
        "prompts": {},
    }


def _mean(results: Sequence[Mapping[str, Any]], statistic: Callable[[Iterable[float]], float]) -> float:
    groups: dict[str, list[float]] = {}
    for result in results:
        prompts = [prompt["parts"] for prompt in result["prompts"].values()]
        # A template may leave all rows of a part out.
        for part in dict.fromkeys(part for parts in prompts for part in parts):
            scores = [_normalised(parts[part]) for parts in prompts if part in parts]
            groups.setdefault(part.partition("/")[0], []).append(statistic(scores))
    return fmean(map(fmean, groups.values()))


def _normalised(part: Mapping[str, float]) -> float:
    score, chance = part.get("accuracy", part.get("exact_match", 0.0)), part.get("chance", 0.0)
    # Where every option is right there is nothing to know.
    return (score - chance) / (1 - chance) if chance < 1 else 0.0
