"""Which workflow an executor plays right now: on the local executor a child workflow runs inside its parent."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

from asyncsteps._errors import StepDefinitionError

_entered: WeakKeyDictionary[Any, list[Any]] = WeakKeyDictionary()
"""The workflows whose `run` is being played, by executor, innermost last."""


@contextmanager
def entering(workflow: Any) -> Iterator[None]:
    """A block in which steps that are submitted to the executor belong to ``workflow``."""
    entered = _entered.setdefault(workflow.executor, [])
    entered.append(workflow)
    try:
        yield
    finally:
        entered.remove(workflow)


def is_entered(workflow: Any) -> bool:
    """Whether the `run` of ``workflow`` is being played already."""
    return workflow in _entered.get(workflow.executor, ())


def workflow_of(executor: Any) -> Any:
    """The workflow that steps submitted to ``executor`` belong to.

    Raises:
        StepDefinitionError: When it lacks the mixin.
    """
    entered = _entered.get(executor)
    workflow = entered[-1] if entered else executor.workflow
    if not hasattr(workflow, "_submit_step"):
        raise StepDefinitionError(
            f"a step is submitted to {type(workflow).__name__}, which has no steps: derive it from "
            "asyncsteps.swf.WorkflowStepMixin too"
        )
    return workflow


def hooks_of(workflow: Any) -> Any:
    """The workflow whose hooks say where the steps of ``workflow`` are marked: as in simpleflow, the executor's.

    On the local executor that is the outermost one, whose children's steps so lie where simpleflow puts them.
    """
    outermost = workflow.executor.workflow
    return outermost if hasattr(outermost, "_submit_step") else workflow
