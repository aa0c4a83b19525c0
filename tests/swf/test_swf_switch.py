"""Deciders that change in mid-execution, from simpleflow's steps to ours and back, at every decision."""

import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from simpleflow import Workflow, futures
from simpleflow.task import ActivityTask
from swf_simulator import SimulatedSwf, workflow_class
from swf_switches import OURS, THEIRS, WORKFLOWS, begin, class_of, decided_by, outcome, switches
from swf_workflows import ACTIVITIES, LIST, MARK, WITHDRAW, names, sequence, start, task, told

from asyncsteps.swf._done.payload import part_form
from asyncsteps.swf._steps.done_list import DoneList
from asyncsteps.swf._steps.submission import Submission
from asyncsteps.swf.tasks import MarkStepDoneTask

GUIDE = Path(__file__).parents[2] / "docs" / "simpleflow-rollback.md"

DIRECTIONS = {"forward": (THEIRS, OURS), "back": (OURS, THEIRS)}

ONLY_RECORDED_TWICE = {("back", "forced and skipped")}
"""Where an ended execution may differ, and in its markers only: `Step(force=True)` has a reason with us alone."""


@pytest.fixture(scope="module", autouse=True)
def quiet() -> Iterator[None]:
    """simpleflow logs several lines a replay."""
    logger = logging.getLogger("simpleflow")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    yield
    logger.setLevel(level)


def documented(direction: str) -> dict[str, tuple[int, int]]:
    """The figures of the guide's table: points, and how many of them ended the same."""
    _, _, text = GUIDE.read_text(encoding="utf-8").partition(f"| {direction} |")
    table, _, _ = text.partition("\n\n")
    rows = re.findall(r"^\| ([a-z ]+) \| (\d+) \| (\d+) \|", table, re.MULTILINE)
    return {workflow: (int(points), int(same)) for workflow, points, same in rows}


@pytest.mark.parametrize("workflow", WORKFLOWS)
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_at_every_decision_the_other_deciders_end_what_was_begun(direction: str, workflow: str) -> None:
    points = list(switches(workflow, *DIRECTIONS[direction]))
    differs = {kind for point in points for kind in point.differs}
    assert differs == ({"markers"} if (direction, workflow) in ONLY_RECORDED_TWICE else set())
    assert documented(direction)[workflow] == (len(points), sum(not point.differs for point in points))


@pytest.mark.parametrize("workflow", WORKFLOWS)
def test_there_and_back_at_every_decision(workflow: str) -> None:
    """Deciders that change with each decision, as where both kinds poll one task list, lose and repeat no work."""
    theirs, ours = (outcome(begin(workflow, mixin, one_at_a_time=True).run()) for mixin in (THEIRS, OURS))
    for first in (OURS, THEIRS):
        swf = begin(workflow, first, one_at_a_time=True)
        while True:
            swf.step()
            if swf.status != "open":
                break
            assert swf.advance()
            decided_by(swf, workflow, OURS if (swf.rounds % 2 == 0) == (first is OURS) else THEIRS)
        ended = outcome(swf)
        assert set(ended.differences(theirs)) & set(ended.differences(ours)) <= {"markers"}


class TestProcedures:
    """The two that the guide recommends, begun at every decision of an execution that is in flight."""

    @pytest.fixture(params=WORKFLOWS)
    def workflow(self, request: pytest.FixtureRequest) -> str:
        return str(request.param)

    def in_flight(self, workflow: str) -> Iterator[SimulatedSwf]:
        for rounds in range(1, begin(workflow, OURS, one_at_a_time=True).run().rounds):
            swf = begin(workflow, OURS, one_at_a_time=True)
            for _ in range(rounds):
                swf.step()
                swf.advance()
            yield swf

    def test_drained_first_the_next_execution_skips_what_is_done(self, workflow: str) -> None:
        whole = outcome(begin(workflow, OURS, one_at_a_time=True).run())
        for old in self.in_flight(workflow):
            ended = outcome(old.run())
            assert ended == whole
            new = begin(workflow, THEIRS, one_at_a_time=True, done=old.done).run()
            assert old.done <= new.done
            again = {marker["step"] for marker in new.markers if marker["status"] == "completed"}
            forced = {marker["step"] for marker in new.markers if marker["forced"]}
            assert again & ended.done <= forced

    def test_of_two_versions_each_ends_on_the_deciders_of_its_task_list(self, workflow: str) -> None:
        wholes = {mixin: outcome(begin(workflow, mixin, one_at_a_time=True).run()) for mixin in (OURS, THEIRS)}
        for old in self.in_flight(workflow):
            new = begin(workflow, THEIRS, one_at_a_time=True, version="2")
            # Which deciders poll which task list, as both fleets are started.
            fleets = {
                class_of(workflow, OURS, "1").task_list: OURS,
                class_of(workflow, THEIRS, "2").task_list: THEIRS,
            }
            assert len(fleets) == 2
            while "open" in {old.status, new.status}:
                for swf in (new, old):
                    if swf.status == "open":
                        assert isinstance(swf.executor.workflow_class, type)
                        assert issubclass(swf.executor.workflow_class, fleets[swf.workflow.task_list])
                        swf.step()
                        swf.advance()
            assert (outcome(old), outcome(new)) == (wholes[OURS], wholes[THEIRS])

    def test_a_version_alone_does_not_keep_the_deciders_apart(self) -> None:
        """simpleflow's decider picks the workflow by its name, whatever the version: hence a task list each."""
        old = begin("steps in a row", OURS, one_at_a_time=True)
        old.step()
        old.advance()
        old.execution.workflow_type.version = "2"
        assert old.replay()

    def test_the_activities_of_steps_go_to_the_workers_of_both(self, workflow: str) -> None:
        for mixin, version in ((OURS, "1"), (THEIRS, "2")):
            swf = begin(workflow, mixin, one_at_a_time=True, version=version).run()
            lists = {
                event.task_list["name"]
                for event in swf.history.events
                if (event.type, event.state) == ("ActivityTask", "scheduled")
                and event.activity_type["name"].endswith("DoneTask")
            }
            assert lists == {"workers"}


