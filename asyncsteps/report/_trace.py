"""A run in Chrome's trace format, which Perfetto and ``about:tracing`` open."""

import heapq
import json
from datetime import datetime
from typing import Any

from asyncsteps.report._story import RunStory, StepSpan


def trace(story: RunStory) -> str:
    """Return a JSON document in Chrome's trace format: a slice for each step that ran, on as few lanes as needed.

    Times are microseconds since the run began. Steps that were skipped are instants; the time that a step waited
    for a slot is in the arguments of its slice.
    """
    events: list[dict[str, Any]] = [
        {"ph": "M", "pid": 1, "tid": 0, "name": "process_name", "args": {"name": f"run {story.run_id}"}}
    ]
    free: list[int] = []
    busy: list[tuple[datetime, int]] = []
    lanes = 0
    for span in sorted(story.spans, key=lambda span: span.started or span.queued):
        begin = span.started or span.queued
        if span.started is None:
            events.append(_event(story, span, "i", begin, 0) | {"s": "p"})
            continue
        while busy and busy[0][0] <= begin:
            heapq.heappush(free, heapq.heappop(busy)[1])
        if not free:
            lanes += 1
            heapq.heappush(free, lanes)
        lane = heapq.heappop(free)
        end = max(begin, span.ended or story.ended)
        heapq.heappush(busy, (end, lane))
        events.append(_event(story, span, "X", begin, lane) | {"dur": _micros(begin, end)})
    return json.dumps({"traceEvents": events, "displayTimeUnit": "ms"}, separators=(",", ":"))


def _event(story: RunStory, span: StepSpan, phase: str, at: datetime, lane: int) -> dict[str, Any]:
    args: dict[str, Any] = {"status": span.status, "forced": span.forced}
    if span.reasons:
        args["reasons"] = list(span.reasons)
    if span.error is not None:
        args["error"] = span.error
    if span.started is not None:
        args["queued_seconds"] = (span.started - span.queued).total_seconds()
        args["attempts"] = max(span.tried, 1 + len(span.attempts))
    return {
        "ph": phase,
        "pid": 1,
        "tid": lane,
        "ts": _micros(story.began, at),
        "name": span.step,
        "cat": span.status,
        "args": args,
    }


def _micros(begin: datetime, end: datetime) -> int:
    return round((end - begin).total_seconds() * 1_000_000)
