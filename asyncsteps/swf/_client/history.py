"""Reading an execution's history: SWF has no cursor into it, so it is read from the end back to what is known."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from asyncsteps._plan.model import Marker
from asyncsteps.swf._client.records import Closure
from asyncsteps.swf._client.wire import read_closure, read_marker

MAX_PAGE = 1000
"""The most events that SWF gives at once."""

MIN_PAGE = 32
"""The fewest events that are asked for when markers are followed."""


class Run(NamedTuple):
    """One run of a workflow execution."""

    workflow_id: str
    run_id: str


FetchEvents = Callable[[Run, int, str | None], Awaitable[Any]]
"""Fetches one page of a run's history, newest event first: the run, the page's size, a page token."""


@dataclass(frozen=True, slots=True)
class News:
    """What a history holds beyond an event.

    Attributes:
        through: The id of the newest event.
        markers: The markers after the event that was known, in order; None where only the newest event was read.
        closure: How the run closed; None while it is open.
    """

    through: int
    markers: tuple[Marker, ...] | None
    closure: Closure | None


async def read_news(fetch: FetchEvents, run: Run, *, after: int, page_size: int) -> News:
    """Read back from the end of the history to the event ``after`` (0: to its start).

    Event ids are consecutive, so the newest one tells how much is missing: where that is far more than a page of
    ``page_size``, it is asked for again in the largest pages. What is recorded meanwhile is left to the next time.
    """
    newest: int | None = None
    last: int | None = None
    markers: list[Marker] = []
    closure: Closure | None = None
    token: str | None = None
    while True:
        page = await fetch(run, page_size, token)
        for event in page["events"]:
            if event["eventId"] <= after:
                token = None
                break
            if last is not None and event["eventId"] >= last:
                continue  # what was recorded between two pages moved this event into the second one too
            last = event["eventId"]
            if newest is None:
                newest = last
                closure = read_closure(event)
            if marker := read_marker(event):
                markers.append(marker)
        else:
            token = page.get("nextPageToken")
        if token is None:
            return News(newest if newest is not None else after, tuple(reversed(markers)), closure)
        if newest is not None and page_size < MAX_PAGE and newest - after > 3 * page_size:
            return await read_news(fetch, run, after=after, page_size=MAX_PAGE)


async def read_end(fetch: FetchEvents, run: Run) -> News:
    """Read only the newest event: enough to see whether, and how, the run closed."""
    page = await fetch(run, 1, None)
    newest = page["events"][0]
    return News(newest["eventId"], None, read_closure(newest))
