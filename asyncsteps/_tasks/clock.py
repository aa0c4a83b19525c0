"""The clock of a running activity, which stands still while the activity waits for a slot."""

from asyncsteps._tasks.scope import Deadline


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
