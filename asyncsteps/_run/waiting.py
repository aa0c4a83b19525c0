"""Which tasks of a run can still go on, and which only wait for steps and signals of that run.

asyncio does not tell what a task waits for. What it keeps of a task is read here: the future, the coroutines that
lead to it, and the blocks that these are in. Whatever is not understood counts as able to go on.
"""

import asyncio
import gc
import math
from collections.abc import Collection, Iterable, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from contextvars import Context
from inspect import getattr_static
from types import AsyncGeneratorType, CoroutineType, FunctionType, GeneratorType, MethodType
from typing import Any

import anyio
import anyio.abc

from asyncsteps._tasks.shield import until_done

_Task = asyncio.Task[Any]

_WAIT: Any = getattr(asyncio.wait, "__globals__", {}).get("_wait")
"""The coroutine function that `asyncio.wait` waits in."""

_EXITS = {"__aexit__", "_aexit"}
"""The methods in which task groups wait for their tasks."""


_LEAVES = {"__exit__", "__aexit__"}
"""The methods that leave a block."""

_GENERATES: Any = lambda: None  # noqa: E731 - it is never called for what it returns
_MADE = (type(contextmanager(_GENERATES)()), type(asynccontextmanager(_GENERATES)()))
"""What `contextlib` makes of generators."""

_AWAITED_BY: dict[type, str] = {
    CoroutineType: "cr_await",
    GeneratorType: "gi_yieldfrom",
    AsyncGeneratorType: "ag_await",
}
"""The attribute that tells what each kind of coroutine awaits."""


def can_go_on(root: _Task, blocked: Collection[object], run: object = None) -> _Task | None:
    """The task that may still make ``root`` go on, which may be itself; None when nothing may.

    Args:
        root: A task.
        blocked: The futures of waits for steps and signals.
        run: The block of the run. Timeouts around it end the run, and make nothing of it go on.
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
        coroutines = _coroutines(task, waiter)
        if coroutines is None or _has_timeout(coroutines, run):
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


def _coroutines(task: _Task, waiter: object) -> list[Any] | None:
    """The coroutines and generators through which a task awaits ``waiter``, outermost first; None if not known."""
    coroutines: list[Any] = []
    current: Any = task.get_coro()
    while True:
        attribute = _AWAITED_BY.get(type(current))
        if attribute is not None:
            coroutines.append(current)
        following = getattr(current, attribute) if attribute is not None else None
        if following is None:  # an iterator over the waiter, or one that C code puts around a coroutine
            referents = gc.get_referents(current)
            if any(each is waiter for each in referents):
                return coroutines
            inner = [each for each in referents if type(each) in _AWAITED_BY]
            if attribute is not None or len(inner) != 1:
                return None
            following = inner[0]
        current = following


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
    if _WAIT is not None and code is _WAIT.__code__ and names.get("timeout_handle", "not known") is None:
        awaited = names.get("fs", ())
    elif code is until_done.__code__:
        awaited = (names["future"],)
    elif isinstance(group, asyncio.TaskGroup | anyio.abc.TaskGroup) and code.co_name in _EXITS:
        awaited = getattr(group, "_tasks", ())
    return tuple(awaited)


def _has_timeout(coroutines: Iterable[object], run: object) -> bool:
    """Whether coroutines, outermost first, are in a block that ends at some time, within that of the run.

    An activity's own timeout, a `Deadline`, does not count.
    """
    found = False
    for code in coroutines:
        for block in _timed(code, run):
            found = block is not run
    return found


def _timed(code: object, run: object) -> Iterator[object]:
    """The blocks of a coroutine or generator that may end at some time, and that of the run, outermost first."""
    for block in _blocks(gc.get_referents(code)):
        if block is run:
            yield block
        elif isinstance(block, asyncio.Timeout):
            if block.when() is not None:
                yield block
        elif isinstance(block, anyio.CancelScope):
            if block.deadline != math.inf:
                yield block
        else:
            within = _within_block(block)
            if within is None:
                yield block
            for each in within or ():
                yield from _timed(each, run)


def _blocks(referents: list[Any]) -> Iterator[object]:
    """The blocks whose ends are among what a coroutine refers to, which are the methods that leave them.

    Since Python 3.14 a method and its block are two things, one after the other.
    """
    for number, each in enumerate(referents):
        if type(each) is MethodType:
            if _leaves(each.__func__):
                yield each.__self__
        elif _leaves(each) and number + 1 < len(referents):
            yield referents[number + 1]


def _leaves(function: object) -> bool:
    return isinstance(function, FunctionType) and function.__name__ in _LEAVES


def _within_block(block: object) -> Iterable[Any] | None:
    """What holds the blocks within a block that `contextlib` makes, as for `anyio.fail_after`; None: not known."""
    if isinstance(block, ExitStack | AsyncExitStack):
        return getattr(block, "_exit_callbacks", None)
    generator = getattr_static(block, "gen", None)  # runs no code of a user's
    if isinstance(generator, GeneratorType | AsyncGeneratorType):
        return (generator,)
    return None if isinstance(block, _MADE) else ()
