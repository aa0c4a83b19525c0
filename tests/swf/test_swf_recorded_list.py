"""An execution that began under simpleflow's own steps keeps the list of done steps that those recorded."""

import json
from typing import Any

import pytest
from simpleflow import Workflow, futures
from simpleflow.step.workflow import WorkflowStepMixin as TheirMixin
from simpleflow.task import ActivityTask
from swf_simulator import ActivityError, SimulatedSwf, play_activity, workflow_class
from swf_workflows import ACTIVITIES, LIST, WITHDRAW, play, sequence, task, told, work

from asyncsteps._plan.names import is_step_name
from asyncsteps.swf import WorkflowStepMixin
from asyncsteps.swf._done.payload import short_form
from asyncsteps.swf.tasks import WithdrawStepsDoneTask

TASKS = "asyncsteps.swf.tasks"
OURS = f"{TASKS}.{LIST}"
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


@pytest.mark.parametrize(
    ("step_names", "withdrawn"), [("strict", ["b", "b.c"]), ("simpleflow", ["2026/users", "b", "b.", "b.c"])]
)
def test_of_what_it_has_beside_steps_nothing_is_withdrawn(step_names: str, withdrawn: list[str]) -> None:
    recorded = ["older", "", "/b", "2026/users", "b", "b.", "b.c", "a/../b", "older"]

    def answer(swf: SimulatedSwf, name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        if LIST in name:
            return recorded
        if WITHDRAW in name:
            WithdrawStepsDoneTask(*args, **kwargs)
            withdrawals.append(kwargs["names"])
        return play_activity(swf, name, args, kwargs)

    def run(self: Any) -> Any:
        futures.wait(self.submit(self.step("first", task("first"))))
        futures.wait(self.submit(self.step("older", task("older"), force=True)))
        futures.wait(self.submit(self.step("last", task("last"), force_steps_if_executed=["*"])))
        return self.get_steps_done()

    withdrawals: list[Any] = []
    swf = steps(start(run, play=answer), 2)
    swf.executor._workflow_class = workflow_class(
        Workflow, WorkflowStepMixin, run=run, name=swf.workflow.name, step_names=step_names
    )
    swf.run()
    assert swf.status == "completed", swf.result
    assert withdrawals == [["older"], withdrawn]
    assert json.loads(swf.result["result"]) == recorded


def test_a_listing_of_the_users_own_has_nothing_withdrawn_beside_steps() -> None:
    swf = play(
        sequence(["a"], force_steps_if_executed=["*"]),
        attributes={"get_steps_done_activity": lambda self: ActivityTask(work, ["b", "/b", ""])},
    )
    (withdrawal,) = (
        it for it in swf.history.events if getattr(it, "activity_type", {}).get("name") == f"{TASKS}.{WITHDRAW}"
    )
    assert withdrawal.input["kwargs"]["names"] == ["b"]


@pytest.mark.parametrize("answer", [None, "ab", 7, {"form": "other"}])
def test_a_listing_of_the_users_own_that_answers_no_list_is_an_error_that_says_so(answer: Any) -> None:
    own = {"get_steps_done_activity": lambda self: ActivityTask(work, answer)}
    swf = play(sequence(["a"]), attributes=own)
    assert swf.status == "failed"
    assert f"DoneListError(the listing of done steps answered {answer!r}" in swf.result["reason"]


# Deciders of two releases, or with two settings.


def listed_in_full(swf: SimulatedSwf) -> None:
    """A decider of an earlier release lists anew, in the compact form, under an id of its own."""
    event = next(it for it in swf.history.events if getattr(it, "activity_type", {}).get("name") == OURS)
    earlier = {
        "activityId": f"activity-{OURS}-of-an-earlier-release",
        "activityType": {"name": OURS, "version": "1.0"},
        "input": json.dumps({"args": event.input["args"], "kwargs": {"compact": True}}),
    }
    swf.history.add_decision_task_completed()
    swf._schedule(earlier, swf.history.last_id)
    swf.advance()


@pytest.mark.parametrize("rounds", range(2, 9))
def test_the_first_one_stays_where_a_decider_of_an_earlier_release_lists_again(rounds: int) -> None:
    def begin() -> SimulatedSwf:
        workflow = workflow_class(Workflow, WorkflowStepMixin, run=count_up)
        return SimulatedSwf(workflow, done={"old", "older"}, activities=ACTIVITIES)

    swf = steps(begin(), rounds)
    listed_in_full(swf)
    swf.run()
    assert swf.result == begin().run().result == {"result": '["old","older"]'}
    assert listings(swf) == [OURS] * 2


@pytest.mark.parametrize("rounds", range(1, 8))
@pytest.mark.parametrize(("before", "after"), [("strict", "simpleflow"), ("simpleflow", "strict")])
def test_the_list_stays_where_the_rule_of_names_changes(before: Any, after: Any, rounds: int) -> None:
    done = [*(f"a.{number:05d}" for number in range(9_000)), "2026/users"]

    def answer(swf: SimulatedSwf, name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        if LIST in name:
            known = [it for it in sorted(swf.done) if is_step_name(it, by=kwargs.get("step_names", "strict"))]
            return short_form(known) if kwargs.get("compact") else len(known)
        if WITHDRAW in name:
            WithdrawStepsDoneTask(*args, **kwargs)
            withdrawals.append((kwargs["names"], kwargs.get("under")))
            return 0
        return play_activity(swf, name, args, kwargs)

    def run(self: Any) -> Any:
        for name in "bc":
            futures.wait(
                self.submit(
                    self.step(name, task(name), force_steps_if_executed=["2026", "2026/users"][: self.both])
                )
            )
        return len(self.get_steps_done())

    def class_by(step_names: Any) -> Any:
        both = 2 if step_names == "simpleflow" else 1
        return workflow_class(Workflow, WorkflowStepMixin, run=run, name="ruled", step_names=step_names, both=both)

    withdrawals: list[Any] = []
    swf = steps(SimulatedSwf(class_by(before), done=set(done), activities=ACTIVITIES, play=answer), rounds)
    counted = len(listings(swf))
    swf.executor._workflow_class = class_by(after)
    swf.run()
    assert swf.status == "completed", swf.result
    if counted == 2:
        assert swf.result == {"result": str(9_000 + (before == "simpleflow"))}
        assert len(listings(swf)) == 2


def test_what_the_rule_of_names_has_made_no_step_meanwhile_is_not_withdrawn() -> None:
    def class_by(step_names: Any) -> Any:
        run = sequence(["a", "b"], force_steps_if_executed=["*"])
        return workflow_class(Workflow, WorkflowStepMixin, run=run, name="ruled", step_names=step_names)

    swf = SimulatedSwf(class_by("simpleflow"), done={"2026/users", "old"}, activities=ACTIVITIES)
    swf.step()
    swf.advance()
    swf.executor._workflow_class = class_by("strict")
    swf.run()
    assert swf.done == {"2026/users", "a", "b"}
