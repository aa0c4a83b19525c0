"""Activities of steps that are not idempotent: simpleflow counts their ids, in the order of a replay."""

from collections.abc import Iterator
from typing import Any

import pytest
from simpleflow import Workflow, futures
from simpleflow.base import SubmittableContainer
from simpleflow.canvas import Chain, Group
from simpleflow.step.workflow import WorkflowStepMixin as TheirMixin
from swf_lists import Lists
from swf_simulator import SimulatedSwf, workflow_class
from swf_switches import doing, job
from swf_workflows import LIST, MARK, names, told

from asyncsteps.swf import WorkflowStepMixin
from asyncsteps.swf._constants import MAX_LISTINGS
from asyncsteps.swf._steps import done_list

COUNTED = {"get_step_activity_params": lambda self: {"idempotent": False}}


@pytest.fixture(autouse=True)
def no_snapshots() -> Iterator[None]:
    done_list._snapshots.clear()
    yield
    done_list._snapshots.clear()


def begin(run: Any, lists: Lists, monkeypatch: pytest.MonkeyPatch, **options: Any) -> SimulatedSwf:
    monkeypatch.setattr(done_list, "read_snapshot", lists.read)
    attributes = {"get_step_path_prefix": lambda self: getattr(self, "prefix", "one/"), **COUNTED}
    workflow = workflow_class(Workflow, WorkflowStepMixin, run=run, **attributes)
    done = {f"one/{name}" for name in names(40)} | {f"two/other-{number:02d}" for number in range(40)}
    return SimulatedSwf(workflow, done=done, activities={doing.name: doing}, play=lists.play, **options)


class At(SubmittableContainer):  # type: ignore[misc]
    """Submits a step under a prefix."""

    def __init__(self, prefix: str, step: Any) -> None:
        self.prefix, self.step = prefix, step

    def submit(self, executor: Any) -> Any:
        executor.workflow.prefix = self.prefix
        return executor.workflow.submit(self.step)


CASES = {
    "in parts": lambda: Lists(in_parts=True),
    "gone once": lambda: Lists(gone=1),
    "gone twice": lambda: Lists(gone=2),
    "always gone": lambda: Lists(gone=100),
}


