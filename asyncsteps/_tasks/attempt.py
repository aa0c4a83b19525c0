"""An attempt at an activity, as a block that what is called or started in it can find."""

import json
import threading
from collections.abc import Callable, Mapping
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Any, Protocol

from asyncsteps._errors import ActivityTimeoutError, StepNoteError
from asyncsteps._tasks.attributes import ActivityAttributes
from asyncsteps._tasks.clock import Clock, Deadline

NOTES_AT_MOST = 16_384
"""The most characters of JSON that the notes of one step may have, their names included."""

_writing = threading.Lock()
"""Held while notes are written: activities may be in any thread."""


class StepNotes:
    """The notes of one step.

    Attributes:
        length: The characters of JSON of all, those of attempts under way included.
    """

    __slots__ = ("_kept", "length")

    def __init__(self) -> None:
        self._kept: dict[str, tuple[Any, int]] = {}
        self.length = 0

    def keep(self, name: str, value: Any, length: int) -> None:
        """Keep a note of an attempt that has succeeded, in the place of another of its name."""
        if name in self._kept:
            self.length -= self._kept[name][1]
        self._kept[name] = value, length

    @property
    def values(self) -> dict[str, Any]:
        """What is kept."""
        return {name: value for name, (value, _) in self._kept.items()}


class Played(Protocol):
    """An activity task."""

    @property
    def name(self) -> str:
        """The activity's name."""
        ...

    @property
    def attributes(self) -> ActivityAttributes:
        """The activity's attributes."""
        ...


class Attempt:
    """The block of an attempt at an activity.

    Leaving it raises `ActivityTimeoutError` when no `beat` has come for the activity's ``heartbeat_timeout``.

    Args:
        task: The activity task.
        number: The number of the attempt, from 1.
        identity: ``run_id`` and ``workflow_id``, where there is a run.
        step: The step's name.
        notes: Returns the notes of the step.
        clock: Returns the clock that heartbeats are timed by; None: they are not.

    Attributes:
        task: As given.
        number: As given.
        identity: As given.
        step: As given.
        outer: The attempt that it is made within.
        ended: Whether it has ended.
    """

    __slots__ = ("_beats", "_noted", "_notes", "_token", "ended", "identity", "number", "outer", "step", "task")

    def __init__(
        self,
        task: Played,
        number: int = 1,
        *,
        identity: Mapping[str, Any] | None = None,
        step: str | None = None,
        notes: Callable[[], StepNotes] | None = None,
        clock: Callable[[], Clock] | None = None,
    ) -> None:
        self.task = task
        self.number = number
        self.identity = identity
        self.step = step
        self.outer = innermost()
        self.ended = False
        self._notes = notes or StepNotes
        self._noted: dict[str, tuple[Any, int]] | None = None
        seconds = task.attributes.heartbeat
        self._beats: Deadline | None = (
            None if seconds is None or clock is None else Deadline(seconds, clock(), from_restart=True)
        )
        self._token: Token[Attempt | None] | None = None

    def __enter__(self) -> None:
        self._token = _current.set(self)
        if self._beats is not None:
            self._beats.__enter__()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._token is not None
        _current.reset(self._token)
        beats = self._beats
        if beats is not None:
            beats.__exit__(exc_type, exc_value, traceback)
        with _writing:
            self.ended = True
        if self._noted is not None:
            self._conclude(self._noted, succeeded=exc_type is None)
        if beats is not None and beats.overrun:
            raise ActivityTimeoutError(self.task.name, "heartbeat_timeout", beats.seconds)

    def beat(self) -> None:
        """Begin the time anew that may pass until the next, here and in the attempts around."""
        attempt: Attempt | None = self
        while attempt is not None:
            attempt.restart()
            attempt = attempt.outer

    def restart(self) -> None:
        """Begin the time anew, here alone."""
        if self._beats is not None and not self.ended:
            self._beats.restart()

    def note(self, given: Mapping[str, Any]) -> None:
        """Keep notes, if the attempt succeeds.

        Raises:
            StepNoteError: When one is no JSON, when they are too long, or when the attempt has ended.
        """
        checked = {name: self._checked(name, value) for name, value in given.items()}
        with _writing:
            if self.ended:
                raise StepNoteError(str(self), ", ".join(given), "the attempt has ended")
            mine, notes = self._noted or {}, self._all_notes()
            longer = sum(length for _, length in checked.values())
            longer -= sum(length for name, (_, length) in mine.items() if name in checked)
            if notes.length + longer > NOTES_AT_MOST:
                raise StepNoteError(
                    str(self),
                    ", ".join(given),
                    f"with it the step's notes would have {notes.length + longer:,} characters of JSON, and at "
                    f"most {NOTES_AT_MOST:,} are kept; note the place where the rest is stored",
                )
            notes.length += longer
            self._noted = mine | checked or None

    def _all_notes(self) -> StepNotes:
        """The notes of the step; outside of steps those of this attempt, the same each time."""
        notes = self._notes()
        self._notes = lambda: notes
        return notes

    def _checked(self, name: str, value: Any) -> tuple[Any, int]:
        """Return a value as it is read back from JSON, and its length with its name."""
        try:
            told = json.dumps(value, allow_nan=False)
            return json.loads(told), len(told) + len(json.dumps(name))
        except Exception as error:  # an object of the caller's own may raise anything
            raise StepNoteError(str(self), name, f"its value is no JSON: {error}") from error

    def _conclude(self, noted: Mapping[str, tuple[Any, int]], *, succeeded: bool) -> None:
        """Keep the notes of an attempt that has succeeded; drop those of one that has failed."""
        notes = self._all_notes()
        with _writing:
            for name, (value, length) in noted.items():
                if succeeded:
                    notes.keep(name, value, length)
                else:
                    notes.length -= length

    @property
    def has_notes(self) -> bool:
        """Whether there are notes of this attempt."""
        return self._noted is not None

    @property
    def noted(self) -> dict[str, Any]:
        """The notes of this attempt."""
        return {name: value for name, (value, _) in (self._noted or {}).items()}

    def __str__(self) -> str:
        return f"activity {self.task.name}" if self.step is None else f"step {self.step!r}"


_current: ContextVar[Attempt | None] = ContextVar("asyncsteps_current_attempt", default=None)
"""The attempt that the current code was started by; a task may outlive it."""


def innermost() -> Attempt | None:
    """Return the innermost attempt that the current code belongs to and that has not ended."""
    attempt = _current.get()
    while attempt is not None and attempt.ended:
        attempt = attempt.outer
    return attempt
