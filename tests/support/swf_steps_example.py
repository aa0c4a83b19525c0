"""Both workflows of simpleflow's examples/step.py, with the import changed; deciders and workers import them."""

import os
from typing import Any

from simpleflow import Workflow, activity, futures, settings
from simpleflow.canvas import Group

from asyncsteps.swf import Step, WorkflowStepMixin


@activity.with_attributes(task_list="example", version="example", idempotent=True)
def multiply(*numbers: int) -> int:
    val = 1
    for n in numbers:
        val *= n
    return val


class StepWorkflow(Workflow, WorkflowStepMixin):
    name = "step"
    version = "example"
    task_list = "example"
    decision_tasks_timeout = "60"
    execution_timeout = "600"

    def get_step_bucket(self) -> str:
        return str(settings.STEP_BUCKET)

    def run(self) -> None:
        future = self.submit(
            Step(
                "my_step",
                Group(
                    (multiply, 1),
                    (multiply, 2),
                    (multiply, 3),
                ),
            )
        )
        futures.wait(future)

        # You can force the step even if already executed
        group = Group((multiply, 1), (multiply, 2), (multiply, 3))
        step = Step("my_step_force", group, force=True)
        futures.wait(self.submit(step))

        # You can play another activity group in the step was already computed
        group_done = Group(self.signal("DONE"))
        step = Step(
            "my_step_with_callback_done",
            group,
            activities_if_step_already_done=group_done,
        )
        futures.wait(self.submit(step))

        # You can emit a signal with the identifier step.{step_name}
        # after the step is executed (cached or not)
        step = Step("my_step_with_signal", group, emit_signal=True)
        futures.wait(self.submit(step))


class CustomizedStepWorkflow(Workflow, WorkflowStepMixin):
    name = "customized_step"
    version = "example"
    task_list = "example"
    decision_tasks_timeout = "60"
    execution_timeout = "600"

    def get_step_bucket(self) -> str:
        return str(settings.STEP_BUCKET)

    def get_step_path_prefix(self) -> str:
        return os.path.join("people", self.people_id, "steps")  # noqa: PTH118 - as in simpleflow's example

    def get_step_activity_params(self) -> dict[str, Any]:
        return {"task_list": "specific_task_list"}

    def run(self, people_id: str, force_steps: list[str] | None = None) -> None:
        self.people_id = people_id
        if force_steps:
            self.add_forced_steps(force_steps, reason="workflow_init")
        # Forcing of steps is multi-leveled: "a.b" forces "a.b" and all that starts with "a.b.".
        self.add_forced_steps(["a.b"])
        futures.wait(self.submit(self.step("a.b.c", multiply)))
        futures.wait(self.submit(self.step("d", multiply)))
        # You can also force all steps with "*".
        self.add_forced_steps("*")
        futures.wait(self.submit(self.step("e", multiply)))
