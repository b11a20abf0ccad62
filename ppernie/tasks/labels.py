"""Lists of labels and their ids."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence

from ppernie.errors import UserError


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
