"""Workflows of no-op steps, one after the other: with our mixin, with simpleflow's, and with no steps at all."""

from typing import Any

from simpleflow import Workflow, activity, futures
from simpleflow.canvas import Chain
from simpleflow.step import tasks as simpleflow_tasks
from simpleflow.step.workflow import WorkflowStepMixin as SimpleflowMixin
from simpleflow.task import ActivityTask

from asyncsteps.swf import WorkflowStepMixin, tasks

TASK_LIST = "bench"
BUCKET = "bench-steps"


@activity.with_attributes(task_list=TASK_LIST, version="1", idempotent=False)
def work(number: int) -> int:
    """The work of a step."""
    return number


def step_names(count: int) -> list[str]:
    """The names of the steps."""
    return [f"step-{number:05d}" for number in range(count)]


class _Common(Workflow):
    version = "1"
    task_list = TASK_LIST
    decision_tasks_timeout = "300"
    execution_timeout = "3600"

    def get_step_bucket(self) -> str:
        return BUCKET


class Ours(_Common, WorkflowStepMixin):
    """Steps of asyncsteps."""

    name = "ours"

    def run(self, count: int) -> None:
        """Play the steps."""
        for number, name in enumerate(step_names(count)):
            futures.wait(self.submit(self.step(name, ActivityTask(work, number))))


class Theirs(_Common, SimpleflowMixin):
    """Steps of simpleflow."""

    name = "theirs"

    def run(self, count: int) -> None:
        """Play the steps."""
        for number, name in enumerate(step_names(count)):
            futures.wait(self.submit(self.step(name, ActivityTask(work, number))))


class Bare(_Common):
    """The same activities in chains, with no steps around them: what simpleflow's canvas and history cost."""

    name = "bare"

    def run(self, count: int) -> None:
        """Play the chains."""
        marking: Any = mark_activity(Bare)
        for number, name in enumerate(step_names(count)):
            mark = ActivityTask(marking, BUCKET, "default/steps/", name)
            futures.wait(self.submit(Chain(ActivityTask(work, number), mark)))


WORKFLOWS: dict[str, Any] = {"asyncsteps": Ours, "simpleflow": Theirs, "no steps": Bare}


def mark_activity(workflow: Any) -> Any:
    """The activity that marks the steps of a workflow."""
    marking = simpleflow_tasks.MarkStepDoneTask if workflow is Theirs else tasks.MarkStepDoneTask
    return activity.Activity(marking, task_list=TASK_LIST, version="1.0", idempotent=True)


def list_activity() -> Any:
    """The activity that lists simpleflow's done steps."""
    return activity.Activity(
        simpleflow_tasks.GetStepsDoneTask, task_list=TASK_LIST, version="1.0", idempotent=True
    )
