"""Turns of the event loop for others while a run submits on and on without waiting for anything."""

import asyncio
from collections import deque

_SLICE = 0.002
"""Seconds of a turn of the event loop after which what is submitted waits for the next one."""


class Turns:
    """Bounds how long a run holds up the event loop, however many tasks submit.

    The loop runs all tasks that are ready before it looks at timers and sockets. So each task that submits when a
    turn has lasted for long waits in a queue, and each turn takes as many from it as went on in the last one.

    Attributes:
        number: The number of turns that have ended.
    """

    __slots__ = ("_began", "_queue", "_went_on", "number")

    def __init__(self) -> None:
        self.number = 0
        self._began: float | None = None
        self._went_on = 0
        self._queue: deque[asyncio.Future[None]] = deque()

    def is_over(self) -> bool:
        """Whether the current task should `wait`, because this turn has lasted for long."""
        loop = asyncio.get_running_loop()
        if self._began is None:
            self._begin(loop)
        elif loop.time() - self._began > _SLICE:
            return True
        self._went_on += 1
        return False

    async def wait(self) -> None:
        """Wait until the loop has had its turn, and those that have waited for longer."""
        future = asyncio.get_running_loop().create_future()
        self._queue.append(future)
        await future

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        self._began, self._went_on = loop.time(), 0
        loop.call_soon(self._next, loop)

    def _next(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin the next turn, if any task waits for it: this is called once the loop has had its own."""
        self.number += 1
        self._began, most = None, max(1, self._went_on)
        while self._queue and most:
            future = self._queue.popleft()
            if not future.done():  # else what waited was cancelled
                future.set_result(None)
                most -= 1
        if self._queue:
            self._begin(loop)
