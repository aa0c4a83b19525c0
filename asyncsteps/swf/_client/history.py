"""Reads execution histories. SWF has no cursor, so they are read from the end back to the last known event."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from asyncsteps._plan.model import Marker
from asyncsteps.swf._client.records import Closure, HistoryEvent
from asyncsteps.swf._client.wire import read_closure, read_marker, utc

MAX_PAGE = 1000
"""The most events in one page."""

MIN_PAGE = 32
"""The fewest events to request at once when markers are followed."""


class Run(NamedTuple):
    """One run of a workflow execution."""

    workflow_id: str
    run_id: str


FetchEvents = Callable[[Run, int, str | None], Awaitable[Any]]
"""Fetches one page of a run's history, newest event first, given the run, the page size and a page token."""


@dataclass(frozen=True, slots=True)
class News:
    """What a history holds after a known event.

    Attributes:
        through: The id of the newest event.
        markers: The markers after the known event, in order; None when only the newest event was read.
        closure: How the run closed; None while it is open.
        events: All events after the known one, in order, where they were asked for.
    """

    through: int
    markers: tuple[Marker, ...] | None
    closure: Closure | None
    events: tuple[HistoryEvent, ...] = ()


def read_event(event: Mapping[str, Any], run: Run) -> HistoryEvent:
    """Return a history event as a record."""
    kind = event["eventType"]
    attributes = event.get(f"{kind[0].lower()}{kind[1:]}EventAttributes", {})
    return HistoryEvent(run.run_id, event["eventId"], kind, utc(event["eventTimestamp"]), attributes)


async def read_news(
    fetch: FetchEvents, run: Run, *, after: int, page_size: int, keep_events: bool = False
) -> News:
    """Read the history from its end back to the event ``after``, or to its start when that is 0.

    Event ids are consecutive, so the newest tells how many are missing. If these are many more than ``page_size``,
    they are requested again in the largest pages. Events recorded meanwhile are left to the next call.
    """
    newest: int | None = None
    last: int | None = None
    markers: list[Marker] = []
    events: list[HistoryEvent] = []
    closure: Closure | None = None
    token: str | None = None
    while True:
        page = await fetch(run, page_size, token)
        for event in page["events"]:
            if event["eventId"] <= after:
                token = None
                break
            if last is not None and event["eventId"] >= last:
                continue  # seen already: events recorded meanwhile have moved it to this page
            last = event["eventId"]
            if newest is None:
                newest = last
                closure = read_closure(event)
            if marker := read_marker(event):
                markers.append(marker)
            if keep_events:
                events.append(read_event(event, run))
        else:
            token = page.get("nextPageToken")
        if token is None:
            through = newest if newest is not None else after
            return News(through, tuple(reversed(markers)), closure, tuple(reversed(events)))
        if newest is not None and page_size < MAX_PAGE and newest - after > 3 * page_size:
            return await read_news(fetch, run, after=after, page_size=MAX_PAGE, keep_events=keep_events)


async def read_end(fetch: FetchEvents, run: Run) -> News:
    """Read only the newest event, which tells whether and how the run closed."""
    page = await fetch(run, 1, None)
    newest = page["events"][0]
    return News(newest["eventId"], None, read_closure(newest))
