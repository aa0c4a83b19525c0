"""The progress of a run on stderr: live on a terminal, plain lines elsewhere."""

from __future__ import annotations

import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, Protocol

import asyncsteps
from asyncsteps.cli import _output
from asyncsteps.cli._logging import Level, logs_to
from asyncsteps.cli._styled import STYLES, Line, duration, is_capable, line
from asyncsteps.cli._tally import Tally

_SHOWN_REASONS: Final = 3
_WORDS: Final = {"completed": "played"}

_LONG_QUEUE: Final = 1.0
"""Shorter times in the queue, in seconds, are not printed."""

_FAILURE_SHOWN: Final = 200
"""How many characters of an error are shown when it comes; the summary has more."""

_AT_ONCE: Final = 200
"""How many markers are counted before other threads may go on."""


def _now() -> datetime:
    return datetime.now(UTC)


class Followed(Protocol):
    """What is followed, as far as its markers do not tell."""

    @property
    def under_way(self) -> tuple[str, ...]:
        """The names of the steps that run."""
        ...

    @property
    def queued(self) -> tuple[str, ...]:
        """The names of the steps that wait for a slot."""
        ...


class Follower:
    """Called with each marker of a run; this one prints nothing.

    Attributes:
        run: The run, once there is one.
    """

    run: Followed | None = None

    def __call__(self, marker: asyncsteps.Marker) -> None:
        """Take a marker."""


def because(reasons: Sequence[str], *, forced: bool = False) -> str:
    """Return the first few reasons of a decision as a suffix to the step's name."""
    if forced and not reasons:
        return " (forced)"
    told = asyncsteps.journal.collapsed(reasons)
    more = ""
    if len(told) > _SHOWN_REASONS + 1:
        more = f"; and {len(told) - _SHOWN_REASONS:,} more"
        told = told[:_SHOWN_REASONS]
    return f": {_output.unbroken('; '.join(told))}{more}" if told else ""


class Plain(Follower):
    """Progress as one line for each step that is scheduled or ends."""

    def __init__(self) -> None:
        self._scheduled: dict[str, datetime] = {}

    def __call__(self, marker: asyncsteps.Marker) -> None:
        """Print the line for a marker."""
        details = step_details(marker)
        if details is None:
            return
        step, status = _output.unbroken(details["step"]), details["status"]
        if status == "scheduled":
            self._scheduled[step] = marker.at
            forced = f" (forced{because(details['reasons'])})" if details["forced"] else ""
            _output.say(f"scheduled {step}{forced}")
            return
        scheduled = self._scheduled.pop(step, None)
        took = ""
        if scheduled is not None and marker.started is not None:
            took = f" in {(marker.at - marker.started).total_seconds():.2f} s"
            queued = (marker.started - scheduled).total_seconds()
            took += f" after {queued:.0f} s in the queue" if queued >= _LONG_QUEUE else ""
        why = because(details["reasons"], forced=details["forced"]) if status == "skipped" else ""
        _output.say(f"{_WORDS.get(status, status)} {step}{took}{why}")


class Lively(Follower):
    """Progress as a display at the bottom of a terminal, which is drawn again and again.

    Args:
        clock: Tells the time, as markers do.
        ascii_only: Whether the terminal shows no more than ASCII.
    """

    def __init__(self, *, clock: Callable[[], datetime] = _now, ascii_only: bool = False) -> None:
        self._clock = clock
        self._ascii_only = ascii_only
        self._tally = Tally(clock())
        self._news: deque[asyncsteps.Marker] = deque()
        self.above: Callable[[Line], object] = lambda _: None

    def __call__(self, marker: asyncsteps.Marker) -> None:
        """Take a marker, to be counted by the thread that draws: the run does not wait for it."""
        self._news.append(marker)

    def drawn(self, width: int, height: int) -> list[Line]:
        """Count what has come since the last drawing; return the lines of the display."""
        from asyncsteps.cli._display import drawn

        for number in range(1, len(self._news) + 1):
            self._count(self._news.popleft())
            if number % _AT_ONCE == 0:
                time.sleep(0)  # the event loop goes on
        now = self._clock()
        self._tally.look(self.run.under_way if self.run is not None else (), now)
        return drawn(self._tally, now, width, height, ascii_only=self._ascii_only)

    def _count(self, marker: asyncsteps.Marker) -> None:
        details = step_details(marker)
        if details is None:
            return
        self._tally.take(details, marker.at)
        if details["status"] == "failed":
            self.above(failure(marker))


def failure(marker: asyncsteps.Marker) -> Line:
    """Return the line that tells of a step's failure when it comes."""
    details = marker.details
    took = f" after {duration(marker.seconds)}" if marker.seconds is not None else ""
    took += f" and {marker.attempts:,} attempts" if marker.attempts > 1 else ""
    error = _output.one_line(details.get("error") or "no error is told", at_most=_FAILURE_SHOWN)
    return line(("failed ", STYLES["failed"]), _output.unbroken(details["step"]), took, f": {error}")


def step_details(marker: asyncsteps.Marker) -> Mapping[str, Any] | None:
    """Return the details of a step's marker, or None for a user's marker."""
    return marker.details if marker.name == asyncsteps.STEP_MARKER else None


@contextmanager
def followed(*, quiet: bool, with_traceback: bool, log_level: Level | None = None) -> Iterator[Follower]:
    """Follow a run: yield a callable for its markers, and print what is logged.

    Args:
        quiet: Whether to print only warnings and errors.
        with_traceback: Whether to print failures with their tracebacks.
        log_level: From which level on what the target logs is printed.
    """
    logs = partial(logs_to, level=log_level, with_traceback=with_traceback)
    if quiet or not is_capable(sys.stderr) or os.environ.get("CI", "").lower() not in {"", "0", "false"}:
        with logs(_output.say):
            yield Follower() if quiet else Plain()
        return
    from asyncsteps.cli._region import Region

    lively = Lively(ascii_only=not (sys.stderr.encoding or "").lower().startswith("utf"))
    region = Region(lively.drawn)
    lively.above = region.above
    with region.shown(), logs(_output.say, failures=with_traceback):
        yield lively
