"""Limits of the number of requests per client: token buckets with bounded memory."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

_CLIENTS = 10_000


class RateLimit:
    """Allow each client a sustained rate with bursts.

    Args:
        per_second: Sustained requests per second.
        burst: Requests that a client may make at once after a pause.
        clock: Seconds from any origin.
    """

    def __init__(self, per_second: float, burst: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = per_second
        self._burst = max(burst, 1.0)
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, client: str) -> float:
        """Count one request of a client; return 0 if it is allowed, otherwise the seconds until one will be."""
        now = self._clock()
        left, at = self._buckets.pop(client, (self._burst, now))
        left = min(self._burst, left + (now - at) * self._rate)
        allowed = left >= 1
        self._buckets[client] = (left - 1 if allowed else left, now)
        while len(self._buckets) > _CLIENTS:  # the client that was silent longest has a full bucket anyway
            self._buckets.popitem(last=False)
        return 0.0 if allowed else (1 - left) / self._rate
