"""Which workflow a step is submitted to, which run of its steps, and what happens around the workflow's `run`."""

import functools
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

from simpleflow.exceptions import ExecutionBlocked

from asyncsteps._errors import StepDefinitionError
from asyncsteps.swf import _simpleflow as sf
from asyncsteps.swf._steps.run import StepsRun

_RUN = "_asyncsteps_run"

_entered: WeakKeyDictionary[Any, list[Any]] = WeakKeyDictionary()
"""The workflows whose `run` an executor is inside of, innermost last: locally a child runs inside its parent."""


def workflow_of(executor: Any) -> Any:
    """The workflow that steps submitted to ``executor`` belong to.

    Raises:
        StepDefinitionError: When it lacks the mixin.
    """
    entered = _entered.get(executor)
    workflow = entered[-1] if entered else executor.workflow
    if not hasattr(type(workflow), "get_step_path_prefix"):
        raise StepDefinitionError(
            f"a step is submitted to {type(workflow).__name__}, which has no steps: derive it from "
            "asyncsteps.swf.WorkflowStepMixin too"
        )
    return workflow


def run_of(workflow: Any) -> StepsRun:
    """The run of the workflow's steps, made at its first use in a replay."""
    run: StepsRun | None = workflow.__dict__.get(_RUN)
    if run is None or not run.belongs_to_this_replay():
        run = StepsRun(workflow)
        workflow.__dict__[_RUN] = run
    return run


def around_run(run: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a workflow's `run`: pending markers are flushed before the execution completes or fails."""

    @functools.wraps(run)
    def run_steps(self: Any, *args: Any, **kwargs: Any) -> Any:
        entered = _entered.setdefault(self.executor, [])
        if self in entered:
            return run(self, *args, **kwargs)  # called as super().run()
        if self.__dict__.get(_RUN) is not None and run_of(self).over:
            del self.__dict__[_RUN]  # the local executor plays the same object again
        entered.append(self)
        steps = run_of(self)
        steps.bind()
        steps.rides = sf.runs_on_swf(self.executor)
        try:
            result = run(self, *args, **kwargs)
        except ExecutionBlocked:
            raise
        except Exception:
            steps.flush()
            raise
        else:
            steps.flush()
            steps.warn_of_unmatched()
            return result
        finally:
            entered.remove(self)
            steps.rides = False
            steps.over = True

    run_steps.__dict__[_RUN] = True
    return run_steps


def is_wrapped(run: Any) -> bool:
    """Whether `around_run` made ``run``."""
    return bool(getattr(run, _RUN, False))
