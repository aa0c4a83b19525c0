"""Waiting that no cancellation cuts short."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

import anyio

T = TypeVar("T")


async def uninterrupted(future: "asyncio.Future[T]", *, on_cancel: Callable[[], object] | None = None) -> T:
    """Wait for ``future`` through any cancellation of the caller, and raise the first one afterwards.

    Args:
        future: What is waited for; it is never cancelled.
        on_cancel: Called once, when the first cancellation arrives and ``future`` is not done.
    """
    try:
        await asyncio.wait({future})
    except asyncio.CancelledError:
        if on_cancel is not None and not future.done():
            on_cancel()
        with anyio.CancelScope(shield=True):  # keeps out cancelled scopes, but not Task.cancel()
            while not future.done():
                try:
                    await asyncio.wait({future})
                except asyncio.CancelledError:
                    continue
        if not future.cancelled():
            future.exception()  # retrieved: the cancellation goes first
        raise
    return future.result()
