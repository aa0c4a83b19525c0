"""How often SWF is asked: one rate for all that is followed, and an interval for each execution."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import anyio

from asyncsteps.swf._client.errors import SwfInputError

SLOWEST = 1 / 64
"""How far throttling slows the rate down, as a share of what was asked for."""

RECOVERY = 1 / 50
"""What an answer that was not throttled gives back of the rate, as a share of what was asked for."""

GROWTH = 1.5
"""What an execution's interval grows by when a poll brings nothing new."""


@dataclass(frozen=True, slots=True)
class PollLimits:
    """How often followed executions are polled.

    Attributes:
        per_second: The most history requests a second, over all followed executions.
        shortest: Seconds between two polls of an execution that brings news.
        longest: Seconds between two polls of an execution that brings none for long.
        patience: Seconds for which polls may fail (unreachable, throttled) before who waits is told.
    """

    per_second: float
    shortest: float
    longest: float
    patience: float

    def __post_init__(self) -> None:
        if self.per_second <= 0:
            raise SwfInputError(f"polls_per_second must be more than 0, not {self.per_second!r}")
        if not 0 < self.shortest <= self.longest:
            raise SwfInputError(
                "min_poll_interval must be more than 0 and at most max_poll_interval, "
                f"not {self.shortest!r} and {self.longest!r}"
            )
        if self.patience < 0:
            raise SwfInputError(f"poll_patience must not be negative, not {self.patience!r}")

    def next_interval(self, interval: float, *, news: bool) -> float:
        """The seconds until an execution is polled again, after a poll that came after ``interval`` seconds."""
        return self.shortest if news else min(interval * GROWTH, self.longest)


class PollRate:
    """Turns, first come first served, evenly spaced; halved when SWF throttles, and slowly won back.

    Args:
        per_second: The most turns a second.
        clock: Gives the time in seconds.
        sleep: Waits so many seconds.
    """

    def __init__(
        self,
        per_second: float,
        *,
        clock: Callable[[], float] = anyio.current_time,
        sleep: Callable[[float], Awaitable[object]] = anyio.sleep,
    ) -> None:
        self.per_second = per_second
        self._ceiling = per_second
        self._clock = clock
        self._sleep = sleep
        self._next = 0.0
        self._slowed = float("-inf")

    async def turn(self) -> None:
        """Wait for the next turn."""
        now = self._clock()
        at = max(now, self._next)
        self._next = at + 1 / self.per_second
        if at > now:
            await self._sleep(at - now)

    def throttled(self) -> bool:
        """Halve the rate, at most once a second, for one throttling is seen by many; whether it was halved."""
        now = self._clock()
        if now - self._slowed < 1:
            return False
        self._slowed = now
        self.per_second = max(self.per_second / 2, self._ceiling * SLOWEST)
        return True

    def answered(self) -> None:
        """Win back some of the rate."""
        self.per_second = min(self.per_second + self._ceiling * RECOVERY, self._ceiling)
