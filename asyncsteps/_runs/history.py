"""The last events of a run, numbered, for any number of followers."""

import asyncio
from collections import deque
from typing import NamedTuple, Self

from asyncsteps._events.base import Event
from asyncsteps._events.of_runs import EventsDropped


class Followed(NamedTuple):
    """An event, as a follower gets it.

    Attributes:
        number: Its number, from 1; give it as ``after`` to go on behind it.
        event: The event.
    """

    number: int
    event: Event


class History:
    """The last events of one run.

    Args:
        at_most: How many are kept.
    """

    def __init__(self, at_most: int) -> None:
        self._events: deque[Event] = deque(maxlen=at_most)
        self._waiters: set[asyncio.Future[None]] = set()
        self.number = 0
        """The number of the last event."""
        self.ended = False

    def put(self, event: Event) -> None:
        """Take an event."""
        self.number += 1
        self._events.append(event)
        self._wake()

    def end(self) -> None:
        """Take no more: followers end behind the last one."""
        self.ended = True
        self._wake()

    def _wake(self) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._waiters.clear()

    async def following(self, after: int) -> Followed | None:
        """Return the next event behind number ``after``, waiting for it; None behind the last of all."""
        while after >= self.number:
            if self.ended:
                return None
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.add(waiter)
            try:
                await waiter
            finally:
                self._waiters.discard(waiter)
        first = self.number - len(self._events) + 1
        if after + 1 < first:
            event = self._events[0]
            missed = EventsDropped(
                run_id=event.run_id, workflow_id=event.workflow_id, at=event.at, number=first - 1 - after
            )
            return Followed(first - 1, missed)
        return Followed(after + 1, self._events[after + 1 - first])


class Followers:
    """Iterates over the events of a run: those that were, then those that come, until it has ended.

    Args:
        history: The events.
        after: The number of the event to begin behind.
    """

    def __init__(self, history: History, after: int) -> None:
        self._history = history
        self._after = after

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Followed:
        followed = await self._history.following(self._after)
        if followed is None:
            raise StopAsyncIteration
        self._after = followed.number
        return followed
