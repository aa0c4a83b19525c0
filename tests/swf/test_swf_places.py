"""Steps of one name under several prefixes, side by side: each finds its own markers again."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simpleflow import Workflow, activity, futures
from simpleflow.base import SubmittableContainer
from simpleflow.canvas import Chain, Group
from simpleflow.step.workflow import WorkflowStepMixin as TheirMixin
from simpleflow.task import ActivityTask
from swf_simulator import SimulatedSwf, play_activity, workflow_class
from swf_workflows import LIST, MARK, WITHDRAW, names, told, work

from asyncsteps.swf import Step, WorkflowStepMixin

# Ids of activities that are not idempotent count submissions, whose order varies here.
doing = activity.Activity(work.callable, "doing", idempotent=True)


def task(*what: Any) -> ActivityTask:
    return ActivityTask(doing, "-".join(map(str, what)))


class At(SubmittableContainer):  # type: ignore[misc]
    """Submits a step under a prefix."""

    def __init__(self, prefix: str, step: Step) -> None:
        self.prefix, self.step = prefix, step

    def submit(self, executor: Any) -> Any:
        executor.workflow.prefix = self.prefix
        return executor.workflow.submit(self.step)


def in_bucket(swf: SimulatedSwf, name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
    """Plays the activities of steps on `SimulatedSwf.done` as keys."""
    short, prefix = name.rpartition(".")[2], str(args[1]) if len(args) > 1 else ""
    if short == LIST:
        return sorted(key.removeprefix(prefix) for key in swf.done if key.startswith(prefix))
    if short == MARK:
        swf.done.add(prefix + args[2])
        return None
    if short == WITHDRAW:
        swf.done -= {prefix + name for name in kwargs["names"]}
        return 0
    return play_activity(swf, name, args, kwargs)


def start(run: Any, *, mixin: Any = WorkflowStepMixin, done: Any = (), **options: Any) -> SimulatedSwf:
    workflow = workflow_class(
        Workflow, mixin, run=run, prefix="one/", get_step_path_prefix=lambda self: self.prefix
    )
    return SimulatedSwf(workflow, done=set(done), activities={doing.name: doing}, play=in_bucket, **options)


def works(swf: SimulatedSwf) -> list[Any]:
    return sorted(args[0] for name, args in swf.calls if name == "doing" and not args[0].startswith("pause"))


def late_one(self: Any) -> None:
    """``a`` comes first by its place in the code, and later by its time, under the prefix ``one/``."""
    slow = Chain(task("pause", 1), task("pause", 2), task("pause", 3), At("one/", Step("a", task("one"))))
    futures.wait(self.submit(Group(At("one/", Step("x", task("x"))), slow, At("two/", Step("a", task("two"))))))


@pytest.mark.parametrize("one_at_a_time", [False, True])
def test_a_step_does_not_take_the_decision_of_its_namesake(one_at_a_time: bool) -> None:
    swf = start(late_one, done=["two/a"], one_at_a_time=one_at_a_time).run()
    assert swf.status == "completed"
    assert works(swf) == ["one", "x"]
    assert swf.done == {"one/x", "one/a", "two/a"}
    assert sorted(told(swf)) == sorted(
        [("x", "scheduled"), ("x", "completed"), ("a", "skipped"), ("a", "scheduled"), ("a", "completed")]
    )


@pytest.mark.parametrize("one_at_a_time", [False, True])
def test_a_step_does_not_take_the_completion_of_its_namesake_for_its_own_mark(one_at_a_time: bool) -> None:
    swf = start(late_one, one_at_a_time=one_at_a_time).run()
    assert works(swf) == ["one", "two", "x"]
    assert swf.done == {"one/x", "one/a", "two/a"}


def test_readers_of_markers_of_steps_see_no_change() -> None:
    swf = start(late_one, done=["two/a"]).run()
    for marker in swf.markers:
        assert set(marker) == {"step", "status", "forced", "reasons"}
    places = [
        json.loads(event.details)
        for event in swf.history.events
        if event.type == "Marker" and event.marker_name == "asyncsteps.place"
    ]
    assert places == [{"bucket": "simulated-bucket", "prefix": "two/"}]


def test_one_prefix_needs_no_marker_of_its_place() -> None:
    def run(self: Any) -> None:
        futures.wait(self.submit(Group(*(At("one/", Step(name, task(name))) for name in "abc"))))

    swf = start(run, done=["one/b"]).run()
    assert swf.count()["Marker:recorded"] == len(swf.markers) == 5


@pytest.mark.parametrize("one_at_a_time", [False, True])
def test_a_listing_that_swf_refused_at_first_does_not_come_first(one_at_a_time: bool) -> None:
    # Else the markers that tell no place change their place, and what they decided is decided anew.
    def run(self: Any) -> None:
        one = At("one/", Step("a", task("one")))
        two = At("two/", Step("b", task("two"), force_steps_if_executed=["c"]))
        futures.wait(self.submit(Group(one, two, At("two/", Step("c", task("three"))))))

    refused = {f"asyncsteps.swf.tasks.{LIST}"}
    swf = start(run, done=["two/c"], one_at_a_time=one_at_a_time, refuse_first=refused).run()
    assert swf.status == "completed"
    assert sorted(told(swf)) == sorted((name, status) for name in "abc" for status in ("scheduled", "completed"))
    assert works(swf) == ["one", "three", "two"]
    assert swf.done == {"one/a", "two/b", "two/c"}


@pytest.mark.parametrize("count", range(44, 53))
def test_a_marker_and_that_of_its_place_never_part(count: int) -> None:
    def run(self: Any) -> None:
        submitted = [self.submit(At("one/", Step("x", task("x"))))]
        submitted += [self.submit(At("two/", Step(name, task(name)))) for name in names(count)]
        futures.wait(*submitted)

    swf = start(run, done=[*(f"two/{name}" for name in names(count)), "one/x"]).run()
    assert told(swf) == [("x", "skipped"), *((name, "skipped") for name in names(count))]
    for response in swf.responses:
        markers = [it for it in response if it["decisionType"] == "RecordMarker"]
        kinds = [it["recordMarkerDecisionAttributes"]["markerName"] for it in markers]
        first = ["log.step"] if len(kinds) % 2 else []  # that of x, which tells no place
        assert kinds == first + ["asyncsteps.place", "log.step"] * (len(kinds) // 2)


def test_each_withdraws_its_own_mark() -> None:
    def run(self: Any) -> None:
        self.add_forced_steps("a", "asked for")
        slow = Chain(task("pause"), At("one/", Step("a", task("one"))))
        futures.wait(self.submit(Group(slow, At("two/", Step("a", task("two"))))))

    swf = start(run, done=["one/a", "two/a"], one_at_a_time=True)
    swf.play = lambda swf, name, args, kwargs: 0 if name.endswith("pause") else in_bucket(swf, name, args, kwargs)
    swf.run()
    withdrawn = [args for name, args in swf.calls if name == WITHDRAW]
    assert sorted(args[1] for args in withdrawn) == ["one/", "two/"]
    assert swf.done == {"one/a", "two/a"}
    assert works(swf) == ["one", "two"]


@pytest.mark.parametrize("rounds", range(1, 12))
def test_an_execution_that_began_under_simpleflow_goes_on_one_after_the_other(rounds: int) -> None:
    def run(self: Any) -> None:
        for prefix in ("one/", "two/"):
            for name in "ab":
                futures.wait(self.submit(At(prefix, self.step(name, task(prefix + name)))))

    swf = start(run, mixin=TheirMixin, done=["two/a"])
    for _ in range(rounds):
        swf.step()
        swf.advance()
    swf.executor._workflow_class = start(run).workflow
    swf.executor._workflow_class.name = swf.workflow.name
    swf.run()
    assert works(swf) == ["one/a", "one/b", "two/b"]
    assert swf.done == {"one/a", "one/b", "two/a", "two/b"}
    assert [status for _, status in told(swf)].count("skipped") == 1


PLACES = ("one/", "two/", "three/")


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(PLACES), st.sampled_from("ab"), st.integers(0, 3)),
        min_size=1,
        max_size=5,
        unique_by=lambda it: it[:2],
    ),
    st.sets(st.sampled_from([place + name for place in PLACES for name in "ab"])),
    st.booleans(),
)
def test_each_prefix_comes_out_as_if_it_were_alone(
    plan: list[tuple[str, str, int]], done: set[str], one_at_a_time: bool
) -> None:
    def run(self: Any) -> None:
        chains = [
            Chain(
                *(task("pause", place, name, n) for n in range(pauses)), At(place, Step(name, task(place + name)))
            )
            for place, name, pauses in plan
        ]
        futures.wait(self.submit(Group(*chains)))

    swf = start(run, done=done, one_at_a_time=one_at_a_time).run()
    wanted = {place + name for place, name, _ in plan}
    assert swf.status == "completed"
    assert works(swf) == sorted(wanted - done)
    assert swf.done == done | wanted
    assert sorted(told(swf)) == sorted(
        (name, status)
        for place, name, _ in plan
        for status in (["skipped"] if place + name in done else ["scheduled", "completed"])
    )
