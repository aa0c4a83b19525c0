"""The same workflows and histories through simpleflow's steps and ours: equal where we promise it, and both shown
where we do better (the table of docs/simpleflow-differences.md)."""

import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from simpleflow import Workflow, activity, futures
from simpleflow.canvas import Chain, Group
from simpleflow.step.submittable import Step as TheirStep
from simpleflow.step.workflow import WorkflowStepMixin as TheirMixin
from simpleflow.task import ActivityTask
from swf_simulator import ActivityError, SimulatedSwf, play_activity, workflow_class
from swf_workflows import ACTIVITIES, LIST, MARK, WITHDRAW, names, sequence, task, told, work

from asyncsteps import StepDefinitionError, StepNameError
from asyncsteps.swf import Step, WorkflowStepMixin

pytestmark = pytest.mark.usefixtures("quiet")

PHASES = [Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink]
"""Without `Phase.explain`, which traces every line of what takes a while already."""

BOTH = (WorkflowStepMixin, TheirMixin)

SUPPORT = Path(__file__).parents[1] / "support"


SEEDED = """
import sys
sys.path[:0] = sys.argv[1:]
import logging
logging.disable(logging.CRITICAL)
from test_swf_parity import *

def run_many(self):
    self.add_forced_steps(["a.b.c", "a"], "second")
    self.add_forced_steps(["*"], "third")
    futures.wait(self.submit(Group(*(Step(f"a.b.c{n}", task(n), force=bool(n % 2)) for n in range(5)))))

def run(self):
    for reason in ("one", "two", "three", "four"):
        self.add_forced_steps(["a"], reason)
    futures.wait(self.submit(self.step("a", task())))

print(*simulate(WorkflowStepMixin, run_many, done=["a.b.c1"]).run().marker_texts, sep="|")
for mixin in BOTH:
    print(simulate(mixin, run).run().markers[0]["reasons"])
"""


@pytest.fixture(scope="module")
def quiet() -> Iterator[None]:
    """simpleflow logs several lines a replay, which would take most of the time of these tests."""
    logging.getLogger("simpleflow").setLevel(logging.CRITICAL)
    yield
    logging.getLogger("simpleflow").setLevel(logging.INFO)


def simulate(mixin: Any, run: Any, *, done: Any = (), kwargs: Any = None, **options: Any) -> SimulatedSwf:
    attributes = options.pop("attributes", {})
    workflow = workflow_class(Workflow, mixin, run=run, **attributes)
    activities = {**ACTIVITIES, doing.name: doing}
    return SimulatedSwf(workflow, {"kwargs": kwargs or {}}, done=set(done), activities=activities, **options)


def projection(swf: SimulatedSwf) -> list[tuple[str, Any]]:
    """Marker details, the user's activities, marks and signals, each with its step, in the order of the history.

    Reasons are sorted: their order is where simpleflow's depends on the hash seed.
    """
    seen: list[tuple[str, Any]] = []
    for event in swf.history.events:
        if event.type == "Marker":
            details = json.loads(event.details)
            seen.append((details["step"], {**details, "reasons": sorted(details["reasons"])}))
        elif event.type == "ActivityTask" and event.state == "scheduled":
            name = event.activity_type["name"].rpartition(".")[2]
            if name == MARK:
                seen.append((event.input["args"][2], [MARK, event.input["args"]]))
            elif name not in {LIST, WITHDRAW}:
                seen.append((event.input["args"][0].split()[0], [name, event.input["args"]]))
        elif event.state == "signal_execution_initiated":
            seen.append((event.signal_name.removeprefix("step."), event.input["__propagate"]))
    return seen


def by_step(seen: list[tuple[str, Any]]) -> dict[str, list[Any]]:
    """The same, apart for each step: side by side, steps overtake each other."""
    apart: dict[str, list[Any]] = {}
    for name, what in seen:
        apart.setdefault(name, []).append(what)
    return apart


def details_of(swf: SimulatedSwf) -> list[str]:
    """The markers' details in any order, and their reasons likewise, for the reason that `projection` gives."""
    return sorted(json.dumps({**it, "reasons": sorted(it["reasons"])}) for it in swf.markers)


# Ids of activities that are not idempotent are counted in order of submission, which side by side is another one
# at every replay: simpleflow then takes one's result for another's.
doing = activity.Activity(work.callable, "doing", idempotent=True)


def job(what: str) -> ActivityTask:
    return ActivityTask(doing, what)


NAMES = ("a.b.c", "a.b.d", "a.e", "f", "g.h", "g.i")