@pytest.mark.parametrize("one_at_a_time", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_steps_side_by_side_list_once(case: str, one_at_a_time: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(self: Any) -> Any:
        wanted = ("step-00003", "new", "step-00037")
        futures.wait(self.submit(Group(*(self.step(name, job(name)) for name in wanted))))
        return list(self.get_steps_done()) == names(40)

    swf = begin(run, CASES[case](), monkeypatch, one_at_a_time=one_at_a_time).run()
    assert swf.status == "completed", swf.result
    assert swf.result == {"result": "true"}
    assert sorted(told(swf)) == [
        ("new", "completed"),
        ("new", "scheduled"),
        ("step-00003", "skipped"),
        ("step-00037", "skipped"),
    ]
    if case.startswith("gone"):
        assert swf.scheduled.count(LIST) <= MAX_LISTINGS


@pytest.mark.parametrize("one_at_a_time", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_prefixes_side_by_side_keep_their_lists(
    case: str, one_at_a_time: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(self: Any) -> Any:
        submitted = []
        for self.prefix, wanted in (("one/", ("step-00003", "a")), ("two/", ("other-03", "b"))):
            submitted += [self.submit(self.step(name, job(name))) for name in wanted]
        futures.wait(*submitted)
        counts = []
        for self.prefix in ("one/", "two/"):
            counts.append(sorted({name.partition("-")[0] for name in self.get_steps_done()}))
        return counts

    swf = begin(run, CASES[case](), monkeypatch, one_at_a_time=one_at_a_time).run()
    assert swf.status == "completed", swf.result
    assert swf.result == {"result": '[["step"],["other"]]'}
    assert sorted(told(swf)) == [
        *((name, status) for name in "ab" for status in ("completed", "scheduled")),
        ("other-03", "skipped"),
        ("step-00003", "skipped"),
    ]


@pytest.mark.parametrize("one_at_a_time", [False, True])
@pytest.mark.parametrize("pauses", range(5))
def test_each_step_is_marked(pauses: int, one_at_a_time: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(self: Any) -> None:
        slow = Chain(*(job(f"pause {number}") for number in range(pauses)), self.step("slow", job("slow")))
        futures.wait(self.submit(Group(slow, *(self.step(name, job(name)) for name in "abc"))))

    swf = begin(run, Lists(in_parts=True), monkeypatch, one_at_a_time=one_at_a_time)
    before = set(swf.done)
    swf.run()
    assert swf.status == "completed"
    assert swf.done - before == {"one/slow", "one/a", "one/b", "one/c"}
    assert swf.scheduled.count(MARK) == 4


def test_a_name_that_is_played_again_is_marked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(self: Any) -> None:
        for number in range(3):
            futures.wait(self.submit(self.step("a", job(f"a {number}"), force=True)))

    swf = begin(run, Lists(in_parts=True), monkeypatch)
    swf.run()
    assert swf.status == "completed"
    assert swf.scheduled.count(MARK) == 3
    assert "one/a" in swf.done


def test_a_listing_of_the_users_own_is_another_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(self: Any) -> Any:
        futures.wait(self.submit(self.step("a", job("a"))))
        own = self.submit(self.get_steps_done_activity())
        futures.wait(own, self.submit(self.step("b", job("b"))))
        return own.result[0], len(own.result)

    swf = begin(run, Lists(), monkeypatch).run()
    assert swf.result == {"result": '["a",41]'}


@pytest.mark.parametrize("one_at_a_time", [False, True])
@pytest.mark.parametrize("rounds", range(1, 7))  # later on simpleflow mixes its lists up itself
def test_an_execution_that_began_under_simpleflow_keeps_its_lists(rounds: int, one_at_a_time: bool) -> None:
    def run(self: Any) -> Any:
        slow = Chain(
            *(job(f"pause {number}") for number in range(6)), At("one/", self.step("step-00003", job("no")))
        )
        futures.wait(
            self.submit(Group(At("one/", self.step("a", job("a"))), slow, At("two/", self.step("b", job("b")))))
        )
        futures.wait(self.submit(At("two/", self.step("other-03", job("no")))))
        return [self.get_steps_done()[0]]

    def class_of(mixin: Any) -> Any:
        where = {"prefix": "one/", "get_step_path_prefix": lambda self: self.prefix}
        return workflow_class(Workflow, mixin, run=run, name="counted", **where, **COUNTED)

    lists = Lists()
    done = {"one/step-00003", "two/other-03"}
    swf = SimulatedSwf(
        class_of(TheirMixin),
        done=set(done),
        activities={doing.name: doing},
        play=lists.play,
        one_at_a_time=one_at_a_time,
    )
    while swf.status == "open":
        if swf.rounds == rounds:
            swf.executor._workflow_class = class_of(WorkflowStepMixin)
        swf.step()
        assert swf.status != "open" or swf.advance()
    assert swf.result == {"result": '["other-03"]'}
    assert "no" not in [args[0] for name, args in swf.calls]
    assert swf.done == done | {"one/a", "two/b"}


class TestInFlight:
    """Executions whose ids an earlier release of asyncsteps counted."""

    def count_ids(self, swf: SimulatedSwf) -> None:
        """Give what is recorded of the activities of steps the ids that simpleflow counts."""
        counts: dict[str, int] = {}
        known: dict[str, str] = {}
        for event in swf.history.events:
            if (event.type, event.state) != ("ActivityTask", "scheduled"):
                continue
            name = event.activity_type["name"]
            if name.rpartition(".")[2] in {LIST, MARK}:
                if event.activity_id not in known:
                    counts[name] = counts.get(name, 0) + 1
                    known[event.activity_id] = f"activity-{name}-{counts[name]}"
                event.activity_id = known[event.activity_id]

    @pytest.mark.parametrize("case", ["in parts", "gone once", "always gone"])
    @pytest.mark.parametrize("rounds", range(1, 13))
    def test_go_on(self, rounds: int, case: str, monkeypatch: pytest.MonkeyPatch) -> None:
        def run(self: Any) -> Any:
            for name in ("step-00003", "a", "b", "step-00037"):
                futures.wait(self.submit(self.step(name, job(name))))
            futures.wait(self.submit(self.step("a", job("again"), force=True)))
            return len(self.get_steps_done())

        def follow(counted_at: int) -> SimulatedSwf:
            done_list._snapshots.clear()
            swf = begin(run, CASES[case](), monkeypatch)
            while swf.status == "open":
                if swf.rounds == counted_at:
                    self.count_ids(swf)
                swf.step()
                assert swf.status != "open" or swf.advance()
            return swf

        whole, counted = follow(-1), follow(rounds)
        assert counted.status == "completed", counted.result
        assert counted.result == whole.result == {"result": "40"}
        assert counted.scheduled == whole.scheduled
        assert counted.done == whole.done > {"one/a", "one/b"}
        assert told(counted) == told(whole)
