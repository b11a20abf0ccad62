"""How patient a download is."""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True)
class Policy:
    """Limits of a download. Times are seconds.

    Attributes:
        attempts: requests to one address, whatever comes of them.
        fruitless: requests to one address that bring no new byte, one after the other.
        connect_timeout: to reach a server.
        read_timeout: between two pieces of an answer.
        header_timeout: to the end of an answer's header.
        stall_window: over this time a body has to come at ``least_rate`` (bytes a second).
        redirects: from one address to the next.
        backoff: first pause between attempts; it doubles with each that follows.
        longest_pause: of ``backoff``, and of a server's Retry-After.
    """

    attempts: int = 30
    fruitless: int = 5
    connect_timeout: float = 10.0
    read_timeout: float = 30.0
    header_timeout: float = 60.0
    stall_window: float = 30.0
    least_rate: float = 1024.0
    redirects: int = 5
    backoff: float = 1.0
    longest_pause: float = 60.0

    def pause(self, failures: int, asked: float | None) -> float:
        """Seconds to wait after the given number of failures in a row, or as long as the server asked.

        Half of the back-off is drawn at random, so that many machines do not come back in step.
        """
        if asked is not None:
            return min(asked, self.longest_pause)
        return min(self.backoff * 2 ** (failures - 1), self.longest_pause) * random.uniform(0.5, 1)
