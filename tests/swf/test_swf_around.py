"""What lies around steps in simpleflow: repairs, child workflows, selectors that come late, handled failures.

Each is played with simpleflow's steps and with ours, and with deciders that change in between.
"""

import json
import logging
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from simpleflow import Workflow, futures
from simpleflow.canvas import Group
from simpleflow.task import TaskFailureContext
from swf_family import FamilySwf, KeyedBucket, repaired
from swf_simulator import ActivityError, SimulatedSwf, play_activity, workflow_class
from swf_switches import OURS, THEIRS, Outcome, doing, job, outcome, played
from swf_workflows import ACTIVITIES, LIST, MARK, WITHDRAW, told

BOTH = (OURS, THEIRS)
ALL = {**ACTIVITIES, doing.name: doing}
Decision = TaskFailureContext.Decision


@pytest.fixture(scope="module", autouse=True)
def quiet() -> Iterator[None]:
    logger = logging.getLogger("simpleflow")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    yield
    logger.setLevel(level)


def everywhere(
    begin: Callable[[Any], SimulatedSwf], *, act: Callable[[SimulatedSwf], None] | None = None
) -> Outcome:
    """Play an execution under either kind of decider, and with each switch from one to the other.

    Args:
        begin: Begins an execution whose workflow has a mixin.
        act: Called before each decision.

    Returns:
        How the execution ends: in all cases alike, but for the markers.
    """

    def played_to_its_end(before: Any, after: Any, rounds: int) -> SimulatedSwf:
        swf = begin(before)
        while swf.status == "open":
            if swf.rounds == rounds:
                swf.executor._workflow_class = begin(after).workflow
            if act is not None:
                act(swf)
            swf.step()
            assert swf.status != "open" or swf.advance(), swf.event_types[-5:]
        return swf

    expected = outcome(played_to_its_end(THEIRS, THEIRS, -1))
    for before, after in ((OURS, OURS), (THEIRS, OURS), (OURS, THEIRS)):
        for rounds in range(1, played_to_its_end(before, before, -1).rounds):
            ended = outcome(played_to_its_end(before, after, rounds))
            assert set(ended.differences(expected)) <= {"markers"}, (before, after, rounds)
    return expected


