"""The clock of a running activity, which stands still while the activity waits for a slot; and deadlines."""

import asyncio
import math
from types import TracebackType
from typing import Any, Self

import anyio

_BY_SCOPE = "Cancelled via cancel scope "
"""How the message of each cancellation by a scope of anyio begins."""


class Deadline:
    """A block that is cancelled after some seconds, less those in which it is paused.

    It cancels again and again, as `anyio.move_on_after` does. That takes a task for cancelled ever after if the
    block has swallowed a `Task.cancel()`, or if a task group of asyncio has counted one too many: before Python
    3.13 it does when a task fails that it waits for. Here a cancellation counts only if it was asked for after the
    deadline, or is still on its way out of the block.

    Args:
        seconds: How long the block may take.

    Attributes:
        overrun: Whether the deadline has ended the block.
    """

    __slots__ = ("_asked", "_left", "_loop", "_scope", "_task", "_timer", "overrun")

    def __init__(self, seconds: float) -> None:
        self.overrun = False
        self._left = seconds
        self._loop = asyncio.get_running_loop()
        self._scope = anyio.CancelScope()
        self._task: asyncio.Task[Any] | None = asyncio.current_task()
        self._timer: asyncio.TimerHandle | None = None
        self._asked: int | None = None

    def __enter__(self) -> Self:
        self._scope.__enter__()
        self.go_on()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        self.pause()
        # It takes back all requests of its own, unless a scope around it is cancelled.
        caught = bool(self._scope.__exit__(exc_type, exc_value, traceback))
        self.overrun = caught or (
            self._task is not None
            and self._asked == self._task.cancelling()
            and _is_by_scopes(exc_value)
            and anyio.current_effective_deadline() > -math.inf
        )
        return self.overrun

    def pause(self) -> None:
        """Stop counting, until `go_on` is called."""
        if self._timer is not None:
            self._left = self._timer.when() - self._loop.time()
            self._timer.cancel()
            self._timer = None

    def go_on(self) -> None:
        """Count on, if it has stopped."""
        if self._timer is None and self._asked is None:
            self._timer = self._loop.call_later(max(0.0, self._left), self._end)

    def _end(self) -> None:
        assert self._task is not None
        self._timer = None
        self._asked = self._task.cancelling()
        self._scope.cancel()


def _is_by_scopes(error: BaseException | None) -> bool:
    """Whether an error is a cancellation by scopes, and took the place of no other cancellation."""
    if not isinstance(error, asyncio.CancelledError):
        return False
    while isinstance(error, asyncio.CancelledError):
        if not (error.args and str(error.args[0]).startswith(_BY_SCOPE)):
            return False
        error = error.__context__
    return True


class Clock:
    """Counts the time in which an activity runs, not the time in which anything within it waits for a slot."""

    __slots__ = ("_deadline", "_pauses")

    def __init__(self) -> None:
        self._deadline: Deadline | None = None
        self._pauses = 0

    def pause(self) -> None:
        """Stop the clock until `unpause` has been called as often as this."""
        self._pauses += 1
        if self._deadline is not None:
            self._deadline.pause()

    def unpause(self) -> None:
        """Let the clock go on."""
        self._pauses -= 1
        if self._deadline is not None and self._pauses == 0:
            self._deadline.go_on()

    def watch(self, deadline: Deadline | None) -> None:
        """Stop a deadline, and let it go on, with the clock; None: no deadline."""
        self._deadline = deadline
