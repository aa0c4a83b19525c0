"""Reading back through a history that grows while it is read."""

import datetime as dt
from typing import Any

import pytest

from asyncsteps.swf._client.history import Run, read_news

RUN = Run("people-42", "run-1")


def marker(number: int) -> dict[str, Any]:
    return {
        "eventId": number,
        "eventType": "MarkerRecorded",
        "eventTimestamp": dt.datetime.fromtimestamp(number, dt.UTC),
        "markerRecordedEventAttributes": {"markerName": "log.step", "details": f'{{"step": "{number}"}}'},
    }


@pytest.mark.parametrize("growth", [0, 1, 2, 3, 7])
async def test_events_that_move_into_the_next_page_are_read_once(growth: int) -> None:
    # Tokens that count from the newest event, and events that are recorded between two pages.
    events = [marker(number) for number in range(1, 9)]

    async def fetch(run: Run, page_size: int, token: str | None) -> Any:
        assert run == RUN
        start = int(token or 0)
        newest_first = events[::-1]
        page = newest_first[start : start + page_size]
        more = start + page_size < len(newest_first)
        if len(events) < 20:
            events.extend([marker(len(events) + 1 + number) for number in range(growth)])
        return {"events": page, **({"nextPageToken": str(start + page_size)} if more else {})}

    through, seen = 0, []
    for _ in range(2):
        news = await read_news(fetch, RUN, after=through, page_size=3)
        assert news.markers is not None
        through = news.through
        seen += [int(found.details["step"]) for found in news.markers]
    assert seen == list(range(1, through + 1))
