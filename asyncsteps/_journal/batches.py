"""Makes few lines of what waits to be written: one for most steps, one for many that are skipped alike."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from asyncsteps._plan.model import Marker, Status

Entry = Marker | tuple[str, datetime, Mapping[str, Any]]
"""What waits to be written: a marker, or another event with its time and its members."""

_SCHEDULED, _SKIPPED = Status.SCHEDULED.value, Status.SKIPPED.value


def merged(entries: Sequence[Entry], counts: Counter[str]) -> list[tuple[Entry, datetime | None]]:
    """Return what is to be written, with when a step was scheduled if no line of its own says so.

    A step that was scheduled and has ended has the line of its end. Steps that were skipped as done, one after the
    other, are told in one.

    Args:
        entries: What waits.
        counts: Counts the markers of steps, by status.
    """
    scheduled = _scheduled_and_ended(entries)
    found: list[tuple[Entry, datetime | None]] = []
    names: list[str] = []
    alike: list[str] | None = None
    for number, entry in enumerate(entries):
        if isinstance(entry, tuple) or entry.queued is None:
            found.append((entry, None))
            alike = None
            continue
        details = entry.details
        status = details["status"]
        counts[status] += 1
        if status == _SKIPPED and entry.started is None and not details["forced"]:
            if details["reasons"] != alike:
                names, alike = [], details["reasons"]
                found.append((("skipped", entry.at, {"names": names, "forced": False, "reasons": alike}), None))
            names.append(details["step"])
            continue
        at = scheduled.get(number)
        if at is None or status != _SCHEDULED:
            found.append((entry, at))
            alike = None
    return found


def _scheduled_and_ended(entries: Iterable[Entry]) -> dict[int, datetime]:
    """Return the numbers of markers of steps that were scheduled and have ended, with when they were scheduled."""
    found: dict[int, datetime] = {}
    under_way: dict[str, tuple[int, datetime]] = {}
    for number, entry in enumerate(entries):
        if isinstance(entry, tuple) or entry.queued is None:
            continue
        step, status = entry.details["step"], entry.details["status"]
        if status == _SCHEDULED:
            under_way[step] = (number, entry.at)
        elif step in under_way:
            first, at = under_way.pop(step)
            found[first] = found[number] = at
    return found
