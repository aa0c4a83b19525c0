"""Polling rates: one rate for all executions, and an interval for each."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import anyio

from asyncsteps.swf._client.errors import SwfInputError

SLOWEST = 1 / 64
"""The lowest rate when throttled, as a share of the configured one."""

RECOVERY = 1 / 50
"""How much of the configured rate is recovered with each answer that was not throttled."""

GROWTH = 1.5
"""The factor by which an execution's interval grows when a poll brings nothing new."""


@dataclass(frozen=True, slots=True)
class PollLimits:
    """How often followed executions are polled.

    Attributes:
        per_second: The most history requests a second, over all followed executions.
        shortest: Seconds between polls of an execution that has news.
        longest: Seconds between polls of an execution that has had none for long.
        patience: Seconds for which polls may fail (unreachable, throttled) before waiting callers get the error.
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
        """Return the seconds until the next poll of an execution whose last interval was ``interval``."""
        return self.shortest if news else min(interval * GROWTH, self.longest)


class PollRate:
    """Limits the rate of polls, first come, first served. Throttling halves the rate, which recovers slowly.

    Args:
        per_second: The most polls a second.
        clock: Returns the time in seconds.
        sleep: Waits for a number of seconds.
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
        """Wait until a poll may be sent."""
        now = self._clock()
        at = max(now, self._next)
        self._next = at + 1 / self.per_second
        if at > now:
            await self._sleep(at - now)

    def throttled(self) -> bool:
        """Halve the rate, at most once a second since one throttling hits many polls; return whether it was."""
        now = self._clock()
        if now - self._slowed < 1:
            return False
        self._slowed = now
        self.per_second = max(self.per_second / 2, self._ceiling * SLOWEST)
        return True

    def answered(self) -> None:
        """Recover some of the rate."""
        self.per_second = min(self.per_second + self._ceiling * RECOVERY, self._ceiling)
