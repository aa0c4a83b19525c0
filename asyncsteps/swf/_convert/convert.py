"""`to_simpleflow`: convert native activities, chains and groups to simpleflow's, or refuse them with the reason.

Another process may run them: it imports an activity by the name of its type (a module and a name in it), and gets
the arguments as JSON, of a length that SWF bounds. All of this is checked here, when they are submitted.
"""

import json
import os
from collections.abc import Iterable, Mapping
from functools import singledispatch
from typing import Any

from simpleflow import canvas, constants, futures, settings, signal, task
from simpleflow.activity import PRIORITY_NOT_SET
from simpleflow.activity import Activity as SfActivity
from simpleflow.base import Submittable as SfSubmittable
from simpleflow.base import SubmittableContainer
from simpleflow.executor import Executor
from simpleflow.workflow import Workflow

from asyncsteps._tasks.activity import Activity, ActivityTask
from asyncsteps._tasks.attributes import ActivityAttributes
from asyncsteps._tasks.canvas import Chain, Group, as_submittable
from asyncsteps._tasks.signals import MarkerTask, SignalTask, WaitForSignal
from asyncsteps._tasks.step import Step
from asyncsteps._tasks.submittable import Submittable
from asyncsteps.swf._convert.importable import callable_of_worker, gives_coroutine
from asyncsteps.swf._errors import NotConvertibleError
from asyncsteps.swf._payload import length_problem, received

_TAKEN = ("context", "simpleflow_middlewares")
"""Keyword arguments that simpleflow's ``ActivityTask`` keeps for itself."""


def to_simpleflow(submittable: Any) -> Any:
    """Convert a native submittable to what simpleflow's ``Workflow.submit`` takes.

    Activities become simpleflow's activities; activity tasks, callables and ``(callable, argument, ...)`` tuples
    its activity tasks; chains and groups its chains and groups; steps `asyncsteps.swf.Step`. What is simpleflow's
    already is returned as it is, unless it holds an activity whose coroutine nobody would await.

    Where an activity gives no version, task list or timeout, it has those of simpleflow's own decorator:
    ``settings.ACTIVITY_DEFAULT_VERSION`` and so on. The timeout ``"NONE"`` is none.

    Args:
        submittable: An activity, an activity task, a callable, a tuple, a chain, a group, a step, a signal or a
            marker.

    Raises:
        NotConvertibleError: When a worker could not find an activity by its name (a lambda, a closure, a local
            function, a method), an ``async def`` is not decorated, an argument is no JSON, an input is too
            long for SWF, or simpleflow has nothing like it.
        StepDefinitionError: When it cannot be submitted at all.
    """
    if _is_simpleflow(submittable):
        refuse_unawaited(submittable)
        return submittable
    if isinstance(submittable, tuple) and submittable and _is_simpleflow(submittable[0]):
        return _foreign_task(*submittable)
    if isinstance(submittable, Activity):
        return _activity(submittable, submittable.attributes)
    return convert(as_submittable(submittable))


def _is_simpleflow(given: object) -> bool:
    return isinstance(given, SfSubmittable | SubmittableContainer | SfActivity) or _is_workflow(given)


def _is_workflow(given: object) -> bool:
    return isinstance(given, type) and issubclass(given, Workflow)


def _foreign_task(first: Any, *args: Any) -> Any:
    if isinstance(first, SfActivity):
        refuse_unawaited(first)
        return task.ActivityTask(first, *args)
    if _is_workflow(first):
        return task.ChildWorkflowTask(first, *args)
    raise NotConvertibleError(repr(first), "it takes no arguments; submit it alone, not in a tuple")


def refuse_unawaited(given: Any) -> None:
    """Refuse an activity that simpleflow would call without awaiting its coroutine.

    Args:
        given: Anything that simpleflow takes, with what it contains.

    Raises:
        NotConvertibleError: When there is one; the error names it.
    """
    if isinstance(given, task.ActivityTask):
        given = given.activity
    if isinstance(given, SfActivity):
        if gives_coroutine(given.callable):
            raise NotConvertibleError(
                f"activity {given.name}",
                "it is async, and simpleflow would not await its coroutine; decorate it with asyncsteps.activity, "
                "not with simpleflow's",
            )
    elif isinstance(given, SubmittableContainer):
        for name in ("activities", "activities_if_step_already_done"):
            within = getattr(given, name, None)
            for each in within if isinstance(within, list) else (within,):
                refuse_unawaited(each)


@singledispatch
def convert(native: Submittable) -> Any:
    """Convert a native submittable; `asyncsteps.swf._steps.step` registers the conversion of steps."""
    match native:
        case ActivityTask():
            converted = _activity_task(native)
        case Chain():
            converted = _chain(native)
        case Group():
            converted = _group(native)
        case SignalTask():
            converted = _Signal(native)
        case WaitForSignal():
            converted = signal.WaitForSignal(native.signal_name)
        case MarkerTask():
            details = _argument(repr(native), "the details", native.details)
            _check_length(repr(native), details)
            converted = task.MarkerTask(native.marker_name, details)
        case _:
            raise NotConvertibleError(repr(native), f"simpleflow has nothing like a {type(native).__name__}")
    return converted


