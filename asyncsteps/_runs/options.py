"""What is given to `Runs`, and its checks."""

import contextvars
from collections.abc import Callable, Coroutine, Iterable
from contextlib import AbstractAsyncContextManager
from typing import Any

from asyncsteps._errors import StepDefinitionError
from asyncsteps._run.options import RunOptions
from asyncsteps._run.workflow import Workflow
from asyncsteps._tasks.attributes import is_duration
from asyncsteps._tasks.retry import is_async_callable
from asyncsteps.store._protocol import StepStore

OpenStoreOf = Callable[[str], AbstractAsyncContextManager[StepStore]]
"""Returns the store of a workflow id, to be entered for one run."""

WorkflowCode = type[Workflow] | Callable[..., Coroutine[Any, Any, Any]]
"""A workflow class, or an async function whose first argument is the `StepRun`."""


def own_context() -> contextvars.Context:
    """A copy of the current context that is part of no step or attempt: an activity may start a run."""
    context = contextvars.Context()
    for variable, value in contextvars.copy_context().items():
        if not variable.name.startswith("asyncsteps_"):
            context.run(variable.set, value)
    return context


async def no_store() -> StepStore:
    """Stand in for a store where options are checked."""
    raise AssertionError


def several(options: RunOptions) -> Iterable[Any]:
    """The callables of ``on_event``."""
    given = options.get("on_event", ())
    return (given,) if callable(given) else given


def check_workflow(workflow: object) -> None:
    """Raise `StepDefinitionError` unless it can be started."""
    if isinstance(workflow, type):
        known = issubclass(workflow, Workflow) and workflow is not Workflow
    else:
        known = callable(workflow) and is_async_callable(workflow)
    if not known:
        raise StepDefinitionError(
            f"{workflow!r} cannot be started: give a class that derives from Workflow, or an async function whose "
            "first argument is the run"
        )


def checked_timeout(given: object) -> float | None:
    """Return a timeout in seconds, or raise `StepDefinitionError`."""
    if given is not None and not is_duration(given):
        raise StepDefinitionError(f"{given!r} is no timeout: it is a number of seconds of at least 0, or None")
    return given if given is None else float(given)  # type: ignore[arg-type]
