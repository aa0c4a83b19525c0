"""The clock of a running activity, which stands still while the activity waits for a slot."""

import math
from types import TracebackType

import anyio


class Clock:
    """Counts the time in which an activity runs, not the time in which anything within it waits for a slot."""

    def __init__(self) -> None:
        self._scope: anyio.CancelScope | None = None
        self._pauses, self._left = 0, math.inf

    def deadline(self, seconds: float) -> "_Deadline":
        """Cancel the block after ``seconds`` on this clock."""
        return _Deadline(self, seconds)

    def pause(self) -> None:
        """Stop the clock until `unpause` has been called as often as this."""
        self._pauses += 1
        if self._scope is not None and self._pauses == 1:
            self._left = self._scope.deadline - anyio.current_time()
            self._scope.deadline = math.inf

    def unpause(self) -> None:
        """Let the clock go on."""
        self._pauses -= 1
        if self._scope is not None and self._pauses == 0:
            self._scope.deadline = anyio.current_time() + self._left

    def watch(self, scope: anyio.CancelScope | None) -> None:
        """Stop and restart the deadline of ``scope`` with the clock; None: that of no scope."""
        self._scope = scope


class _Deadline:
    """The block of `Clock.deadline`; a generator's would set attributes of the errors that pass through it."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock = clock
        self._scope = anyio.move_on_after(seconds)

    def __enter__(self) -> anyio.CancelScope:
        scope = self._scope.__enter__()
        self._clock.watch(scope)
        return scope

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        self._clock.watch(None)
        return bool(self._scope.__exit__(exc_type, exc_value, traceback))