def _activity_task(native: ActivityTask[Any]) -> task.ActivityTask:
    what = f"activity {native.name}"
    for name in _TAKEN:
        if name in native.kwargs:
            raise NotConvertibleError(
                what, f"simpleflow takes an argument called {name} for itself; rename it, or give it by position"
            )
    meta = {"meta": native.attributes.meta} if native.attributes.meta else {}
    args, kwargs = _as_received(what, native.args, native.kwargs, **meta)
    return task.ActivityTask(_activity(native.activity, native.attributes), *args, **kwargs)


def _activity(native: Activity[..., Any], given: ActivityAttributes) -> SfActivity:
    """Make an activity with the given attributes; a new one each time, for simpleflow changes it."""
    return SfActivity(
        callable_of_worker(native, native.qualified_name),
        name=native.qualified_name,
        version=_or(given.version, settings.ACTIVITY_DEFAULT_VERSION),
        task_list=_or(given.task_list, settings.ACTIVITY_DEFAULT_TASK_LIST),
        task_priority=_or(given.task_priority, PRIORITY_NOT_SET),
        retry=given.retry,
        raises_on_failure=bool(given.raises_on_failure),
        start_to_close_timeout=_timeout(given.start_to_close_timeout, settings.ACTIVITY_START_TO_CLOSE_TIMEOUT),
        schedule_to_close_timeout=_timeout(
            given.schedule_to_close_timeout, settings.ACTIVITY_SCHEDULE_TO_CLOSE_TIMEOUT
        ),
        schedule_to_start_timeout=_timeout(
            given.schedule_to_start_timeout, settings.ACTIVITY_SCHEDULE_TO_START_TIMEOUT
        ),
        heartbeat_timeout=_timeout(given.heartbeat_timeout, settings.ACTIVITY_HEARTBEAT_TIMEOUT),
        idempotent=given.idempotent,
        meta=given.meta,
    )


def _or(given: Any, default: Any) -> Any:
    return default if given is None else given


def _timeout(given: float | str | None, default: Any) -> Any:
    """Round up a timeout to whole seconds, which are SWF's unit."""
    if given is None:
        return default
    return given if given == "NONE" else str(-int(-float(given) // 1))


def _group(native: Group) -> canvas.Group:
    return canvas.Group(
        *map(convert, native.activities),
        max_parallel=native.max_parallel,
        bubbles_exception_on_failure=native.bubbles_exception_on_failure,
    )


def _chain(native: Chain) -> canvas.Chain:
    if native.send_result and native.activities and isinstance(native.activities[0], Step):
        raise NotConvertibleError(
            repr(native),
            f"with send_result=True it would send on what simpleflow gives for {native.activities[0]!r}, which is "
            "not what its activities return; put a chain with send_result=True inside of the step",
        )
    return canvas.Chain(
        *map(convert, native.activities),
        send_result=native.send_result,
        break_on_failure=native.break_on_failure,
        bubbles_exception_on_failure=native.bubbles_exception_on_failure,
    )


class _Signal(SubmittableContainer):
    """A signal that the workflow makes once it is submitted: only the workflow knows its execution.

    Attributes:
        args: The positional payload; a chain with ``send_result`` appends to it.
    """

    def __init__(self, native: SignalTask) -> None:
        self._name = native.signal.name
        self._propagate = native.propagate
        self.args, self._kwargs = _as_received(
            repr(native), native.signal.args, native.signal.kwargs or {}, __propagate=native.propagate
        )

    def submit(self, executor: Executor) -> futures.Future:
        """Send it; called by simpleflow."""
        workflow: Any = executor.workflow
        return workflow.submit(workflow.signal(self._name, *self.args, propagate=self._propagate, **self._kwargs))


def _as_received(
    what: str, args: Iterable[Any], kwargs: Mapping[str, Any], **more: Any
) -> tuple[list[Any], dict[str, Any]]:
    """The arguments as whoever gets them through SWF has them, on the local executor too.

    Args:
        what: Whose they are, for the error.
        args: The positional ones.
        kwargs: Those by keyword.
        more: What else the payload has.
    """
    args = [_argument(what, f"argument {position}", value) for position, value in enumerate(args, 1)]
    kwargs = {name: _argument(what, f"argument {name!r}", value) for name, value in kwargs.items()}
    _check_length(what, {"args": args, "kwargs": kwargs, **more})
    return args, kwargs


def _argument(what: str, name: str, value: Any) -> Any:
    if isinstance(value, futures.Future):
        return value  # its result has been JSON before
    try:
        return received(value)
    except ValueError as error:
        raise NotConvertibleError(what, f"{name}, {value!r}, is no JSON: {error}") from error


def _check_length(what: str, payload: Any) -> None:
    """Refuse a payload that is too long for SWF, or for simpleflow's jumbo fields where they are set up."""
    jumbo = bool(os.environ.get("SIMPLEFLOW_JUMBO_FIELDS_BUCKET"))
    limit = constants.JUMBO_FIELDS_MAX_SIZE if jumbo else constants.MAX_INPUT_LENGTH
    known = json.dumps(payload, separators=(",", ":"), default=lambda future: None)  # noqa: ARG005 - as json calls it
    problem = length_problem(len(known), limit)
    if problem is not None:
        or_jumbo = "" if jumbo else ", or set SIMPLEFLOW_JUMBO_FIELDS_BUCKET, where simpleflow puts what is longer"
        raise NotConvertibleError(what, f"its input is {problem}{or_jumbo}")
