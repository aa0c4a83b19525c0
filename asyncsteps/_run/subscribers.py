"""Delivers events to a callable of the user's, which can neither break nor block a run."""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Protocol

import anyio

from asyncsteps._events.base import Event, OnEvent
from asyncsteps._events.of_runs import EventsDropped
from asyncsteps._run.on_loop import begin_apart
from asyncsteps._tasks.shield import until_done

logger = logging.getLogger("asyncsteps")

WAITING_AT_MOST = 10_000
"""Events that wait for one ``async def``, at most: beyond that the oldest are dropped."""

_SLOW = 0.1
"""Seconds that a plain function may hold the event loop before the log tells of it."""

_IN_A_ROW = 100
"""Events that are delivered before other tasks have a turn."""

_CANCELLING = 1.0
"""Seconds in which an ``async def`` that is cancelled must end."""


class Subscriber(Protocol):
    """Gets the events of a run."""

    def put(self, event: Event) -> None:
        """Take an event; nothing is raised, and nothing awaited."""
        ...

    def start(self) -> None:
        """Begin, on the running event loop."""
        ...

    def stop(self) -> None:
        """End at once: nothing can be awaited."""
        ...

    async def finish(self, deadline: float) -> None:
        """Deliver what waits, until ``deadline`` on the clock of the event loop."""
        ...


class _Troubles:
    """Tells of what is wrong with a callable, the first time."""

    def __init__(self, callback: OnEvent) -> None:
        self._callback = callback
        self._told: set[str] = set()

    def failed(self, event: Event, error: BaseException) -> None:
        if self._first("failed"):
            told = "on_event %r failed at %s; further failures are not told"
            logger.error(told, self._callback, event.kind, exc_info=error)

    def slow(self, event: Event, seconds: float) -> None:
        if seconds > _SLOW and self._first("slow"):
            logger.warning(
                "on_event %r held the event loop for %.1f s at %s: make it an 'async def' that waits elsewhere",
                *(self._callback, seconds, event.kind),
            )

    def not_async(self, event: Event) -> None:
        if self._first("not async"):
            logger.error(
                "on_event %r returned a coroutine at %s, which nobody awaits: make it an 'async def'",
                *(self._callback, event.kind),
            )

    def dropped(self, number: int) -> None:
        if self._first("dropped"):
            logger.warning(
                "on_event %r is too slow: %d events were dropped; it is told of each time", self._callback, number
            )

    def unfinished(self, number: int, seconds: float) -> None:
        logger.warning(
            "on_event %r is cancelled: %d events were not delivered within %.1f s of the end of the run",
            *(self._callback, number, seconds),
        )

    def _first(self, trouble: str) -> bool:
        first = trouble not in self._told
        self._told.add(trouble)
        return first


class Inline:
    """Calls a plain function at once, where the event happens.

    Args:
        callback: The function.
    """

    def __init__(self, callback: OnEvent) -> None:
        self._callback = callback
        self._troubles = _Troubles(callback)

    def put(self, event: Event) -> None:
        """Call it."""
        began = monotonic()
        try:
            result = self._callback(event)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # noqa: BLE001 - logged; it is none of the run's
            self._troubles.failed(event, error)
            return
        if asyncio.iscoroutine(result):
            result.close()
            self._troubles.not_async(event)
        self._troubles.slow(event, monotonic() - began)

    def start(self) -> None:
        """There is nothing to begin."""

    def stop(self) -> None:
        """There is nothing to end."""

    async def finish(self, deadline: float) -> None:
        """There is nothing that waits."""


class Queued:
    """Calls an ``async def`` in a task of its own, one event after the other.

    Args:
        callback: The function.
        waiting_at_most: How many events may wait for it.
    """

    def __init__(
        self, callback: Callable[[Event], Awaitable[object]], *, waiting_at_most: int = WAITING_AT_MOST
    ) -> None:
        self._callback = callback
        self._at_most = waiting_at_most
        self._waiting: deque[Event] = deque()
        self._dropped = 0
        self._troubles = _Troubles(callback)
        self._news = asyncio.Event()
        self._closing = False
        self._task: asyncio.Task[None] | None = None

    def put(self, event: Event) -> None:
        """Have it wait; drop the oldest that waits if there are too many."""
        if len(self._waiting) >= self._at_most:
            self._waiting.popleft()
            self._dropped += 1
        self._waiting.append(event)
        self._news.set()

    def start(self) -> None:
        """Begin, in a context of its own: it is part of no step or span."""
        self._task = begin_apart(self._deliver())

    def stop(self) -> None:
        """Cancel it."""
        if self._task is not None:
            self._task.cancel()

    async def finish(self, deadline: float) -> None:
        """Deliver what waits, and cancel what is not delivered in time."""
        task, time = self._task, asyncio.get_running_loop().time
        if task is None:
            return
        began, self._closing = time(), True
        self._news.set()
        with anyio.move_on_after(max(0.0, deadline - began)):
            await until_done(task)
            if self._waiting:  # it was cancelled: `asyncio.run` cancels all that is left, the run and this
                task = begin_apart(self._deliver())
                await until_done(task)
        undelivered = len(self._waiting) + (not task.done())
        if undelivered:
            self._troubles.unfinished(undelivered, time() - began)
        if not task.done():
            task.cancel()
            await asyncio.wait([task], timeout=_CANCELLING)
            if not task.done():
                logger.error("on_event %r goes on although it is cancelled: it is left behind", self._callback)

    async def _deliver(self) -> None:
        while True:
            for _ in range(_IN_A_ROW):
                if not self._waiting:
                    break
                await self._call(self._next())
            if self._waiting:
                await asyncio.sleep(0)
            elif self._closing:
                return
            else:
                self._news.clear()
                await self._news.wait()

    def _next(self) -> Event:
        if not self._dropped:
            return self._waiting.popleft()
        number, self._dropped = self._dropped, 0
        self._troubles.dropped(number)
        first = self._waiting[0]
        return EventsDropped(run_id=first.run_id, workflow_id=first.workflow_id, at=first.at, number=number)

    async def _call(self, event: Event) -> None:
        try:
            await self._callback(event)
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            self._troubles.failed(event, error)
        except (KeyboardInterrupt, SystemExit, GeneratorExit):
            raise
        except BaseException as error:  # noqa: BLE001 - logged; the `RunStopped` of what it submits, for one
            self._troubles.failed(event, error)
