"""What is opened once for an event loop, kept open for all calls from sync code, and closed with the loop.

Making an S3 client costs many times what a request costs, and every mark of a done step is a call of its own.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Hashable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any, TypeVar

T = TypeVar("T")


class Keeper:
    """Keeps context managers entered on one event loop, each in a task of its own.

    A task of its own enters and leaves it, so that whoever opened it first may be cancelled without closing it
    for the others, and so that cancelling all tasks of the loop closes it.
    """

    def __init__(self) -> None:
        self._opened: dict[Hashable, asyncio.Future[Any]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def get(self, key: Hashable, make: Callable[[], AbstractAsyncContextManager[T]]) -> T:
        """What ``make`` gave when ``key`` was asked for first, entered; made and entered now if that is now.

        Raises:
            Exception: What entering raised; the next call tries again.
        """
        opened: asyncio.Future[T] | None = self._opened.get(key)
        if opened is None:
            opened = self._opened[key] = asyncio.get_running_loop().create_future()
            task = asyncio.create_task(_keep(make, opened))
            self._tasks.add(task)
            task.add_done_callback(partial(self._left, key, opened))
        return await asyncio.shield(opened)

    def _left(self, key: Hashable, opened: "asyncio.Future[Any]", task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._opened.pop(key, None)
        opened.cancel()

    async def aclose(self) -> None:
        """Leave all context managers, and raise what leaving them raised."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        errors = [error for error in ended if isinstance(error, Exception)]
        if errors:
            raise errors[0]


async def _keep(make: Callable[[], AbstractAsyncContextManager[T]], opened: "asyncio.Future[T]") -> None:
    try:
        async with make() as resource:
            opened.set_result(resource)
            await asyncio.Event().wait()
    except Exception as error:
        if opened.done():
            raise
        opened.set_exception(error)


keeper: ContextVar[Keeper | None] = ContextVar("asyncsteps_keeper", default=None)
"""Keeps what the calls from here open; None: each call opens and closes its own."""


@asynccontextmanager
async def shared(key: Hashable, make: Callable[[], AbstractAsyncContextManager[T]]) -> AsyncIterator[T]:
    """What ``make`` gives, entered: the one that is kept open under ``key``, or one for this block alone."""
    keeping = keeper.get()
    if keeping is None:
        async with make() as resource:
            yield resource
    else:
        yield await keeping.get(key, make)
