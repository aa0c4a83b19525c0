"""The clock of a running activity, which stands still while the activity waits for a slot."""

import asyncio
from types import TracebackType
from typing import Self

import anyio


class Clock:
    """Counts the time in which an activity runs, not the time in which anything within it waits for a slot."""

    def __init__(self) -> None:
        self._deadlines: list[Deadline] = []
        self._pauses = 0

    def deadline(self, seconds: float) -> "Deadline":
        """Cancel the block after ``seconds`` on this clock."""
        return Deadline(self._deadlines, seconds)

    def pause(self) -> None:
        """Stop the clock until `unpause` has been called as often as this."""
        self._pauses += 1
        if self._pauses == 1:
            for deadline in self._deadlines:
                deadline.pause()

    def unpause(self) -> None:
        """Let the clock go on."""
        self._pauses -= 1
        if self._pauses == 0:
            for deadline in self._deadlines:
                deadline.unpause()


class Deadline:
    """The block of `Clock.deadline`; a generator's would set attributes of the errors that pass through it.

    Args:
        deadlines: Those of the same clock.
        seconds: How long it lasts, from its beginning or the last `restart`.

    Attributes:
        seconds: As given.
        passed: Whether the block was ended by it.
    """

    def __init__(self, deadlines: "list[Deadline]", seconds: float) -> None:
        self.seconds = seconds
        self.passed = False
        self._deadlines = deadlines
        self._scope = anyio.CancelScope()
        self._restarted = self._known = self._paused_at = self._paused = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._scope.__enter__()
        self._restarted = self._known = self._loop.time()
        self._deadlines.append(self)
        self._timer = self._loop.call_later(self.seconds, self._look)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        self._deadlines.remove(self)
        self._stop()
        self.passed = bool(self._scope.__exit__(exc_type, exc_value, traceback))
        return self.passed

    def restart(self) -> None:
        """Count from now on. Called from any thread, and as often as a loop does: it only notes the time."""
        self._restarted = self._loop.time()

    def pause(self) -> None:
        """Let no time pass."""
        self._stop()
        self._paused_at = self._loop.time()

    def unpause(self) -> None:
        """Let time pass again."""
        began = self._last()
        self._paused += self._loop.time() - max(began, self._paused_at)
        self._look()

    def _last(self) -> float:
        """When it was last begun; pauses before that are none of its own."""
        if self._restarted != self._known:
            self._known, self._paused = self._restarted, 0.0
        return self._known

    def _look(self) -> None:
        left = self._last() + self._paused + self.seconds - self._loop.time()
        if left > 0:
            self._timer = self._loop.call_later(left, self._look)
        else:
            self._scope.cancel()

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
