"""Activities, which are callables with attributes, and activity tasks, which bind their arguments."""

import asyncio
import functools
import itertools
from collections.abc import Awaitable, Callable, Coroutine, Generator, Mapping
from contextlib import AbstractContextManager
from contextvars import ContextVar
from inspect import (
    CO_ASYNC_GENERATOR,
    CO_GENERATOR,
    isasyncgenfunction,
    isawaitable,
    iscoroutinefunction,
    isgeneratorfunction,
)
from types import FunctionType
from typing import Any, Generic, Protocol, cast, overload

from typing_extensions import ParamSpec, TypeVar

from asyncsteps._errors import RunningLoopError, StepDefinitionError
from asyncsteps._tasks.arguments import argument_problem
from asyncsteps._tasks.attempt import Attempt
from asyncsteps._tasks.attributes import ActivityAttributes
from asyncsteps._tasks.clock import Clock
from asyncsteps._tasks.limiter import Limiter
from asyncsteps._tasks.retry import OnRetry, attempts, call, is_async_callable
from asyncsteps._tasks.submittable import Submittable

P = ParamSpec("P", default=...)
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True, default=Any)

_PLAIN = ActivityAttributes()
"""The attributes of activities that are given none; shared, so that they are checked once."""

_GENERATOR = CO_GENERATOR | CO_ASYNC_GENERATOR
"""The flags of generator functions."""

SyncRunner = Callable[[Callable[[], Awaitable[Any]]], Any]
"""Runs an async callable to its end from sync code."""


def _run_in_new_loop(work: Callable[[], Awaitable[R]]) -> R:
    """Run ``work`` in an event loop made for it, with `asyncio.run`."""

    async def awaited() -> R:
        return await work()

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(awaited())
    raise RunningLoopError


sync_runner: ContextVar[SyncRunner] = ContextVar("asyncsteps_sync_runner", default=_run_in_new_loop)
"""What `ActivityTask.execute` runs an async activity with; the bridge to simpleflow puts its own here."""

standalone: ContextVar["Callable[[ActivityTask[Any]], Awaitable[Any]] | None"] = ContextVar(
    "asyncsteps_standalone", default=None
)
"""Plays an activity task that is awaited directly, if set. A plan sets it to play none."""


class AsyncExecutable(Protocol[R_co]):
    """An instance of a class with an ``async def execute()``."""

    def execute(self) -> Coroutine[Any, Any, R_co]:
        """Do the work."""
        ...


class Executable(Protocol[R_co]):
    """An instance of a class with ``execute()``."""

    def execute(self) -> R_co:
        """Do the work."""
        ...