class TestRepair:
    """``simpleflow standalone --repair``: what the former execution completed is not played again."""

    def run(self, workflow: Any) -> Any:
        results = []
        for name in ("a", "done", "b", "c"):
            future = workflow.submit(
                workflow.step(name, Group(job(f"{name} 1"), job(f"{name} 2")), force=name == "b")
            )
            futures.wait(future)
            results.append(name)
        workflow.submit(job("at the end")).result  # noqa: B018 - it raises
        return results

    def begin(self, mixin: Any, *, broken: str = "", done: Any = ()) -> SimulatedSwf:
        def play(swf: SimulatedSwf, name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
            if args and args[0] == broken:
                raise ActivityError("broken")
            return play_activity(swf, name, args, kwargs)

        case = self

        def run(self: Any) -> Any:
            return case.run(self)

        strict = {"on_task_failure": lambda self, context: _aborts(context)}
        workflow = workflow_class(Workflow, mixin, run=run, name="repaired", **strict)
        return SimulatedSwf(workflow, done={"done", "b", *done}, activities=ALL, play=play)

    @pytest.mark.parametrize("broken", ["a 1", "b 2", "c 1", "at the end"])
    @pytest.mark.parametrize("repairing", BOTH)
    @pytest.mark.parametrize("failing", BOTH)
    def test_a_failed_execution_is_repaired(self, failing: Any, repairing: Any, broken: str) -> None:
        former = self.begin(failing, broken=broken).run()
        assert former.status == "failed"
        with repaired(self.begin(repairing, done=former.done), former) as swf:
            swf.run()
        assert swf.status == "completed"
        assert swf.done == {"a", "done", "b", "c"}
        both = Counter(args[0] for it in (former, swf) for name, args in it.calls if name == "doing")
        assert both.pop(broken) > 1
        assert set(both.values()) == {1}
        assert {name for name, _ in told(swf)} == {"a", "done", "b", "c"}
        assert ("done", "skipped") in told(swf)

    @pytest.mark.parametrize("repairing", BOTH)
    def test_activities_are_forced_by_the_ids_that_simpleflow_gives_them(self, repairing: Any) -> None:
        former = self.begin(THEIRS, broken="at the end").run()
        fresh = self.begin(repairing)
        with repaired(fresh, former, force_activities=r"simpleflow\.step\.tasks\.MarkStepDoneTask") as swf:
            swf.run()
        assert sorted(args[2] for name, args in swf.calls if name == MARK) == ["a", "b", "c"]


def _aborts(context: TaskFailureContext) -> TaskFailureContext:
    context.decision = Decision.none
    if context.a_task.name.endswith("doing"):
        assert context.future is not None
        raise context.exception_class(context.a_task, context.future.exception)
    return context


class TestChildWorkflows:
    """A child has steps of its own, under a prefix of its own workflow id."""

    def classes(self, mixin: Any, *, fails: bool = False) -> tuple[Any, dict[str, Any]]:
        def run_child(self: Any, name: str) -> Any:
            future = self.submit(self.step("inner", job(f"{name} 1")))
            futures.wait(future)
            if fails:
                raise ValueError("child")
            return played(future)

        child = workflow_class(Workflow, mixin, run=run_child, raises_on_failure=False, retry=0)

        def run(self: Any) -> Any:
            first = self.submit(self.step("a", (child, "first")))
            futures.wait(first)
            both = self.submit(Group(self.step("b", (child, "second")), self.step("c", job("c 1"))))
            futures.wait(both)
            return self.submit(child, "third").result

        return workflow_class(Workflow, mixin, run=run), {f"{child.__module__}.{child.__name__}": child}

    def begin(self, mixin: Any, **options: Any) -> FamilySwf:
        parent, kin = self.classes(mixin, **options)
        return FamilySwf(parent, activities=ALL, play=KeyedBucket(), kin=kin)

    @pytest.mark.parametrize("mixin", BOTH)
    def test_steps_of_parent_and_children(self, mixin: Any) -> None:
        swf = self.begin(mixin)
        swf.run()
        assert swf.status == "completed", swf.result
        assert json.loads(swf.result["result"]) == "third 1"
        assert [child.status for child in swf.children] == ["completed"] * 3
        bucket = swf.play
        assert isinstance(bucket, KeyedBucket)
        assert bucket.done["parent/steps/"] == {"a", "b", "c"}
        children = {prefix: names for prefix, names in bucket.done.items() if prefix != "parent/steps/"}
        assert len(children) == 3
        assert set(children) == {f"{child.workflow_id}/steps/" for child in swf.children}
        assert all(names == {"inner"} for names in children.values())
        for child in swf.children:
            assert told(child) == [("inner", "scheduled"), ("inner", "completed")]

    @pytest.mark.parametrize("mixin", BOTH)
    def test_a_child_that_fails_leaves_the_step_undone(self, mixin: Any) -> None:
        swf = self.begin(mixin, fails=True)
        swf.run()
        bucket = swf.play
        assert isinstance(bucket, KeyedBucket)
        assert bucket.done["parent/steps/"] == {"c"}
        assert [child.status for child in swf.children] == ["failed"] * 3

    def test_the_two_kinds_are_alike(self) -> None:
        ours, theirs = (self.begin(mixin) for mixin in BOTH)
        assert outcome(ours.run()).differences(outcome(theirs.run())) == ()


class TestLateSelectors:
    """Selectors that a signal brings act on the steps that are not decided yet."""

    def begin(self, mixin: Any) -> SimulatedSwf:
        def run(self: Any) -> Any:
            futures.wait(self.submit(self.step("a", job("a 1"))))
            for kind, add in (("force", self.add_forced_steps), ("skip", self.add_skipped_steps)):
                given = self.get_event_details("signal", kind)
                if given:
                    add(given["input"], "signalled")
            futures.wait(self.submit(self.step("done", job("done 1"))))
            futures.wait(self.submit(self.step("new", job("new 1"))))
            return "end"

        workflow = workflow_class(Workflow, mixin, run=run, name="late")
        return SimulatedSwf(workflow, done={"done"}, activities=ALL, one_at_a_time=True)

    @pytest.mark.parametrize("forced", ["done", "*"])
    def test_forced_before_they_are_reached(self, forced: str) -> None:
        def act(swf: SimulatedSwf) -> None:
            if swf.rounds == 1:
                swf.signal("force", [forced])

        ended = everywhere(self.begin, act=act)
        assert dict(ended.work) == {"a 1": 1, "done 1": 1, "new 1": 1}

    def test_skipped_before_they_are_reached(self) -> None:
        def act(swf: SimulatedSwf) -> None:
            if swf.rounds == 1:
                swf.signal("skip", ["new"])

        assert dict(everywhere(self.begin, act=act).work) == {"a 1": 1}

    def test_too_late_changes_nothing(self) -> None:
        """simpleflow decides anew at each replay (row 16), so this is of ours alone, at whichever decision."""
        whole = self.begin(OURS).run()
        decided = next(
            rounds
            for rounds in range(whole.rounds)
            if self.decided(rounds, ("done", "skipped"), ("new", "scheduled"))
        )
        for late in range(decided, whole.rounds):
            swf = self.begin(OURS)
            while swf.status == "open":
                if swf.rounds == late:
                    swf.signal("force", ["*"])
                swf.step()
                assert swf.status != "open" or swf.advance()
            assert outcome(swf) == outcome(whole)

    def decided(self, rounds: int, *wanted: tuple[str, str]) -> bool:
        swf = self.begin(OURS)
        for _ in range(rounds):
            swf.step()
            swf.advance()
        return set(wanted) <= set(told(swf))


class TestHandledFailures:
    """`on_task_failure`, for the activities of a step, and for those that list, mark and withdraw."""

    def begin(
        self, mixin: Any, *, failing: dict[str, int], decision: Any, wait: int | None = None
    ) -> SimulatedSwf:
        def run(self: Any) -> Any:
            ended = []
            for name in ("a", "done", "b"):
                step = self.step(name, job(f"{name} 1"), force=name == "done", force_steps_if_executed=["later"])
                future = self.submit(step)
                futures.wait(future)
                ended.append(future.exception is None)
            futures.wait(self.submit(self.step("later", job("later 1"))))
            return ended

        def on_task_failure(self: Any, context: TaskFailureContext) -> TaskFailureContext:
            context.decision = decision
            context.retry_wait_timeout = wait
            return context

        left: Counter[str] = Counter(failing)

        def play(swf: SimulatedSwf, name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
            for what in (name.rpartition(".")[2], str(args[0])):
                if left[what] > 0:
                    left[what] -= 1
                    raise ActivityError("not yet")
            return play_activity(swf, name, args, kwargs)

        workflow = workflow_class(Workflow, mixin, run=run, name="handled", on_task_failure=on_task_failure)
        return SimulatedSwf(workflow, done={"done", "later"}, activities=ALL, play=play)

    @pytest.mark.parametrize("times", [2])
    @pytest.mark.parametrize("what", ["a 1", "done 1", LIST, MARK])
    @pytest.mark.parametrize(
        ("decision", "wait"),
        [(Decision.retry_now, None), pytest.param(Decision.retry_later, 5, marks=pytest.mark.long)],
    )
    def test_retried_for_as_long_as_it_says(self, decision: Any, wait: int | None, what: str, times: int) -> None:
        ended = everywhere(
            lambda mixin: self.begin(mixin, failing={what: times}, decision=decision, wait=wait),
        )
        assert ended.done == {"a", "done", "b", "later"}
        tries = dict(ended.work)
        assert tries.pop(what, times + 1) == times + 1
        assert set(tries.values()) == {1}

    @pytest.mark.parametrize("times", [1, 3])
    @pytest.mark.parametrize(("decision", "wait"), [(Decision.retry_now, None), (Decision.retry_later, 5)])
    def test_a_withdrawal_is_retried_too(self, decision: Any, wait: int | None, times: int) -> None:
        swf = self.begin(OURS, failing={WITHDRAW: times}, decision=decision, wait=wait).run()
        assert swf.status == "completed"
        assert swf.scheduled.count(WITHDRAW) > times
        assert swf.done == {"a", "done", "b", "later"}
        assert [status for name, status in told(swf) if name == "later"] == ["scheduled", "completed"]

    def test_ignored(self) -> None:
        ours, theirs = (
            outcome(self.begin(mixin, failing={"a 1": 1}, decision=Decision.ignore).run()) for mixin in BOTH
        )
        assert set(ours.differences(theirs)) <= {"markers"}

    @pytest.mark.parametrize("mixin", BOTH)
    def test_a_cancelled_link_holds_its_chain_up_with_either(self, mixin: Any) -> None:
        """simpleflow's chains wait for it for ever; docs/simpleflow-differences.md says so."""
        with pytest.raises(AssertionError, match="hangs"):
            self.begin(mixin, failing={"a 1": 1}, decision=Decision.cancel).run()
