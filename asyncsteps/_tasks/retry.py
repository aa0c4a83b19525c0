"""How a callable is called, and called again: attempts under timeouts, on the loop or in a worker thread."""

import logging
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from inspect import isawaitable, iscoroutinefunction
from typing import Any, TypeVar

import anyio
import anyio.to_thread

from asyncsteps._errors import ActivityTimeoutError
from asyncsteps._tasks.attributes import ActivityAttributes

logger = logging.getLogger("asyncsteps")

T = TypeVar("T")


def is_async_callable(function: Callable[..., Any]) -> bool:
    """Whether ``function`` gives a coroutine: an ``async def``, a partial of one, an async ``__call__``."""
    return iscoroutinefunction(function) or iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004 - whether it is async, not whether it is callable
    )


async def call(function: Callable[[], Any], *, limiter: anyio.CapacityLimiter | None = None) -> Any:
    """Call ``function``: on the loop when it is async, else in a worker thread with the caller's context.

    Cancelling does not stop a worker thread, which nothing can: what it gives is dropped.
    """
    if is_async_callable(function):
        return await function()
    result = await anyio.to_thread.run_sync(function, abandon_on_cancel=True, limiter=limiter)
    return await result if isawaitable(result) else result


async def within(seconds: float | None, name: str, which: str, work: Callable[[], Awaitable[T]]) -> T:
    """Do ``work`` within ``seconds`` (None: however long it takes).

    Raises:
        ActivityTimeoutError: Naming the activity ``name`` and ``which`` timeout.
    """
    if seconds is None:
        return await work()
    with anyio.move_on_after(seconds) as scope:
        return await work()
    assert scope.cancelled_caught
    raise ActivityTimeoutError(name, which, seconds)


async def attempts(
    name: str,
    attributes: ActivityAttributes,
    work: Callable[[], Awaitable[T]],
    *,
    retried: type[Exception] | tuple[type[Exception], ...] = Exception,
    final: tuple[type[Exception], ...] = (),
    slot: Callable[[], AbstractAsyncContextManager[None]] | None = None,
) -> T:
    """Do ``work`` until it succeeds or its attempts are used up, each attempt and the whole under its timeouts.

    Args:
        name: The activity's name, for the errors.
        attributes: ``retry`` is the number of further attempts after the first; the timeouts are those of SWF:
            start to close for each attempt, schedule to close over all of them, schedule to start for the wait
            for a slot.
        work: One attempt.
        retried: What a further attempt is made after.
        final: What none is made after, though it is one of those.
        slot: What bounds the activities under way; held during an attempt, not between attempts.

    Raises:
        ActivityTimeoutError: When the last attempt, or the whole, took too long.
    """

    async def one() -> T:
        if slot is None:
            return await within(attributes.start_to_close, name, "start_to_close_timeout", work)
        held = slot()
        await within(attributes.schedule_to_start, name, "schedule_to_start_timeout", held.__aenter__)
        try:
            return await within(attributes.start_to_close, name, "start_to_close_timeout", work)
        finally:
            await held.__aexit__(None, None, None)

    async def every() -> T:
        for attempt in range(1, attributes.retry + 1):
            try:
                return await one()
            except retried as error:
                if isinstance(error, final):
                    raise
                told = f"{type(error).__name__}: {error}"
                logger.warning("%s failed at attempt %d of %d: %s", name, attempt, attributes.retry + 1, told)
        return await one()

    return await within(attributes.schedule_to_close, name, "schedule_to_close_timeout", every)
