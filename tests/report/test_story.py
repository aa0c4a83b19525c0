"""A run's story from the events of its journal, whatever state that is in."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from asyncsteps.report import RunStory, StepSpan

BEGAN = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)


def after(seconds: float) -> datetime:
    return BEGAN + timedelta(seconds=seconds)


def event(kind: str, at: float, **fields: Any) -> Mapping[str, Any]:
    return {"event": kind, "at": after(at).isoformat(), "run": "r1", "workflow": "w", **fields}


def test_a_step_that_waited_ran_and_was_attempted_again() -> None:
    story = RunStory.of(
        [
            event("started", 0, host="h", journal=1, segment=1),
            event("scheduled", 1, step="a.b", forced=True, reasons=["bad data"], queue_us=500_000),
            event("retrying", 4, step="a.b", activity="load", attempt=1, of=3),
            event("completed", 6, step="a.b", forced=True, reasons=["bad data"], queue_us=2_500_000, us=3_000_000),
            event("ended", 7, outcome="completed"),
        ]
    )
    assert (story.run_id, story.workflow_id, story.outcome) == ("r1", "w", "completed")
    assert (story.began, story.ended) == (BEGAN, after(7))
    assert story.about == {"host": "h"}
    assert story.notes == ()
    assert story.spans == (
        StepSpan(
            step="a.b",
            status="completed",
            forced=True,
            reasons=("bad data",),
            queued=after(0.5),
            started=after(3),
            ended=after(6),
            attempts=(after(4),),
        ),
    )
    assert story.spans[0].seconds == 3


def test_what_is_skipped_is_decided_and_ended_at_once() -> None:
    done = event("skipped", 1, step="a", forced=False, reasons=["Step was already played"])
    (span,) = RunStory.of([event("started", 0), done]).spans
    assert (span.status, span.queued, span.started, span.ended) == ("skipped", after(1), None, after(1))
    assert span.seconds is None


def test_a_step_whose_line_comes_with_its_end_has_its_attempts_too() -> None:
    again = event("retrying", 2, step="a", activity="load", attempt=1, of=2, error="no")
    done = event("completed", 4, step="a", forced=False, reasons=[], queue_us=1_000_000, us=2_500_000, attempts=2)
    (span,) = RunStory.of([event("started", 0), again, done]).spans
    assert (span.queued, span.started, span.ended, span.attempts) == (
        after(0.5),
        after(1.5),
        after(4),
        (after(2),),
    )


def test_steps_that_were_skipped_one_after_the_other_share_a_line() -> None:
    line = event("skipped", 1, names=["a", "b", None], forced=False, reasons=["Step was already played"])
    spans = RunStory.of([event("started", 0), line]).spans
    assert [(span.step, span.status, span.queued) for span in spans] == [
        ("a", "skipped", after(1)),
        ("b", "skipped", after(1)),
    ]


def test_a_killed_run_has_steps_without_an_end() -> None:
    story = RunStory.of([event("started", 0), event("scheduled", 1, step="a", forced=False, reasons=[])])
    assert story.outcome is None
    assert story.ended == after(1)
    assert [(span.status, span.ended) for span in story.spans] == [("scheduled", None)]
    assert "killed" in story.notes[0]
    known = RunStory.of([event("started", 0)], outcome="killed")
    assert (known.outcome, known.notes) == ("killed", ("No end is recorded: its process was killed.",))


def test_a_name_that_is_submitted_twice_has_two_spans() -> None:
    played = [
        event("scheduled", 1, step="a", forced=False, reasons=[]),
        event("failed", 2, step="a", forced=False, reasons=[], us=1_000_000, error="ValueError: no"),
        event("scheduled", 3, step="a", forced=False, reasons=[]),
        event("completed", 4, step="a", forced=False, reasons=[], us=1_000_000),
    ]
    spans = RunStory.of([event("started", 0), *played]).spans
    assert [(span.status, span.error) for span in spans] == [("failed", "ValueError: no"), ("completed", None)]


def test_a_list_of_reasons_that_was_written_once_is_told_in_full() -> None:
    reasons = [f"Dep of x.{number}" for number in range(9)]
    step = event("scheduled", 1, step="a", forced=True, reasons=["Dep of x.0 and 8 more"], list=1)
    (span,) = RunStory.of([event("reasons", 1, list=1, reasons=reasons), step]).spans
    assert span.reasons == tuple(reasons)


@pytest.mark.parametrize(
    "odd",
    [
        {"event": "completed", "step": "a"},
        {"event": "completed", "step": "a", "at": "yesterday"},
        {"event": 7, "at": "2026-11-24T02:00:01+00:00", "step": ["a"]},
        event("retrying", 1, step="nobody"),
        event("from.later.versions", 1, step="a"),
        event("reasons", 1, list=None, reasons="no list"),
    ],
)
def test_what_is_not_understood_is_left_out(odd: Mapping[str, Any]) -> None:
    assert RunStory.of([event("started", 0), odd, event("ended", 2, outcome=None)]).spans == ()


@pytest.mark.parametrize("seconds", [-1, True, "1", 1e300, None, float("nan")])
def test_durations_that_are_none_are_not_believed(seconds: object) -> None:
    given = event("completed", 2, step="a", forced=False, reasons=[None, "b"], queue_us=seconds, us=seconds)
    (span,) = RunStory.of([event("started", 0), given]).spans
    assert (span.started, span.queued, span.reasons) == (after(2), after(2), ("b",))


def test_where_nothing_has_a_time_there_is_no_story() -> None:
    with pytest.raises(ValueError, match="no event has a time"):
        RunStory.of([{"event": "started"}])


def test_lost_events_are_said() -> None:
    story = RunStory.of([event("started", 0), event("lost", 1, events=3), event("ended", 2, outcome="failed")])
    assert "missing" in story.notes[0]


def test_events_as_they_are_read_from_json() -> None:
    lines = [json.dumps(event("started", 0)), json.dumps(event("ended", 1, outcome="cancelled"))]
    assert RunStory.of(map(json.loads, lines)).outcome == "cancelled"