class TestLongLists:
    """simpleflow's deciders cannot read the forms in which a long list travels."""

    def long(self) -> tuple[SimulatedSwf, Any]:
        done = {*names(3_000), *(f"other-{name}" for name in names(3_000))}
        run = sequence(["step-00001", "new", "step-00002"])
        ours, theirs = (workflow_class(Workflow, mixin, run=run, name="long") for mixin in (OURS, THEIRS))
        return SimulatedSwf(ours, done=done, activities=ACTIVITIES), theirs

    def test_going_back_fails_the_execution_at_once_and_plays_nothing_that_is_done(self) -> None:
        whole = self.long()[0].run()
        for rounds in range(2, whole.rounds):
            swf, theirs = self.long()
            for _ in range(rounds):
                swf.step()
                swf.advance()
            before = list(swf.calls)
            swf.executor._workflow_class = theirs
            swf.run()
            assert swf.status == "failed"
            assert "not iterable" in swf.result["reason"]
            assert swf.calls == before


class TestSharedIds:
    """The listing, and the first mark of a name, have the ids that simpleflow's steps give them."""

    def test_an_execution_that_began_with_ids_of_our_own_goes_on(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def marking_before(self: Submission) -> Any:
            task = self._activity(MarkStepDoneTask)
            return ActivityTask(task, self.state.bucket, self.state.prefix, self.step.step_name)

        run = sequence(["a", "b", "c"])
        whole = start(run, done=["b"]).run()
        for rounds in range(1, whole.rounds):
            swf = start(run, done=["b"])
            with monkeypatch.context() as before:
                before.setattr(DoneList, "_shared", lambda self: None)
                before.setattr(Submission, "_marking", marking_before)
                for _ in range(rounds):
                    swf.step()
                    swf.advance()
            swf.run()
            assert (swf.status, swf.done) == ("completed", {"a", "b", "c"})
            assert swf.scheduled == whole.scheduled == [LIST, "work", MARK, "work", MARK]
            assert swf.marker_texts == whole.marker_texts

    def test_the_listing_that_simpleflow_recorded_is_taken(self) -> None:
        def run(self: Any) -> Any:
            futures.wait(self.submit(self.step("a", task())))
            return self.get_steps_done()

        theirs, ours = (workflow_class(Workflow, mixin, run=run, name="listed") for mixin in (THEIRS, OURS))
        swf = SimulatedSwf(theirs, done={"y", "z"}, activities=ACTIVITIES)
        while "completed" not in [status for _, status in told(swf)]:
            swf.step()
            swf.advance()
        swf.executor._workflow_class = ours
        swf.run()
        assert swf.scheduled == [LIST, "work", MARK]
        assert json.loads(swf.result["result"]) == ["y", "z"]

    @pytest.mark.parametrize(
        "odd",
        [[5], {"form": "?"}, "names", True, None, part_form(names(100), limit=150)],
        ids=lambda odd: type(odd).__name__,
    )
    def test_a_listing_that_answers_no_list_and_no_number_is_refused(self, odd: Any) -> None:
        swf = start(sequence(["a"]), play=lambda *_: odd).run()
        assert swf.status == "failed"
        assert "DoneListError" in swf.result["reason"]
        assert swf.scheduled == [LIST]

    @pytest.mark.parametrize("again", [2, 3])
    def test_a_name_that_is_played_again_is_marked_again(self, again: int) -> None:
        """Else its mark, which was withdrawn before, would be lost: the id of the first mark is taken."""

        def run(self: Any) -> Any:
            for number in range(again):
                futures.wait(self.submit(self.step("a", task(number), force=True)))

        swf = start(run).run()
        assert swf.scheduled.count(WITHDRAW) == again - 1
        assert swf.scheduled.count(MARK) == again
        assert swf.done == {"a"}

    def test_without_idempotence_they_are_of_our_own_and_not_counted(self) -> None:
        """Else the second mark would have the id of the first, once that is completed, and be lost."""
        counted = {"get_step_activity_params": lambda self: {"idempotent": False}}
        swf = start(sequence(["a", "b", "c"]), done=["b"], attributes=counted).run()
        assert (swf.status, swf.done) == ("completed", {"a", "b", "c"})
        ids = [event.activity_id for event in swf.history.events if hasattr(event, "activity_id")]
        assert [it.split("-")[1] for it in ids if "DoneTask" in it] == [
            f"asyncsteps.swf.tasks.{name}" for name in (LIST, MARK, MARK)
        ]
        assert not any(it.rpartition("DoneTask-")[2].isdecimal() for it in ids)
