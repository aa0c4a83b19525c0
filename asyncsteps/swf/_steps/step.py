"""`Step`, the submittable: what to play under a name, with the signature and attributes of simpleflow's."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from simpleflow import futures
from simpleflow.base import SubmittableContainer

from asyncsteps._errors import StepDefinitionError
from asyncsteps._plan.model import StepRules
from asyncsteps._plan.names import SIMPLEFLOW, as_selectors, check_step_name
from asyncsteps._tasks.step import Step as NativeStep
from asyncsteps.swf._convert.convert import convert, to_simpleflow
from asyncsteps.swf._errors import NotConvertibleError
from asyncsteps.swf._steps.entered import workflow_of

if TYPE_CHECKING:
    from simpleflow.executor import Executor

__all__ = ["Step", "to_simpleflow"]


class Step(SubmittableContainer):
    """A named unit of work, recorded as done so that the next run of the workflow skips it.

    A name that no workflow may play is refused when the step is made. The rule that the workflow sets
    (``step_names``) is applied when the step is submitted.

    Args:
        step_name: Name of the step.
        activities: What to play: a submittable of simpleflow's (an activity, a task, a chain, a group, ...), a
            tuple of an activity and its arguments, or a native submittable; not a list.
        force: Whether to force this submission even if the step is done.
        activities_if_step_already_done: What to play when the step is skipped.
        emit_signal: Whether to send the signal ``step.{step_name}`` once the step is played or skipped.
        force_steps_if_executed: Selectors of the dependents, which are forced when this step is played.
        bubbles_exception_on_failure: Whether a failure reaches the surrounding chain.

    Raises:
        StepNameError: When the name's key could leave the prefix, or not be stored.
        SelectorError: When a selector is no str.
        StepDefinitionError: When the activities cannot be submitted.
    """

    def __init__(
        self,
        step_name: str,
        activities: Any,
        force: bool = False,
        activities_if_step_already_done: Any = None,
        emit_signal: bool = False,
        force_steps_if_executed: Sequence[str] | None = None,
        bubbles_exception_on_failure: bool = False,
    ) -> None:
        self.step_name = check_step_name(step_name, by=SIMPLEFLOW)
        self.activities = self._submittable(activities)
        self.force = force
        self.activities_if_step_already_done = (
            self._submittable(activities_if_step_already_done)
            if activities_if_step_already_done is not None
            else None
        )
        self.emit_signal = emit_signal
        self.force_steps_if_executed = list(as_selectors(force_steps_if_executed or (), by=SIMPLEFLOW))
        self.bubbles_exception_on_failure = bubbles_exception_on_failure

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.step_name!r}>"

    def _submittable(self, activities: Any) -> Any:
        try:
            return to_simpleflow(activities)
        except StepDefinitionError as error:
            error.add_note(f"It was given to step {self.step_name!r}.")
            raise

    def rules(self) -> StepRules:
        """What the planner needs to know of the step."""
        return StepRules(
            self.step_name,
            force=bool(self.force),
            has_alternative=self.activities_if_step_already_done is not None,
            emit_signal=bool(self.emit_signal),
            force_steps_if_executed=as_selectors(self.force_steps_if_executed, by=SIMPLEFLOW),
        )

    def submit(self, executor: "Executor") -> futures.Future:
        """Submit the step to the workflow of ``executor``; called by simpleflow.

        Raises:
            StepDefinitionError: When that workflow lacks the mixin.
            StepNameError: When the name breaks the workflow's rule, or prefix and name make too long a key.
            SelectorError: When a selector of the dependents is malformed by that rule.
        """
        future: futures.Future = workflow_of(executor)._submit_step(self)  # noqa: SLF001 - the mixin's own
        return future

    def propagate_attribute(self, attr: str, val: Any) -> None:
        """Propagate an attribute to the activities and the alternative activities."""
        for activities in (self.activities, self.activities_if_step_already_done):
            if isinstance(activities, type):  # a child workflow, as simpleflow's own task of it does
                setattr(activities, attr, val)
            elif activities is not None:
                activities.propagate_attribute(attr, val)


@convert.register
def _convert_step(native: NativeStep) -> Step:
    if native.save_result:
        raise NotConvertibleError(
            repr(native),
            "save_result=True is for native runs: what simpleflow records of a done step has no result",
        )
    return Step(
        native.step_name,
        native.activities,
        force=native.force,
        activities_if_step_already_done=native.activities_if_step_already_done,
        emit_signal=native.emit_signal,
        force_steps_if_executed=list(native.force_steps_if_executed),
        bubbles_exception_on_failure=native.bubbles_exception_on_failure,
    )
