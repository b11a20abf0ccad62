"""Parts of a data set that share nothing and stay the same however the data is read."""

from __future__ import annotations

from hashlib import sha256

#: The percentiles [first, last) of a part.
Percent = tuple[int, int]


def percentile(key: bytes) -> int:
    """From 0 to 99, by a hash of what tells a piece of data from the others."""
    return int.from_bytes(sha256(key).digest(), "big") % 100
