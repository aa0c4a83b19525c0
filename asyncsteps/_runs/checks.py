"""What is checked when runs in the background are made and started."""

from collections.abc import Iterable, Iterator
from typing import Any, cast

from asyncsteps._errors import StepDefinitionError
from asyncsteps._run.options import RunOptions
from asyncsteps._run.run import StepRun
from asyncsteps._run.workflow import Workflow
from asyncsteps._tasks.attributes import is_duration
from asyncsteps._tasks.retry import is_async_callable
from asyncsteps.store._protocol import StepStore


def kept(options: RunOptions) -> RunOptions:
    """Return the options, with what can be iterated over only once as a tuple."""
    values = {name: tuple(value) if isinstance(value, Iterator) else value for name, value in options.items()}
    return cast("RunOptions", values)


def check_options(options: RunOptions, *, workflow_id: str = "any") -> None:
    """Raise what `StepRun` raises of its options."""
    StepRun(_no_store, workflow_id=workflow_id, **options)


async def _no_store() -> StepStore:
    raise AssertionError


def subscribers_in(options: RunOptions) -> Iterable[Any]:
    """Return who gets events by the options."""
    given = options.get("on_event", ())
    return (given,) if callable(given) else given


def check_workflow(workflow: object) -> None:
    """Raise `StepDefinitionError` unless it is a workflow class or an async function."""
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
    """Return seconds or None, or raise `StepDefinitionError`."""
    if given is not None and not is_duration(given):
        raise StepDefinitionError(f"{given!r} is no timeout: it is a number of seconds of at least 0, or None")
    return given if given is None else float(given)  # type: ignore[arg-type]
