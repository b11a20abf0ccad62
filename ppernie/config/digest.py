"""Names of plain values, by which equal ones are found again."""

from __future__ import annotations

import hashlib
import json
from typing import Any


def digest(values: Any) -> str:
    """Twelve hexadecimal digits that differ where the values do; the order of a map's keys does not count."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:12]
