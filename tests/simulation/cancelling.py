"""The cancellations that a program asks for, so that none comes out of the engine that nobody has asked for."""

import asyncio
from contextvars import ContextVar
from typing import Any

AGAIN = 10.0
"""Seconds after which a task is cancelled again: a task group of asyncio may swallow a cancellation."""


class Asked:
    """Whether a cancellation was asked for of what is done for one submission of a lane.

    Of all of it: a task group of asyncio that fails leaves its task with a request too many before Python 3.13, so
    that the timeouts around it let their own cancellations out.
    """

    def __init__(self) -> None:
        self.any = False


asked: ContextVar[Asked] = ContextVar("simulation_asked")
"""That of the submission which the current code is done for."""


class Cancellation:
    """Cancels a task after some seconds, and again until it ends or this is stopped."""

    def __init__(self, seconds: float, task: asyncio.Task[Any]) -> None:
        self.sent = 0
        self._asked = asked.get()
        self._task = task
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(seconds, self._cancel)
        task.add_done_callback(lambda _: self._timer.cancel())

    def _cancel(self) -> None:
        self.sent += 1
        self._asked.any = True
        self._task.cancel()
        self._timer = self._loop.call_later(AGAIN, self._cancel)

    def stop(self) -> None:
        """Cancel no more, and take back what was asked for."""
        self._timer.cancel()
        for _ in range(self.sent):
            self._task.uncancel()
