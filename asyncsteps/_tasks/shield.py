"""Waits for a future without being interrupted by cancellation."""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

import anyio

T = TypeVar("T")


async def uninterrupted(future: "asyncio.Future[T]", *, on_cancel: Callable[[], object] | None = None) -> T:
    """Wait for ``future`` through any cancellation of the caller, and raise the first one afterwards.

    Args:
        future: What is waited for; it is never cancelled.
        on_cancel: Called once, when the first cancellation arrives and ``future`` is not done.
    """
    try:
        await until_done(future)
    except asyncio.CancelledError:
        if on_cancel is not None and not future.done():
            on_cancel()
        await through_cancellations(future)
        if not future.cancelled():
            future.exception()  # retrieved: the cancellation goes first
        raise
    return future.result()


async def through_cancellations(future: "asyncio.Future[Any]") -> None:
    """Wait for ``future`` to be done, and drop the cancellations that arrive meanwhile."""
    with anyio.CancelScope(shield=True):  # keeps out cancelled scopes, but not Task.cancel()
        while not future.done():
            try:
                await until_done(future)
            except asyncio.CancelledError:
                continue


async def until_done(future: "asyncio.Future[Any]") -> None:
    """Wait for ``future`` to be done, as `asyncio.wait` does for several; a cancellation does not reach it."""
    if future.done():
        return
    waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def wake(_: object) -> None:
        if not waiter.done():
            waiter.set_result(None)

    future.add_done_callback(wake)
    try:
        await waiter
    finally:
        future.remove_done_callback(wake)
