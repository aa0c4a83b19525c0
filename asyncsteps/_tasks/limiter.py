"""The slots of a run: how many activities may be under way at once."""

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar, Token
from types import TracebackType

import anyio

_held: ContextVar["Slot | None"] = ContextVar("asyncsteps_slot", default=None)
"""The slot of the activity that the current code belongs to."""


class Limiter:
    """So many slots; activities take one each, and nothing that only waits for activities holds any.

    Args:
        total: How many activities may be under way at once, worker threads included.
    """

    def __init__(self, total: int) -> None:
        # The slots bound the threads, and nothing else may: a thread can wait with its slot lent.
        self.threads = anyio.CapacityLimiter(math.inf)
        self.semaphore = anyio.Semaphore(total, fast_acquire=True)

    def slot(self) -> "Slot":
        """A slot to be held during an ``async with`` block."""
        return Slot(self)

    @asynccontextmanager
    async def yielded(self) -> AsyncIterator[None]:
        """Give the current activity's slot, if it holds one, to others while it waits for what it submitted.

        Without this, activities that submit and wait would fill all slots, and what they wait for would never
        get one.
        """
        current = _held.get()
        held = None if current is None else current.of(self)
        if held is None:
            yield
            return
        held.yield_()
        try:
            yield
        finally:
            await held.resume()


class Slot:
    """One slot, held by one activity."""

    def __init__(self, limiter: Limiter) -> None:
        self.limiter = limiter
        self._owned = False
        self.ended = False
        self._yielded = 0
        self.outer: Slot | None = None
        self._token: Token[Slot | None] | None = None

    async def __aenter__(self) -> None:
        await self.limiter.semaphore.acquire()
        self._owned = True
        self.outer = _held.get()
        while self.outer is not None and self.outer.ended:  # a task may outlive the activity that started it
            self.outer = self.outer.outer
        self._token = _held.set(self)

    def of(self, limiter: Limiter) -> "Slot | None":
        """The innermost slot of ``limiter`` that the code holding this one is within."""
        slot: Slot | None = self
        while slot is not None and slot.limiter is not limiter:
            slot = slot.outer
        return slot

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._token is not None
        _held.reset(self._token)
        self.ended = True
        self._release()

    def yield_(self) -> None:
        """Free the slot, once however many waits its activity has under way."""
        self._yielded += 1
        self._release()

    async def resume(self) -> None:
        """Hold the slot again when the last wait has ended."""
        self._yielded -= 1
        if not self._is_due():
            return
        await self.limiter.semaphore.acquire()
        if self._is_due():
            self._owned = True
        else:  # another wait began, or the activity ended, meanwhile
            self.limiter.semaphore.release()

    def _is_due(self) -> bool:
        return not (self._yielded or self._owned or self.ended)

    def _release(self) -> None:
        if self._owned:
            self._owned = False
            self.limiter.semaphore.release()
