"""How many requests may be under way at once: as many as the server bears, found out as TCP does.

The limit doubles with each round trip while the latency stays low and until the server first throttles, and else
rises by a few. It is halved when the server throttles, and when the latency has tripled, as requests then wait in
some queue.

A queue of this process says nothing of the server: an answer waits to be read while the event loop is busy, or the
processor with something else. So while as many requests are under way as may be, a timer is watched, too. What it
is late is taken off the latency.

Latency is noisy, so a round trip is told by its median, and compared with the lowest median so far of the same
operation. Two high ones in a row halve the limit, one alone is a stall. If the latency does not fall then, it was
not for this client's sake: the limit is restored, and that latency is the one to compare with. If it falls, that
may be chance: so the limit may double again.
"""

import asyncio
from dataclasses import dataclass
from statistics import median_low

from asyncsteps.store._budget import loop_time
from asyncsteps.store._s3.turns import Turns

LEAST = 8
"""The limit is never lower, unless the caller's bound is."""

_START = 64
_STEP = 4
"""By how much the limit rises with a round trip when it does not double."""

_ROUND_TRIP = 0.1
"""How many seconds a round trip takes, while that is unknown."""

_FEWEST_LATENCIES = 32
"""How many requests tell a latency, at least."""

_LOW = 1.25
"""A latency is low below this many times the lowest one."""

_HIGH = 3.0
"""A latency is high at this many times the lowest one."""

_LONG = "delete_objects"
"""Takes as long as it has keys to delete, which says nothing of the load."""

_FALLEN = 0.75
"""A latency has fallen at this many times the one before."""

_BEAT = 0.005
"""Seconds between two looks at how late the event loop is."""

_LATE = 1.3
"""How many times as late as a timer an answer is: it is read in one turn of the loop, and handled in the next."""


@dataclass(frozen=True, slots=True)
class _Halving:
    """A halving on account of latency, to be judged by the next round trip."""

    limit: float
    latency: float


class AdaptiveLimit:
    """The limit of the requests to one bucket.

    Args:
        most: The upper bound.

    Attributes:
        turns: Gives out the turns.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._least = min(LEAST, most)
        self.turns = Turns(min(most, _START))
        self._doubles = True
        self._since = -1.0
        self._peak = 0
        self._lags: list[float] = []
        self._beating = False
        self._latencies: dict[str, list[float]] = {}
        self._lowest: dict[str, float] = {}
        self._high_before = False
        self._halving: _Halving | None = None

    @property
    def now(self) -> int:
        """The most requests that may be under way now."""
        return self.turns.most

    def throttled(self, begun: float) -> None:
        """Take in that the server refused a request that began at ``begun``, because there were too many.

        A round trip halves it at most once: what began within it has met the load of before.
        """
        if begun >= self._since:
            self._halving = None
            self._doubles = False
            self._halve()

    def answered(self, operation: str, begun: float) -> None:
        """Take in that a request that began at ``begun`` was answered now."""
        if begun < self._since:
            return
        latencies = self._latencies.setdefault(operation, [])
        latencies.append(loop_time() - begun)
        self._peak = max(self._peak, self.turns.taken)
        if not self._beating and self._peak >= self.now and self._most > self._least:
            self._beating = True
            self._await_beat()
        if len(latencies) >= max(_FEWEST_LATENCIES, self.now):
            self._round_trip(operation, median_low(latencies), full=self._peak >= self.now)

    def _round_trip(self, operation: str, latency: float, *, full: bool) -> None:
        """Judge the limit by the latency of a round trip; one that is not reached says nothing."""
        lowest = self._lowest[operation] = min(latency, self._lowest.get(operation, latency))
        if self._lags:
            latency -= min(_LATE * median_low(self._lags), latency / 2)
        halving, self._halving = self._halving, None
        if halving is not None and latency > _FALLEN * halving.latency:
            self._lowest[operation] = latency
            self._set(halving.limit)
        elif not full or latency < _HIGH * lowest:
            self._high_before = False
            doubles = self._doubles and latency < _LOW * lowest
            self._set((self.now * 2 if doubles else self.now + _STEP) if full else self.now)
        elif not self._high_before:
            self._high_before = True
            self._set(self.now)
        elif self.now > self._least:
            self._halving = _Halving(self.now, latency)
            self._halve()
        else:
            self._lowest[operation] = latency  # with the least there is nothing to be gained by less

    def _await_beat(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time() + _BEAT
        loop.call_at(due, self._beat, due)

    def _beat(self, due: float) -> None:
        """Note how late the event loop is, until far fewer requests are under way than may be."""
        self._beating = 2 * self.turns.taken > self.now
        if self._beating:
            self._lags.append(loop_time() - due)
            self._await_beat()

    def _halve(self) -> None:
        self._high_before = False
        self._since = loop_time() + max(self._lowest.values(), default=_ROUND_TRIP)
        self._set(self.now // 2)

    def _set(self, limit: float) -> None:
        """Set the limit, within its bounds, and begin a round trip."""
        self._latencies.clear()
        self._lags.clear()
        self._peak = 0
        limit = max(self._least, min(self._most, int(limit)))
        if limit != self.now:
            self.turns.allow(limit)


class Watch:
    """Tells a limit how the attempts at one request went.

    Attributes:
        begun: When the last one began.
    """

    __slots__ = ("_limit", "begun")

    def __init__(self, limit: AdaptiveLimit) -> None:
        self._limit = limit
        self.begun = loop_time()

    def begins(self) -> None:
        """An attempt begins."""
        self.begun = loop_time()

    def throttled(self) -> None:
        """The server asks to slow down."""
        self._limit.throttled(self.begun)

    def answered(self, operation: str) -> None:
        """The request was answered."""
        if operation != _LONG:
            self._limit.answered(operation, self.begun)
