"""The planner, rule by rule, and the records that it speaks in."""

import dataclasses
import json
from typing import Any

import pytest

from asyncsteps._errors import SelectorError
from asyncsteps._plan.model import (
    STEP_MARKER,
    Action,
    Decision,
    EmitSignal,
    ForceDependents,
    MarkDone,
    Play,
    RecordStatus,
    Status,
    StepRules,
    Withdraw,
)
from asyncsteps._plan.planner import REASON_DONE, REASON_FORCED, Planner

RUN = Decision(Action.RUN, forced=False)


@pytest.fixture
def planner() -> Planner:
    return Planner()


def play(planner: Planner, name: str) -> None:
    planner.begin(name)
    planner.complete(name)


# Deciding (section 2)


def test_a_step_that_is_not_done_runs_for_no_reason(planner: Planner) -> None:
    assert planner.decide(StepRules("a"), done=False) == RUN


def test_a_done_step_is_skipped(planner: Planner) -> None:
    assert planner.decide(StepRules("a"), done=True) == Decision(Action.SKIP, forced=False, reasons=(REASON_DONE,))


@pytest.mark.parametrize("done", [False, True])
def test_force_beats_skip_and_skip_beats_the_store(planner: Planner, done: bool) -> None:
    planner.add_skipped("a", "skip it")
    assert planner.decide(StepRules("a.b"), done=done) == Decision(Action.SKIP, forced=True, reasons=("skip it",))
    planner.add_forced("*", "all of it")
    assert planner.decide(StepRules("a.b"), done=done) == Decision(Action.RUN, forced=True, reasons=("all of it",))


def test_a_forced_submission_says_so(planner: Planner) -> None:
    decision = planner.decide(StepRules("a", force=True), done=True)
    assert decision == Decision(Action.RUN, forced=True, reasons=(REASON_FORCED,))


def test_reasons_stand_in_order_of_addition_each_once_and_that_of_force_last(planner: Planner) -> None:
    for selector, reason in [
        ("a.b", "2"),
        ("*", REASON_FORCED),
        ("a", "1"),
        ("a.b", None),
        ("*", "2"),
        ("a", "0"),
    ]:
        planner.add_forced(selector, reason)
    assert planner.decide(StepRules("a.b"), done=False).reasons == ("2", REASON_FORCED, "1", "0")
    assert planner.decide(StepRules("a.b", force=True), done=False).reasons == ("2", "1", "0", REASON_FORCED)


def test_selectors_without_a_reason_give_none(planner: Planner) -> None:
    planner.add_forced(["a", "b"])
    planner.add_skipped("c")
    assert planner.decide(StepRules("a"), done=True) == Decision(Action.RUN, forced=True)
    assert planner.decide(StepRules("c"), done=True) == Decision(Action.SKIP, forced=True)


def test_a_malformed_selector_adds_none(planner: Planner) -> None:
    for add in (planner.add_forced, planner.add_skipped):
        with pytest.raises(SelectorError, match=r"'b\.'"):
            add(["a", "b."])
    assert list(planner.forced) == list(planner.skipped) == []
    assert len(planner.forced) == 0


def test_what_forced_a_step_forces_it_once_a_run(planner: Planner) -> None:
    planner.add_forced("a", "asked for")
    assert planner.decide(StepRules("a"), done=True).forced
    play(planner, "a")
    assert planner.decide(StepRules("a"), done=True).reasons == (REASON_DONE,)
    assert planner.decide(StepRules("a.b"), done=True).forced  # not played yet
    assert planner.decide(StepRules("a", force=True), done=True).reasons == (REASON_FORCED,)
    planner.add_forced("a", "asked again")
    assert planner.decide(StepRules("a"), done=True).reasons == ("asked again",)


def test_what_was_added_while_a_step_played_forces_its_next_submission(planner: Planner) -> None:
    planner.begin("a")
    planner.add_forced("a", "meanwhile")
    planner.complete("a")
    assert planner.decide(StepRules("a"), done=True).reasons == ("meanwhile",)


def test_a_step_that_failed_stays_forced(planner: Planner) -> None:
    planner.add_forced("a", "asked for")
    planner.begin("a")
    planner.fail("a")
    assert planner.decide(StepRules("a"), done=False).reasons == ("asked for",)
    planner.fail("never begun")


def test_skipping_does_not_wear_off(planner: Planner) -> None:
    planner.add_skipped("a", "leave it")
    play(planner, "a")
    assert planner.decide(StepRules("a"), done=True) == Decision(Action.SKIP, forced=True, reasons=("leave it",))


# Playing (section 3)


def step_details(name: str, status: Status, decision: Decision) -> dict[str, Any]:
    """What a marker says, with simpleflow's keys in simpleflow's order."""
    return {
        "step": name,
        "status": str(status),
        "forced": decision.forced,
        "reasons": list(decision.reasons),
    }


def scheduled(decision: Decision, name: str = "a") -> RecordStatus:
    return RecordStatus(Status.SCHEDULED, step_details(name, Status.SCHEDULED, decision))


def completed(decision: Decision, name: str = "a") -> RecordStatus:
    return RecordStatus(Status.COMPLETED, step_details(name, Status.COMPLETED, decision))


FORCED = Decision(Action.RUN, forced=True, reasons=("because",))
SKIPPED = Decision(Action.SKIP, forced=False, reasons=(REASON_DONE,))


