"""An execution that began under simpleflow's own steps keeps the list of done steps that those recorded."""

from typing import Any

import pytest
from simpleflow import Workflow, futures
from simpleflow.step.workflow import WorkflowStepMixin as TheirMixin
from swf_simulator import ActivityError, SimulatedSwf, play_activity, workflow_class
from swf_workflows import ACTIVITIES, LIST, task, told

from asyncsteps.swf import WorkflowStepMixin

OURS = f"asyncsteps.swf.tasks.{LIST}"
THEIRS = f"simpleflow.step.tasks.{LIST}"


def count_up(self: Any) -> list[Any]:
    """A run that plays a step, and then loops over the done steps; the results tell which they were."""
    futures.wait(self.submit(self.step("new", task("new"))))
    results = []
    for name in self.get_steps_done():
        future = self.submit(task(name))
        futures.wait(future)
        results.append(future.result)
    futures.wait(self.submit(self.step("old", task("old"))))
    return results


def listings(swf: SimulatedSwf) -> list[str]:
    return [
        event.activity_type["name"]
        for event in swf.history.events
        if event.type == "ActivityTask" and event.state == "scheduled" and LIST in event.activity_type["name"]
    ]


def start(run: Any = count_up, **options: Any) -> SimulatedSwf:
    workflow = workflow_class(Workflow, TheirMixin, run=run)
    return SimulatedSwf(workflow, done={"old", "older"}, activities=ACTIVITIES, **options)


def switch(swf: SimulatedSwf, mixin: Any = WorkflowStepMixin) -> None:
    swf.executor._workflow_class = workflow_class(
        Workflow, mixin, run=swf.workflow.run, name=swf.workflow.name, withdraw_invalidated=False
    )


def steps(swf: SimulatedSwf, rounds: int) -> SimulatedSwf:
    for _ in range(rounds):
        swf.step()
        swf.advance()
    return swf


ROUNDS = start().run().rounds


@pytest.mark.parametrize("one_at_a_time", [False, True])
@pytest.mark.parametrize("rounds", range(1, ROUNDS))
def test_at_whatever_point_it_goes_on_under_ours(rounds: int, one_at_a_time: bool) -> None:
    theirs = start().run()
    swf = steps(start(one_at_a_time=one_at_a_time), rounds)
    switch(swf)
    swf.run()
    assert swf.result == theirs.result == {"result": '["old","older"]'}
    assert listings(swf) == [THEIRS]
    assert swf.done == theirs.done
    assert told(swf) == told(theirs)


def test_one_that_is_under_way_is_waited_for() -> None:
    swf = start()
    swf.step()
    switch(swf)
    swf.advance()
    swf.run()
    assert listings(swf) == [THEIRS]
    assert told(swf)[-1] == ("old", "skipped")


def test_one_that_failed_is_tried_again_as_its_retry_says() -> None:
    failures = iter(["not now"])

    def fail_once(swf: SimulatedSwf, name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        if LIST in name and (failure := next(failures, None)):
            raise ActivityError(failure)
        return play_activity(swf, name, args, kwargs)

    swf = steps(start(play=fail_once), 1)
    switch(swf)
    swf.run()
    assert swf.result == {"result": '["old","older"]'}
    assert listings(swf) == [THEIRS] * 2


def test_it_is_taken_as_it_was_recorded_in_its_order() -> None:
    def answer(swf: SimulatedSwf, name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        return ["older", "/of a longer prefix", "old"] if LIST in name else play_activity(swf, name, args, kwargs)

    swf = steps(start(play=answer), 3)
    switch(swf)
    swf.run()
    assert swf.result == {"result": '["older","/of a longer prefix","old"]'}


def test_the_first_listing_stays_where_deciders_change_twice() -> None:
    ours = SimulatedSwf(
        workflow_class(Workflow, WorkflowStepMixin, run=count_up),
        done={"old", "older"},
        activities=ACTIVITIES,
    )
    steps(ours, 3)
    switch(ours, TheirMixin)
    steps(ours, 2)
    assert len(listings(ours)) == 1  # simpleflow's deciders take it too
    ours.executor._workflow_class = ours.workflow
    ours.run()
    assert ours.result == {"result": '["old","older"]'}
    assert listings(ours) == [OURS]


def test_the_listing_of_another_prefix_is_not_taken() -> None:
    def run(self: Any) -> list[int]:
        counts = []
        for self.prefix in ("one/", "two/"):
            counts.append(len(self.get_steps_done()))
        return counts

    def answer(swf: SimulatedSwf, name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        return ["a"] if args[1] == "one/" else ["a", "b"]

    attributes = {"get_step_path_prefix": lambda self: self.prefix}
    swf = SimulatedSwf(workflow_class(Workflow, TheirMixin, run=run, **attributes), play=answer)
    steps(swf, 1)
    swf.executor._workflow_class = workflow_class(Workflow, WorkflowStepMixin, run=run, **attributes)
    swf.run()
    assert swf.result == {"result": "[1,2]"}
    assert listings(swf) == [THEIRS, OURS]


def test_the_hook_of_the_listing_gives_the_same() -> None:
    class Customised:
        """A mixin of a workflow that changes what its base class makes."""

        def get_steps_done_activity(self) -> Any:
            listing = super().get_steps_done_activity()  # type: ignore[misc]
            listing.activity.task_priority = 7
            return listing

    def run(self: Any) -> Any:
        futures.wait(self.submit(self.step("new", task())))
        return self.submit(self.get_steps_done_activity()).result, self.get_steps_done()

    their, our = (
        workflow_class(Workflow, Customised, mixin, run=run, name="both")
        for mixin in (TheirMixin, WorkflowStepMixin)
    )
    swf = steps(SimulatedSwf(their, done={"old"}, activities=ACTIVITIES), 3)
    swf.executor._workflow_class = our
    swf.run()
    assert swf.result == {"result": '[["old"],["old"]]'}
    assert listings(swf) == [THEIRS]
