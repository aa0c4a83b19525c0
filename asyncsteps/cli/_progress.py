"""The progress of a run on stderr: live on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol

import asyncsteps
from asyncsteps.cli import _output
from asyncsteps.cli._logging import Level, logs_to

if TYPE_CHECKING:
    from rich.text import Text

_SHOWN_UNDER_WAY: Final = 6
_SHOWN_REASONS: Final = 3
_WORDS: Final = {"completed": "played"}


_LONG_QUEUE: Final = 1.0
"""Shorter times in the queue, in seconds, are not printed."""


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
    if len(reasons) > _SHOWN_REASONS + 1:
        shown = _output.unbroken("; ".join(reasons[:_SHOWN_REASONS]))
        return f": {shown}; and {len(reasons) - _SHOWN_REASONS:,} more"
    return f": {_output.unbroken('; '.join(reasons))}" if reasons else ""


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
    """Progress as one line, updated in place: the counts, and the steps that run or are queued."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def __call__(self, marker: asyncsteps.Marker) -> None:
        """Update the counts."""
        details = step_details(marker)
        if details is None:
            return
        self._counts[details["status"]] += 1

    def __rich__(self) -> Text:
        """Render the line."""
        from rich.text import Text

        text = Text(no_wrap=True, overflow="ellipsis")
        text.append(f"played {self._counts['completed']:,}", style="green")
        text.append(f" · skipped {self._counts['skipped']:,}")
        text.append(f" · failed {self._counts['failed']:,}", style="red" if self._counts["failed"] else "")
        names = self.run.under_way if self.run is not None else ()
        queued = len(self.run.queued) if self.run is not None else 0
        if queued:
            text.append(f" · queued {queued:,}", style="dim")
        if names:
            more = f" +{len(names) - _SHOWN_UNDER_WAY:,}" if len(names) > _SHOWN_UNDER_WAY else ""
            shown = _output.printable(_output.unbroken(", ".join(names[:_SHOWN_UNDER_WAY])))
            text.append(f" · running {len(names):,}: {shown}{more}", style="dim")
        return text


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
    if quiet or not sys.stderr.isatty():
        with logs(_output.say):
            yield Follower() if quiet else Plain()
        return
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    console = Console(stderr=True, soft_wrap=True, markup=False, highlight=False)
    lively = Lively()
    live = Live(lively, console=console, transient=True, redirect_stdout=sys.stdout.isatty(), refresh_per_second=8)
    with live, logs(lambda text: console.print(Text(_output.printable(text)))):
        yield lively