@pytest.mark.parametrize(
    ("step", "decision", "done", "phases"),
    [
        (StepRules("a"), RUN, False, [scheduled(RUN), Play("activities"), MarkDone("a"), completed(RUN)]),
        (StepRules("a"), FORCED, False, [scheduled(FORCED), Play("activities"), MarkDone("a"), completed(FORCED)]),
        (
            StepRules("a"),
            FORCED,
            True,
            [scheduled(FORCED), Withdraw("a", ()), Play("activities"), MarkDone("a"), completed(FORCED)],
        ),
        (
            StepRules("a", has_alternative=True, emit_signal=True, force_steps_if_executed=("b", "c")),
            RUN,
            False,
            [
                ForceDependents(("b", "c"), "Dep of a"),
                scheduled(RUN),
                Withdraw(None, ("b", "c")),
                Play("activities"),
                MarkDone("a"),
                completed(RUN),
                EmitSignal("step.a"),
            ],
        ),
        (
            StepRules("a", force_steps_if_executed=("b",)),
            SKIPPED,
            True,
            [RecordStatus(Status.SKIPPED, step_details("a", Status.SKIPPED, SKIPPED))],
        ),
        (
            StepRules("a", has_alternative=True, emit_signal=True),
            SKIPPED,
            True,
            [
                Play("activities_if_step_already_done"),
                RecordStatus(Status.SKIPPED, step_details("a", Status.SKIPPED, SKIPPED)),
                EmitSignal("step.a"),
            ],
        ),
    ],
)
def test_phases_stand_in_the_order_of_the_specification(
    planner: Planner, step: StepRules, decision: Decision, done: bool, phases: list[Any]
) -> None:
    assert list(planner.phases(step, decision, done=done)) == phases


def test_without_withdrawal_no_phase_withdraws() -> None:
    step = StepRules("a", force_steps_if_executed=("b",))
    phases = Planner(withdraw_invalidated=False).phases(step, FORCED, done=True)
    assert not any(isinstance(phase, Withdraw) for phase in phases)
    assert ForceDependents(("b",), "Dep of a") in phases


def test_withdrawn_is_what_is_done_and_matched_and_no_more(planner: Planner) -> None:
    done = ["b.c", "b", "bc", "d", "a", "b.c"]
    assert planner.invalidated(Withdraw(None, ("b",)), done) == ["b", "b.c"]
    assert planner.invalidated(Withdraw("a", ("d",)), done) == ["a", "d"]
    assert planner.invalidated(Withdraw("a", ()), done) == ["a"]
    assert planner.invalidated(Withdraw(None, ("x", "*")), done) == ["a", "b", "b.c", "bc", "d"]


def test_never_withdrawn_is_a_mark_of_this_run_or_what_it_is_playing(planner: Planner) -> None:
    play(planner, "made")
    planner.begin("playing")
    assert planner.invalidated(Withdraw(None, ("*",)), ["made", "playing", "older"]) == ["older"]
    assert planner.invalidated(Withdraw("playing", ("*",)), ["made", "playing", "older"]) == ["older", "playing"]
    planner.fail("playing")
    assert planner.invalidated(Withdraw(None, ("*",)), ["made", "playing"]) == ["playing"]


def test_an_old_mark_is_withdrawn_by_others_until_the_activities_that_replace_it_start(planner: Planner) -> None:
    planner.begin("b", outdated=True)
    assert planner.invalidated(Withdraw(None, ("b",)), ["b"]) == ["b"]  # its own withdrawal could fail
    planner.start("b")
    assert planner.invalidated(Withdraw(None, ("b",)), ["b"]) == []
    planner.fail("b")
    planner.begin("b", outdated=True)
    planner.fail("b")
    planner.begin("b")
    assert planner.invalidated(Withdraw(None, ("b",)), ["b"]) == []


def test_a_marks_details_have_simpleflows_keys_in_simpleflows_order() -> None:
    details = step_details("a.b", Status.SCHEDULED, FORCED)
    assert json.dumps(details) == (
        '{"step": "a.b", "status": "scheduled", "forced": true, "reasons": ["because"]}'
    )
    assert STEP_MARKER == "log.step"


# Selectors that matched nothing (section 5, row 15)


def test_selectors_that_matched_no_step_are_told_in_order(planner: Planner) -> None:
    planner.add_forced(["zz", "a", "b.c"])
    planner.add_skipped(["typo", "a.b", "zz"])
    planner.decide(StepRules("a.b"), done=True)
    assert planner.unmatched() == ["zz", "b.c", "typo"]
    assert planner.unmatched(given={"typo", "a"}) == ["typo"]
    planner.recall(StepRules("b.c.d"))  # its decision was on record: it matched all the same
    assert planner.unmatched() == ["zz", "typo"]


def test_an_exact_selector_that_only_a_group_answers_to_is_explained(planner: Planner) -> None:
    planner.add_forced(["=load", "=lod", "lod"])
    planner.decide(StepRules("load.users"), done=False)
    assert planner.unmatched() == ["=load", "=lod", "lod"]
    assert planner.hint("=load") == "it selects 'load' alone, and 'load' without '=' what is below it too"
    assert planner.hint("=lod") == planner.hint("lod") == "is it misspelt?"
    planner.decide(StepRules("load"), done=False)
    assert planner.unmatched() == ["=lod", "lod"]


def test_records_are_frozen(planner: Planner) -> None:
    decision: Any = planner.decide(StepRules("a"), done=False)
    with pytest.raises(dataclasses.FrozenInstanceError):
        decision.forced = True