class Activity(Generic[P, R_co]):
    """A callable with the attributes of an activity. Calling it binds arguments and returns an `ActivityTask`.

    A run plays it natively. simpleflow's worker can import it by module and name, and gets a task with
    ``execute()`` by calling it.

    Args:
        function: The callable: ``async def``, ``def``, or a class with ``execute()``.
        attributes: Its attributes.

    Attributes:
        function: The callable.
        attributes: Its attributes.
        context: Under simpleflow, the context of the execution under way, as simpleflow sets it on callables.

    Raises:
        StepDefinitionError: When ``function`` is not callable, a class without ``execute()``, or a generator.
    """

    __name__: str
    __qualname__: str
    __wrapped__: Callable[..., Any]

    def __init__(self, function: Callable[..., Any], attributes: ActivityAttributes | None = None) -> None:
        _check_activity(function)
        # A class's own attributes, its execute() among them, are for its instances.
        functools.update_wrapper(self, function, updated=() if isinstance(function, type) else ("__dict__",))
        self.function: Callable[..., Any] = function
        self.attributes = _PLAIN if attributes is None else attributes
        self.context: Any = None

    @property
    def qualified_name(self) -> str:
        """The activity type's name: the attribute, or the module and name by which workers import it."""
        # No attribute called `name`: simpleflow would put the module before it once more.
        return self.attributes.name or _qualified_name(self.function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> "ActivityTask[R_co]":
        """Bind arguments, without playing anything.

        Raises:
            StepDefinitionError: When the function takes no such arguments. The last one may be left to a chain
                with ``send_result``.
        """
        return ActivityTask(self, *args, **kwargs)

    def execute(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Play it from sync code, as simpleflow's executors do. See `ActivityTask.execute`."""
        return self(*args, **kwargs).execute()

    def __repr__(self) -> str:
        return f"<activity {self.qualified_name}>"


def _qualified_name(function: Any) -> str:
    """The module and name of a callable."""
    while isinstance(function, functools.partial):
        function = function.func
    name = getattr(function, "__name__", None) or type(function).__name__
    return f"{getattr(function, '__module__', None) or type(function).__module__}.{name}"


def _check_activity(function: object) -> None:
    """Check that a callable can be an activity.

    Raises:
        StepDefinitionError: When it cannot.
    """
    if isinstance(function, FunctionType) and not function.__code__.co_flags & _GENERATOR:
        return  # nearly all are plain functions
    if not callable(function):
        raise StepDefinitionError(f"{function!r} cannot be an activity: it is not callable")
    if isinstance(function, type) and not callable(getattr(function, "execute", None)):
        raise StepDefinitionError(
            f"class {function.__qualname__} cannot be an activity: it has no method execute(); add one, or "
            "submit a function that makes the instance"
        )
    generator = _generator_in(function)
    if generator is not None:
        raise StepDefinitionError(
            f"generator function {generator} cannot be an activity: return instead of yielding"
        )


def _generator_in(function: Any) -> str | None:
    """Return the name of the generator function that playing would call, or None if none is found."""
    while isinstance(function, functools.partial):
        function = function.func
    for called in (function, getattr(function, "execute" if isinstance(function, type) else "__call__", None)):
        if isgeneratorfunction(called) or isasyncgenfunction(called):
            return str(getattr(called, "__qualname__", None) or repr(called))
    return None


class ActivityTask(Submittable[R_co, R_co]):
    """An activity with its arguments bound.

    Submit it, alone or within a chain, a group or a step. Awaiting it plays it outside any step, with its retry
    and timeouts.

    Args:
        activity: An `Activity`, or a bare callable.
        args: Positional arguments.
        kwargs: Keyword arguments.

    Attributes:
        function: The activity's callable.
        args: Positional arguments.
        kwargs: Keyword arguments.
        attributes: The activity's attributes, or a copy that `propagate_attribute` changed.
        context: The context of the execution under simpleflow, which sets it.

    Raises:
        StepDefinitionError: When ``activity`` cannot be one, or does not take the arguments. The last one may be
            left to a chain with ``send_result``; whatever else takes the task refuses it without.
    """

    _missing: str | None = None
    """Why it cannot be played without one more argument."""

    @overload
    def __init__(self, activity: Activity[P, R_co], /, *args: P.args, **kwargs: P.kwargs) -> None: ...

    @overload
    def __init__(
        self, activity: Callable[P, Coroutine[Any, Any, R_co]], /, *args: P.args, **kwargs: P.kwargs
    ) -> None: ...

    @overload
    def __init__(
        self, activity: Callable[P, AsyncExecutable[R_co]], /, *args: P.args, **kwargs: P.kwargs
    ) -> None: ...

    @overload
    def __init__(self, activity: Callable[P, Executable[R_co]], /, *args: P.args, **kwargs: P.kwargs) -> None: ...

    @overload
    def __init__(self, activity: Callable[P, R_co], /, *args: P.args, **kwargs: P.kwargs) -> None: ...

    def __init__(self, activity: Callable[..., Any], /, *args: Any, **kwargs: Any) -> None:
        self._activity: Activity[..., Any] | None = None
        self.function: Callable[..., Any] = activity
        self.attributes = _PLAIN
        if isinstance(activity, Activity):
            self._activity, self.function, self.attributes = activity, activity.function, activity.attributes
        else:
            _check_activity(activity)
        self.args = args
        self.kwargs = kwargs
        self.context: Any = None
        problem = argument_problem(self.function, len(args), kwargs)
        if problem is not None:
            self._missing = f"activity {self.name} cannot be played: {problem}"
            if argument_problem(self.function, len(args) + 1, kwargs) is not None:
                raise StepDefinitionError(self._missing)

    def check_arguments(self, more: int = 0) -> None:
        """Check that all arguments are given.

        Args:
            more: How many positional arguments will be added.

        Raises:
            StepDefinitionError: When one is missing, or too many will be given.
        """
        if not more and self._missing is not None:
            raise StepDefinitionError(
                f"{self._missing}; give it, or put the task behind what gives it in a Chain(..., send_result=True)"
            )
        problem = argument_problem(self.function, len(self.args) + more, self.kwargs) if more else None
        if problem is not None:
            raise StepDefinitionError(
                f"activity {self.name} cannot be played in a chain with send_result=True, which adds the result "
                f"before it as last argument: with it, {problem}"
            )

    @property
    def activity(self) -> Activity[..., Any]:
        """The activity; that of a bare callable is made when it is first asked for."""
        if self._activity is None:
            self._activity = Activity(self.function)
        return self._activity

    @property
    def name(self) -> str:
        """The activity's name."""
        return _qualified_name(self.function) if self._activity is None else self._activity.qualified_name

    def with_last_argument(self, value: object) -> "ActivityTask[R_co]":
        """Return a copy with one more positional argument."""
        task: ActivityTask[R_co] = ActivityTask(self.activity, *self.args, value, **self.kwargs)
        task.attributes, task.context = self.attributes, self.context
        return task

    def propagate_attribute(self, attribute: str, value: object) -> None:
        """Set an attribute of this task; the shared activity is unchanged.

        Raises:
            StepDefinitionError: When there is no such attribute, or the value is refused.
        """
        self.attributes = self.attributes.with_attribute(attribute, value)

    def __await__(self) -> Generator[Any, None, R_co]:
        self.check_arguments()
        player = standalone.get()
        played = play_task(self) if player is None else player(self)
        return cast("Generator[Any, None, R_co]", played.__await__())

    def execute(self) -> R_co:
        """Play one attempt from sync code. Under simpleflow, SWF does the retries and timeouts.

        Raises:
            RunningLoopError: For an async activity, in the thread of a running event loop.
        """
        self.activity.context = self.context
        function = self.bound(self.context)
        with Attempt(self, identity=self.context):
            if is_async_callable(function):
                return cast("R_co", sync_runner.get()(function))
            result = function()
            return cast("R_co", sync_runner.get()(lambda: result) if isawaitable(result) else result)

    def bound(self, context: object) -> Callable[[], Any]:
        """Return a callable without parameters that plays one attempt."""
        function = self.function
        if not isinstance(function, type):
            return functools.partial(function, *self.args, **self.kwargs)
        execution = functools.partial(_execute, function, self.args, self.kwargs, context)
        if iscoroutinefunction(getattr(function, "execute", None)):
            return functools.partial(_execute_async, execution)
        return execution

    def __repr__(self) -> str:
        arguments = [repr(arg) for arg in self.args] + [f"{name}={arg!r}" for name, arg in self.kwargs.items()]
        return f"<activity task {self.name}({', '.join(arguments)})>"


def _execute(cls: type[Any], args: tuple[Any, ...], kwargs: Mapping[str, Any], context: object) -> Any:
    """Make the instance, give it its context, and execute it, as simpleflow does."""
    instance = cls(*args, **kwargs)
    if context is not None:
        instance.context = context
    result = instance.execute()
    after = getattr(instance, "post_execute", None)
    if after is not None:
        if isawaitable(result):
            return _execute_after(result, after)
        after()
    return result


async def _execute_after(result: Awaitable[R], after: Callable[[], Any]) -> R:
    value = await result
    last = after()
    if isawaitable(last):
        await last
    return value


async def _execute_async(execution: Callable[[], Awaitable[R]]) -> R:
    return await execution()


async def play_task(
    task: ActivityTask[R],
    *,
    limiter: Limiter | None = None,
    context: object = None,
    attempt: Callable[[], AbstractContextManager[object]] | None = None,
    step: Callable[[], str | None] = lambda: None,
    on_retry: OnRetry | None = None,
) -> R:
    """Play an activity task natively: attempts under timeouts, each in a slot.

    Args:
        task: The task.
        limiter: Limits how many activities run at once, if given.
        context: Set as ``context`` on instances of classes with ``execute()``.
        attempt: Entered around each attempt, in its slot; None: an `Attempt`.
        step: Names the step that it is played in, for the log.
        on_retry: Called before each further attempt.

    Raises:
        ActivityTimeoutError: When it overran a timeout; else whatever the activity raised.
    """
    threads = None if limiter is None else limiter.threads
    if attempt is None:
        attempt = _attempts_alone(task)
    work = functools.partial(call, task, task.bound(context), threads=threads, attempt=attempt, step=step)
    played: R
    if not task.attributes.plain:
        played = await attempts(task.name, task.attributes, work, limiter=limiter, on_retry=on_retry)
    elif limiter is None:
        played = await work()
    else:
        async with limiter.slot():
            played = await work()
    return played


def _attempts_alone(task: ActivityTask[Any]) -> Callable[[], Attempt]:
    """What is entered around each attempt at a task that no run plays."""
    numbers = itertools.count(1)
    return lambda: Attempt(task, next(numbers), clock=Clock)
