"""The clock of a running activity, which stands still while the activity waits for a slot; and deadlines."""

import asyncio
from types import TracebackType
from typing import Self

from asyncsteps._tasks.scope import Scope


class Clock:
    """Counts the time in which an activity runs, not the time in which anything within it waits for a slot."""

    __slots__ = ("_deadlines", "_pauses")

    def __init__(self) -> None:
        self._deadlines: tuple[Deadline, ...] = ()
        self._pauses = 0

    def pause(self) -> None:
        """Stop the clock until `unpause` has been called as often as this."""
        self._pauses += 1
        for deadline in self._deadlines:
            deadline.pause()

    def unpause(self) -> None:
        """Let the clock go on."""
        self._pauses -= 1
        if self._pauses == 0:
            for deadline in self._deadlines:
                deadline.go_on()

    def watch(self, deadline: "Deadline") -> None:
        """Stop a deadline, and let it go on, with the clock."""
        self._deadlines = (*self._deadlines, deadline)

    def leave(self, deadline: "Deadline") -> None:
        """Watch a deadline no longer."""
        self._deadlines = tuple(each for each in self._deadlines if each is not deadline)


class Deadline:
    """A block that is cancelled after some seconds, less those in which it is paused.

    Args:
        seconds: How long the block may take, from its beginning or the last `restart`.
        clock: What pauses it.
        from_restart: Whether the time counts from the first `restart` only.

    Attributes:
        seconds: As given.
        overrun: Whether the deadline has ended the block.
    """

    __slots__ = (
        "_began", "_clock", "_counts", "_loop", "_paused", "_paused_at", "_restarted", "_scope", "_timer",
        "overrun", "seconds",
    )  # fmt: skip

    def __init__(self, seconds: float, clock: Clock | None = None, *, from_restart: bool = False) -> None:
        self.seconds = seconds
        self.overrun = False
        self._clock = clock
        self._counts = not from_restart
        self._loop = asyncio.get_running_loop()
        self._scope = Scope()
        self._timer: asyncio.TimerHandle | None = None
        self._began = self._paused = self._paused_at = 0.0
        self._restarted: float | None = None

    def __enter__(self) -> Self:
        self._scope.__enter__()
        self._began = self._loop.time()
        if self._clock is not None:
            self._clock.watch(self)
        self._look()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        if self._clock is not None:
            self._clock.leave(self)
        self.pause()
        self.overrun = self._scope.__exit__(exc_type, exc_value, traceback)
        return self.overrun

    def restart(self) -> None:
        """Count from now on. Called from any thread, and as often as a loop does: it only notes the time."""
        self._restarted = self._loop.time()

    def pause(self) -> None:
        """Stop counting, until `go_on` is called."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._paused_at = self._loop.time()

    def go_on(self) -> None:
        """Count on, if it has stopped; not where what waits is dropped after its loop was closed."""
        if self._timer is None and not self._scope.cancelled and not self._loop.is_closed():
            self._note_restart()
            self._paused += self._loop.time() - max(self._began, self._paused_at)
            self._look()

    def _note_restart(self) -> None:
        """Begin anew when it was last restarted; pauses before that are none of its own."""
        restarted, self._restarted = self._restarted, None
        if restarted is not None:
            self._counts, self._began, self._paused = True, restarted, 0.0

    def _look(self) -> None:
        self._timer = None
        self._note_restart()
        left = self._began + self._paused + self.seconds - self._loop.time() if self._counts else self.seconds
        if left > 0:
            self._timer = self._loop.call_later(left, self._look)
        else:
            self._scope.cancel()
