"""Makes few lines of what waits to be written: one for most steps, one for many that are skipped alike."""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from asyncsteps._plan.model import Marker, Status

Entry = Marker | tuple[str, datetime, Mapping[str, Any]]
"""What waits to be written: a marker, or another event with its time and its members."""

_SCHEDULED, _SKIPPED = Status.SCHEDULED.value, Status.SKIPPED.value


def merged(entries: Iterable[Entry], counts: Counter[str]) -> list[tuple[Entry, datetime | None] | None]:
    """Return what is to be written, with when a step was scheduled if no line of its own says so; None: nothing.

    A step that was scheduled and has ended has the line of its end. Steps that were skipped as done, one after the
    other, are told in one.

    Args:
        entries: What waits.
        counts: Counts the markers of steps, by status.
    """
    found: list[tuple[Entry, datetime | None] | None] = []
    under_way: dict[str, int] = {}
    names: list[str] = []
    alike: list[str] | None = None
    for entry in entries:
        if isinstance(entry, tuple) or entry.queued is None:
            found.append((entry, None))
            alike = None
            continue
        details = entry.details
        status, step = details["status"], details["step"]
        counts[status] += 1
        if status == _SKIPPED and entry.started is None and not details["forced"]:
            if details["reasons"] != alike:
                names, alike = [], details["reasons"]
                found.append((("skipped", entry.at, {"names": names, "forced": False, "reasons": alike}), None))
            names.append(step)
            continue
        alike = None
        if status == _SCHEDULED:
            under_way[step] = len(found)
            found.append((entry, None))
            continue
        scheduled = None
        if (index := under_way.pop(step, None)) is not None and (begun := found[index]) is not None:
            found[index], scheduled = None, begun[0]
        found.append((entry, scheduled.at if isinstance(scheduled, Marker) else None))
    return found
