"""Lists of labels and their ids, and what the tasks over one have in common."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from typing import Any

from ppernie.errors import UserError
from ppernie.tasks.base import Task


def collect_labels(labels: Iterable[str]) -> list[str]:
    """The distinct labels: in numeric order where all are whole numbers, else sorted as text."""
    found = set(labels)
    if all(re.fullmatch(r"-?\d+", label) for label in found):
        return sorted(found, key=lambda label: (int(label), label))
    return sorted(found)


class LabelIds:
    """Ids of a list of labels."""

    def __init__(self, labels: Sequence[str]) -> None:
        self.labels = list(labels)
        self._ids = {label: index for index, label in enumerate(self.labels)}

    def __len__(self) -> int:
        return len(self.labels)

    def id(self, label: str, where: str) -> int:
        """The label's id. Raises UserError, naming ``where``, for one that the list lacks."""
        if label not in self._ids:
            near = difflib.get_close_matches(label, self.labels, n=1)
            shown = ", ".join(self.labels[:20]) + (", ..." if len(self.labels) > 20 else "")
            raise UserError(
                f"{where}: unknown label '{label}'"
                + (f", did you mean '{near[0]}'?" if near else ".")
                + f" The training data or Task.labels give: {shown}"
            )
        return self._ids[label]


class LabelledTask(Task):
    """A task over the labels of ``Task.labels`` or, where that is null, of the training data."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.labels = LabelIds(self.options.labels or [])

    def set_labels(self, labels: Sequence[str]) -> None:
        """Fixes the list of labels, in id order."""
        self.labels = LabelIds(labels)
        self.options = self.options.model_copy(update={"labels": self.labels.labels})

    def head(self) -> dict[str, Any]:
        return {"num_labels": len(self.labels)}
