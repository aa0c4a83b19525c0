"""Which tasks of a run can still go on, and which only wait for steps and signals of that run.

asyncio does not tell what a task waits for. What it keeps of a task is read here: the future, the coroutines that
lead to it, and the blocks that these are in. Whatever is not understood counts as able to go on.
"""

import asyncio
import gc
import math
from collections.abc import Collection, Iterable, Iterator
from contextlib import AsyncExitStack, ExitStack
from contextvars import Context
from types import AsyncGeneratorType, CoroutineType, GeneratorType, MethodType
from typing import Any

import anyio
import anyio.abc

from asyncsteps._tasks.retry import within
from asyncsteps._tasks.shield import until_done

_Task = asyncio.Task[Any]

_WAIT: Any = getattr(asyncio.wait, "__globals__", {}).get("_wait")
"""The coroutine function that `asyncio.wait` waits in."""

_EXITS = {"__aexit__", "_aexit"}
"""The methods in which task groups wait for their tasks."""


def can_go_on(root: _Task, blocked: Collection[object]) -> _Task | None:
    """The task that may still make ``root`` go on, which may be itself; None when nothing may.

    Args:
        root: A task.
        blocked: The futures of waits for steps and signals.
    """
    seen: set[_Task] = set()
    left = [root]
    while left:
        task = left.pop()
        if task in seen:
            continue
        seen.add(task)
        waiter = waits_for(task)
        if waiter is None:
            return task
        coroutines = list(_coroutines(task))
        if any(map(_has_timeout, coroutines)):
            return task
        if waiter in blocked:
            continue
        awaited = [each for each in _awaited(waiter, coroutines) if not each.done()]
        tasks = [each for each in awaited if isinstance(each, asyncio.Task)]
        if not tasks or len(tasks) < len(awaited):
            return task
        left += tasks
    return None


def waits_for(task: _Task) -> "asyncio.Future[Any] | None":
    """The future that a task waits for; None when it is about to run, or has ended."""
    waiter: asyncio.Future[Any] | None = getattr(task, "_fut_waiter", None)
    return None if waiter is None or waiter.done() else waiter


def context_of(task: _Task) -> Context | None:
    """The context that a task runs in; None where it cannot be told."""
    get_context = getattr(task, "get_context", None)  # since Python 3.12
    known = (get_context(),) if get_context else (getattr(task, "_context", None), *gc.get_referents(task))
    return next((each for each in known if isinstance(each, Context)), None)


def _coroutines(task: _Task) -> Iterator[Any]:
    """The coroutines and generators of a task that await each other, outermost first."""
    coroutine: Any = task.get_coro()
    while isinstance(coroutine, CoroutineType | GeneratorType):
        yield coroutine
        coroutine = coroutine.cr_await if isinstance(coroutine, CoroutineType) else coroutine.gi_yieldfrom


def _awaited(waiter: object, coroutines: list[Any]) -> Iterable[Any]:
    """The tasks whose end ``waiter`` is known to wait for; none where that is not known."""
    if isinstance(waiter, asyncio.Task):
        return (waiter,)
    if gathered := getattr(waiter, "_children", None):
        return tuple(gathered)
    innermost = coroutines[-1] if coroutines else None
    if not isinstance(innermost, CoroutineType) or innermost.cr_frame is None:
        return ()
    code, names = innermost.cr_code, innermost.cr_frame.f_locals
    group = names.get("self")
    awaited: Iterable[Any] = ()
    if _WAIT is not None and code is _WAIT.__code__ and names.get("timeout_handle") is None:
        awaited = names.get("fs", ())
    elif code is until_done.__code__:
        awaited = (names["future"],)
    elif isinstance(group, asyncio.TaskGroup | anyio.abc.TaskGroup) and code.co_name in _EXITS:
        awaited = getattr(group, "_tasks", ())
    return tuple(awaited)


def _has_timeout(code: Any) -> bool:
    """Whether a coroutine or generator is in a block that ends at some time; an activity's own does not count."""
    if isinstance(code, CoroutineType) and code.cr_code is within.__code__:
        return False
    for held in gc.get_referents(code):
        block = held.__self__ if isinstance(held, MethodType) else None
        if isinstance(block, asyncio.Timeout):
            if block.when() is not None:
                return True
        elif isinstance(block, anyio.CancelScope):
            if block.deadline != math.inf:
                return True
        elif any(map(_has_timeout, _within_block(block))):
            return True
    return False


def _within_block(block: object) -> Iterable[Any]:
    """What holds the blocks within a block that is made with `contextlib`, as `anyio.fail_after` is."""
    if isinstance(block, ExitStack | AsyncExitStack):
        return tuple(getattr(block, "_exit_callbacks", ()))
    generator = getattr(block, "gen", None)
    return (generator,) if isinstance(generator, GeneratorType | AsyncGeneratorType) else ()
