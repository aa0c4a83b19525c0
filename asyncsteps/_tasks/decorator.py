"""The decorator ``activity``, typed to keep the callable's parameters and result."""

import functools
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, Protocol, TypeVar, overload

from asyncsteps._tasks.activity import Activity, AsyncExecutable, Executable
from asyncsteps._tasks.attributes import RETRY_WAIT, ActivityAttributes, Seconds

P = ParamSpec("P")
R = TypeVar("R")


class _Decorator(Protocol):
    """``activity`` with its attributes given."""

    @overload
    def __call__(self, function: Callable[P, Coroutine[Any, Any, R]], /) -> Activity[P, R]: ...

    @overload
    def __call__(self, function: Callable[P, AsyncExecutable[R]], /) -> Activity[P, R]: ...

    @overload
    def __call__(self, function: Callable[P, Executable[R]], /) -> Activity[P, R]: ...

    @overload
    def __call__(self, function: Callable[P, R], /) -> Activity[P, R]: ...


@overload
def activity(function: Callable[P, Coroutine[Any, Any, R]], /) -> Activity[P, R]: ...


@overload
def activity(function: Callable[P, AsyncExecutable[R]], /) -> Activity[P, R]: ...


@overload
def activity(function: Callable[P, Executable[R]], /) -> Activity[P, R]: ...


@overload
def activity(function: Callable[P, R], /) -> Activity[P, R]: ...


@overload
def activity(
    *,
    name: str | None = None,
    version: str | None = None,
    task_list: str | None = None,
    task_priority: int | str | None = None,
    retry: int = 0,
    retry_wait: float | Callable[[int], float] = RETRY_WAIT,
    retry_on: type[Exception] | tuple[type[Exception], ...] | Callable[[Exception], bool] = Exception,
    raises_on_failure: bool | None = None,
    start_to_close_timeout: Seconds | None = None,
    schedule_to_close_timeout: Seconds | None = None,
    schedule_to_start_timeout: Seconds | None = None,
    heartbeat_timeout: Seconds | None = None,
    idempotent: bool | None = None,
    meta: Any = None,
) -> _Decorator: ...


def activity(function: Callable[..., Any] | None = None, /, **attributes: Any) -> Any:
    """Make an activity of an ``async def``, a ``def`` or a class with ``execute()``; bare, or with attributes.

    Natively an ``async def`` runs on the event loop and a ``def`` in a worker thread. A worker thread cannot be
    stopped: if it overruns a timeout or the run is cancelled, it is awaited, in its slot, and its result dropped.
    Attempts therefore never overlap, and no part of an activity outlives its step.

    Args:
        function: The callable, where the decorator is used bare.
        attributes: The fields of `ActivityAttributes`, simpleflow's names.

    Raises:
        StepDefinitionError: When the callable or an attribute is refused.
    """
    if function is not None:
        return Activity(function)
    given = ActivityAttributes(**attributes)
    return functools.partial(Activity, attributes=given)
