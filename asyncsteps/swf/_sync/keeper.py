"""Context managers that are entered once per event loop, shared by calls from sync code, and left with the loop.

Making an S3 client costs many times what a request costs, and every mark of a done step is a call of its own.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Hashable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

T = TypeVar("T")


class Keeper:
    """Keeps context managers entered on one event loop, each in a task of its own.

    That task enters and leaves it. So whoever asks first may be cancelled without closing it for the others, and
    cancelling all tasks of the loop closes it.
    """

    def __init__(self) -> None:
        self._kept: dict[Hashable, tuple[asyncio.Task[None], asyncio.Future[Any]]] = {}

    async def get(self, key: Hashable, make: Callable[[], AbstractAsyncContextManager[T]]) -> T:
        """Return what is kept under ``key``; at the first call, make and enter it.

        Raises:
            Exception: What entering raised; the next call tries again.
        """
        if key not in self._kept:
            opened: asyncio.Future[T] = asyncio.get_running_loop().create_future()
            task = asyncio.create_task(_keep(make, opened))
            self._kept[key] = task, opened
            task.add_done_callback(lambda _: self._forget(key))
        resource: T = await asyncio.shield(self._kept[key][1])
        return resource

    def _forget(self, key: Hashable) -> None:
        _, opened = self._kept.pop(key)
        opened.cancel()

    async def aclose(self) -> None:
        """Leave all context managers, and raise what leaving them raised."""
        tasks = [task for task, _ in self._kept.values()]
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
    """Enter what is kept under ``key``, or, where nothing keeps it, one for this block alone."""
    keeping = keeper.get()
    if keeping is None:
        async with make() as resource:
            yield resource
    else:
        yield await keeping.get(key, make)