@dataclass(frozen=True)
class Plan:
    """What a workflow submits, side by side or one after the other."""

    steps: tuple[tuple[str, str, bool, bool, bool, str | None], ...]
    together: bool
    forced: tuple[str, ...]
    skipped: tuple[str, ...]
    done: tuple[str, ...]

    def as_run(self) -> Any:
        def run(workflow: Any) -> None:
            self.play(workflow)

        return run

    def play(self, workflow: Any) -> None:
        for selector in self.forced:
            workflow.add_forced_steps([selector], f"forced {selector}")
        for selector in self.skipped:
            workflow.add_skipped_steps([selector], f"skipped {selector}")
        steps = [
            workflow.step(
                name,
                Chain(job(f"{name} 1"), job(f"{name} fails" if kind == "fails" else f"{name} 2"))
                if kind != "single"
                else job(f"{name} 0"),
                activities_if_step_already_done=job(f"{name} instead") if alternative else None,
                emit_signal=signal,
                bubbles_exception_on_failure=bubbles,
                force_steps_if_executed=[dependent] if dependent else None,
            )
            for name, kind, alternative, signal, bubbles, dependent in self.steps
        ]
        if self.together:
            futures.wait(workflow.submit(Group(*steps)))
        else:
            for step in steps:
                futures.wait(workflow.submit(step))


plans = st.builds(
    Plan,
    steps=st.lists(
        st.tuples(
            st.sampled_from(NAMES),
            st.sampled_from(["single", "chain", "fails"]),
            st.booleans(),
            st.booleans(),
            st.booleans(),
            st.sampled_from([None, None, "g", "f"]),
        ),
        max_size=6,
        unique_by=lambda step: step[0],
    ).map(tuple),
    together=st.booleans(),
    forced=st.lists(st.sampled_from(["*", "a", "a.b", "f", "g.h"]), unique=True, max_size=2).map(tuple),
    skipped=st.lists(st.sampled_from(["*", "a", "a.e", "g"]), unique=True, max_size=2).map(tuple),
    done=st.lists(st.sampled_from(NAMES), unique=True).map(tuple),
)


