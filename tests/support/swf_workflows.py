"""Workflows for the tests of steps on SWF: the activities they play, how they are made, and what came of them."""

from collections.abc import Callable
from typing import Any

from simpleflow import Workflow, activity, futures
from simpleflow.task import ActivityTask
from swf_simulator import ActivityError, SimulatedSwf, workflow_class

from asyncsteps.swf import WorkflowStepMixin


@activity.with_attributes(task_list="test", version="1", idempotent=False)
def work(what: Any = None) -> Any:
    """Does nothing, or fails on request."""
    if what == "fail":
        raise ActivityError(what)
    return what


@activity.with_attributes(task_list="test", version="1", idempotent=False, raises_on_failure=True)
def strict(what: Any = None) -> Any:
    """The same, but its failure ends the workflow."""
    return work.callable(what)


ACTIVITIES = {work.name: work, strict.name: strict}
MARK = "MarkStepDoneTask"
LIST = "GetStepsDoneTask"
WITHDRAW = "WithdrawStepsDoneTask"


def task(what: Any = None) -> ActivityTask:
    return ActivityTask(work, what)


def start(run: Callable[..., Any], *, done: Any = (), kwargs: Any = None, **options: Any) -> SimulatedSwf:
    attributes = options.pop("attributes", {})
    activities = {**ACTIVITIES, **options.pop("activities", {})}
    workflow = workflow_class(Workflow, WorkflowStepMixin, run=run, **attributes)
    return SimulatedSwf(workflow, {"kwargs": kwargs or {}}, done=set(done), activities=activities, **options)


def play(run: Callable[..., Any], **options: Any) -> SimulatedSwf:
    return start(run, **options).run()


def sequence(names: list[str], **options: Any) -> Callable[..., Any]:
    """A workflow's run: the steps, one after the other."""

    def run(self: Any, force: Any = (), skip: Any = ()) -> None:
        self.add_forced_steps(force, "asked for")
        self.add_skipped_steps(skip, "not wanted")
        for name in names:
            futures.wait(self.submit(self.step(name, task(name), **options)))

    return run


def names(count: int) -> list[str]:
    return [f"step-{number:05d}" for number in range(count)]


def told(swf: SimulatedSwf) -> list[tuple[str, str]]:
    return [(marker["step"], marker["status"]) for marker in swf.markers]
