"""The outcome of a step: its result, or why there is none."""

import dataclasses
from datetime import UTC, datetime
from typing import Any

import pytest

from asyncsteps import Status, StepFailedError, StepOutcome
from asyncsteps._plan.model import Action, Decision, StepRules
from asyncsteps._plan.planner import Planner

NOW = datetime.now(UTC)


def outcome(**fields: Any) -> StepOutcome:
    return StepOutcome(
        step="a",
        status=Status.COMPLETED,
        forced=False,
        reasons=(),
        queued=NOW,
        started=NOW,
        finished=NOW,
        **fields,
    )


def test_a_result_is_given_and_kept_by_copies() -> None:
    completed = outcome(_value=7)
    assert completed.has_result
    assert completed.result == dataclasses.replace(completed, forced=True).result == 7


def test_a_problem_is_raised_each_time_with_a_trace_that_does_not_grow() -> None:
    failed = outcome(problem=StepFailedError("a", "no luck"))
    assert not failed.has_result
    depths = []
    for _ in range(3):
        with pytest.raises(StepFailedError, match="no luck") as caught:
            failed.result  # noqa: B018 - that it raises is the point
        depths.append(len(caught.traceback))
    assert len(set(depths)) == 1


def test_the_marker_of_a_failure_has_its_error() -> None:
    phase = Planner().record(
        StepRules("a"), Decision(Action.RUN, forced=False), Status.FAILED, error=ValueError("no luck")
    )
    assert phase.details["error"] == "ValueError: no luck"