def fail_where_told(swf: SimulatedSwf, name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
    if str(args[0]).endswith(" fails"):
        raise ActivityError(args[0])
    return play_activity(swf, name, args, kwargs)


@settings(max_examples=30, deadline=None, phases=PHASES)
@given(plans)
def test_what_is_promised_to_be_the_same_is_the_same(plan: Plan) -> None:
    ours, theirs = (
        simulate(
            mixin, plan.as_run(), done=plan.done, play=fail_where_told, attributes={"withdraw_invalidated": False}
        ).run()
        for mixin in BOTH
    )
    assert ours.status == theirs.status == "completed"
    assert ours.done == theirs.done
    assert len(ours.history.events) <= len(theirs.history.events)
    mine, other = projection(ours), projection(theirs)
    if plan.together:
        assert by_step(mine) == by_step(other)
    else:
        assert mine == other


@settings(max_examples=20, deadline=None, phases=PHASES)
@given(plans)
def test_an_execution_under_way_goes_on_after_the_change(plan: Plan) -> None:
    theirs = simulate(TheirMixin, plan.as_run(), done=plan.done, play=fail_where_told).run()
    for rounds in {theirs.rounds // 2} - {0}:
        changed = simulate(TheirMixin, plan.as_run(), done=plan.done, play=fail_where_told)
        for _ in range(rounds):
            changed.step()
            changed.advance()
        ours = simulate(WorkflowStepMixin, plan.as_run(), attributes={"withdraw_invalidated": False})
        changed.executor._workflow_class = ours.workflow
        changed.run()
        assert changed.done == theirs.done
        assert details_of(changed) == details_of(theirs)


def test_the_histories_of_simpleflow_are_read_as_they_are() -> None:
    # A history that simpleflow made to its end: replayed by ours, nothing is left to decide.
    for options in ({}, {"force_steps_if_executed": ["step-00004"]}, {"emit_signal": True}):
        theirs = simulate(TheirMixin, sequence(names(6), **options), done=names(2)).run()
        ours = workflow_class(
            Workflow, WorkflowStepMixin, run=sequence(names(6), **options), name=theirs.workflow.name
        )
        theirs.executor._workflow_class = ours
        listing, *_ = theirs.step()
        assert listing["decisionType"] == "CompleteWorkflowExecution"


class TestWhereSimpleflowIsWrong:
    """Rows of the table, by their number there."""

    def crashed(self, mixin: Any, run: Any, *, done: Any, after: int) -> set[str]:
        """The done steps in the bucket after an execution that dies after some rounds."""
        swf = simulate(mixin, run, done=done)
        while len(swf.calls) < after:
            swf.step()
            swf.advance()
        return swf.done

    def test_1_dependents_are_replayed_even_after_a_crash(self) -> None:
        def run(self: Any, force: Any = ("a",)) -> None:
            self.add_forced_steps(force, "asked for")
            futures.wait(self.submit(self.step("a", task(), force_steps_if_executed=["b"])))
            futures.wait(self.submit(self.step("b", task())))

        later = {
            mixin: told(
                simulate(
                    mixin,
                    run,
                    done=self.crashed(mixin, run, done=["a", "b"], after=calls),
                    kwargs={"force": []},
                ).run()
            )
            for mixin, calls in ((WorkflowStepMixin, 4), (TheirMixin, 3))
        }
        assert ("b", "completed") in later[WorkflowStepMixin]
        assert later[TheirMixin] == [("a", "skipped"), ("b", "skipped")]

    def test_2_a_forced_step_that_fails_half_way_is_not_done(self) -> None:
        def run(self: Any) -> None:
            futures.wait(self.submit(self.step("a", task("fail"), force=True)))

        ours, theirs = (simulate(mixin, run, done=["a"]).run() for mixin in BOTH)
        assert ours.done == set()
        assert theirs.done == {"a"}

    def test_5_a_name_that_leaves_the_prefix_is_refused(self) -> None:
        TheirStep("/evil", task())
        with pytest.raises(StepNameError):
            Step("/evil", task())

    def test_6_details_are_the_same_bytes_under_any_hash_seed(self) -> None:
        outputs = [
            subprocess.run(
                [sys.executable, "-c", SEEDED, Path(__file__).parent, SUPPORT],
                env={"PYTHONHASHSEED": seed},
                capture_output=True,
                text=True,
                check=True,
            ).stdout.splitlines()
            for seed in ("1", "2")
        ]
        details, ours, theirs = zip(*outputs, strict=True)
        assert set(ours) == {"['one', 'two', 'three', 'four']"}
        assert len(set(theirs)) > 1
        assert len(set(details)) == 1
        assert details[0].count('"reasons":["second","third","Step is forced"]') == 2 * 2

    def test_7_a_forced_submission_has_its_reason(self) -> None:
        def run(self: Any) -> None:
            futures.wait(self.submit(self.step("a", task(), force=True)))

        ours, theirs = (simulate(mixin, run).run().markers[0] for mixin in BOTH)
        assert (ours["forced"], ours["reasons"]) == (True, ["Step is forced"])
        assert (theirs["forced"], theirs["reasons"]) == (True, [])

    def test_8_a_name_submitted_twice_plays_once(self) -> None:
        def run(self: Any) -> None:
            futures.wait(self.submit(Group(self.step("a", task(1)), self.step("a", task(2)))))

        ours, theirs = (simulate(mixin, run).run().scheduled.count("work") for mixin in BOTH)
        assert (ours, theirs) == (1, 2)

    def test_9_a_list_is_refused_when_the_step_is_made(self) -> None:
        a_list: Any = [task()]
        TheirStep("a", a_list)
        with pytest.raises(StepDefinitionError):
            Step("a", a_list)

    def test_11_more_done_steps_than_a_payload_holds(self) -> None:
        ours = simulate(WorkflowStepMixin, sequence(["step-00042"]), done=names(20_000)).run()
        assert told(ours) == [("step-00042", "skipped")]
        with pytest.raises(AssertionError, match="260001 characters"):
            simulate(TheirMixin, sequence(["step-00042"]), done=names(20_000)).run()

    def test_12_events_and_rounds_of_a_step(self) -> None:
        costs = {}
        for mixin in BOTH:
            for done in ((), names(30)):
                few, more = (simulate(mixin, sequence(names(n)), done=done).run() for n in (10, 30))
                events = (len(more.history.events) - len(few.history.events)) / 20
                costs[mixin, bool(done)] = events, (more.rounds - few.rounds) / 20
        assert costs[WorkflowStepMixin, False] == (14, 2)
        assert costs[TheirMixin, False] == (24, 4)
        assert costs[WorkflowStepMixin, True][0] <= 1.5
        assert costs[TheirMixin, True] == (6, 1)

    def test_16_a_selector_that_comes_later_changes_nothing_that_is_decided(self) -> None:
        def run(self: Any) -> None:
            if self.get_event_details("signal", "force"):
                self.add_forced_steps(["a"], "signalled")
            futures.wait(self.submit(self.step("a", task())), self.submit(task("slow")))

        for mixin, expected in (
            (WorkflowStepMixin, [("a", "skipped")]),
            (TheirMixin, [("a", "skipped"), ("a", "scheduled"), ("a", "completed")]),
        ):
            swf = simulate(mixin, run, done=["a"], one_at_a_time=True)
            swf.step()
            swf.advance()
            swf.step()
            swf.signal("force")
            swf.run()
            assert told(swf) == expected
