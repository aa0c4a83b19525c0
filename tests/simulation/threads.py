"""Threads in virtual time: tasks that nothing cancels, behind the seam through which the engine starts threads."""

import asyncio
import concurrent.futures
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from typing import Any, TypeVar
from unittest.mock import patch

import anyio
import anyio.lowlevel
import anyio.to_thread
from anyio._backends import _asyncio as anyio_backend

T = TypeVar("T")

_scope: ContextVar[Any] = ContextVar("simulation_thread_scope", default=None)
"""The cancel scope that what the current thread submits is in; None outside of threads."""


class ThreadBody:
    """What a function does in a thread, which it gives instead of doing it.

    Args:
        run: Does it.
    """

    def __init__(self, run: Callable[[], Awaitable[object]]) -> None:
        self.run = run


def is_cancelled() -> bool:
    """Whether the activity of the current thread was cancelled, as a thread can ask anyio."""
    scope = _scope.get()
    return bool(scope is not None and scope.cancel_called)


async def in_loop(function: Callable[..., Awaitable[T]], *args: Any) -> T:
    """Have the event loop do something and wait for it in a thread, as `anyio.from_thread.run`."""
    scope = _scope.get()

    async def wrapper() -> T:
        task = asyncio.current_task()
        assert task is not None
        anyio_backend._task_states[task] = anyio_backend.TaskState(None, scope)
        scope._tasks.add(task)
        _scope.set(None)
        try:
            return await function(*args)
        except asyncio.CancelledError as error:
            raise concurrent.futures.CancelledError(str(error)) from None
        finally:
            scope._tasks.discard(task)

    return await _ended(asyncio.get_running_loop().create_task(wrapper(), context=copy_context()))


async def _run_sync(function: Callable[[], Any], *, limiter: anyio.CapacityLimiter | None = None) -> Any:
    """`anyio.to_thread.run_sync`, with a task for a thread."""
    await anyio.lowlevel.checkpoint()
    async with limiter or anyio.to_thread.current_default_thread_limiter():
        with anyio.CancelScope(shield=True) as scope:
            context = copy_context()
            context.run(_scope.set, getattr(scope, "_parent_scope", None) or scope)
            body = context.run(function)
            if not isinstance(body, ThreadBody):
                return body
            return await _ended(asyncio.get_running_loop().create_task(_thread(body), context=context))


async def _thread(body: ThreadBody) -> object:
    return await body.run()


def _ended(task: "asyncio.Task[T]") -> "asyncio.Future[T]":
    """A future that ends as ``task`` does, and whose cancellation does not reach it."""
    future: asyncio.Future[T] = asyncio.get_running_loop().create_future()

    def end(_: object) -> None:
        if future.done():
            return
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if error is None:
            future.set_result(task.result())
        else:
            future.set_exception(error)

    task.add_done_callback(end)
    return future


@contextmanager
def simulated_threads() -> Iterator[None]:
    """Have what the engine starts in threads run in virtual time."""
    with patch.object(anyio.to_thread, "run_sync", _run_sync):
        yield
