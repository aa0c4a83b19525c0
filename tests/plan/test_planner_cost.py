"""What a decision costs: counted in lines of the planner that run, which no machine changes."""

import sys
from types import FrameType
from typing import Any

import pytest

from asyncsteps._plan import names, planner
from asyncsteps._plan.model import StepRules
from asyncsteps._plan.planner import Planner

_FILES = {names.__file__, planner.__file__}


def _lines_to_decide(subject: Planner, name: str) -> int:
    lines = 0

    def trace(frame: FrameType, event: str, _arg: Any) -> Any:
        nonlocal lines
        if frame.f_code.co_filename not in _FILES:
            return None
        lines += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        subject.decide(StepRules(name), done=True)
    finally:
        sys.settrace(before)
    return lines


def _play(subject: Planner, name: str) -> None:
    subject.begin(name)
    subject.complete(name)


def _one_step_with_dependents(subject: Planner, times: int) -> None:
    for _ in range(times):
        subject.add_forced("d", "Dep of x")


def _many_steps_with_dependents(subject: Planner, times: int) -> None:
    for number in range(times):
        subject.add_forced("*", f"Dep of {number}")
    _play(subject, "d")
    subject.add_forced("d", "again")


def _many_submissions_of_one_name(subject: Planner, times: int) -> None:
    for _ in range(times):
        subject.add_forced("d", "Dep of x")
        _play(subject, "d")


def _selectors_of_other_steps(subject: Planner, times: int) -> None:
    for number in range(times):
        subject.add_forced(f"s.{number}")
        subject.add_skipped(f"t.{number}")


@pytest.mark.parametrize(
    "history",
    [
        _one_step_with_dependents,
        _many_steps_with_dependents,
        _many_submissions_of_one_name,
        _selectors_of_other_steps,
    ],
)
def test_a_decision_costs_what_it_finds_and_not_what_came_before(history: Any) -> None:
    costs: list[int] = []
    for times in (5, 500):
        subject = Planner()
        history(subject, times)
        costs.append(_lines_to_decide(subject, "d"))
    assert costs[0] == costs[1] > 0


def test_a_reason_given_again_stands_where_it_was_first_given_since_the_step_was_played() -> None:
    subject = Planner()
    for reason in ("a", "b", "a", "c"):
        subject.add_forced("d", reason)
    assert subject.decide(StepRules("d"), done=True).reasons == ("a", "b", "c")
    _play(subject, "d")
    for reason in ("c", "a", "c"):
        subject.add_forced("d", reason)
    assert subject.decide(StepRules("d"), done=True).reasons == ("c", "a")
    assert subject.decide(StepRules("d.e"), done=True).reasons == ("a", "b", "c")
