"""The lifetime of a run: entered once, open inside its block, closed for ever; and what is under way in it."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import anyio

from asyncsteps._errors import RunClosedError
from asyncsteps._tasks.limiter import Limiter
from asyncsteps._tasks.shield import uninterrupted

T = TypeVar("T")


class Waiters:
    """Branches of a run that wait for one thing to happen.

    Args:
        lifetime: The lifetime of the run.
    """

    def __init__(self, lifetime: "Lifetime") -> None:
        self._lifetime = lifetime
        self._futures: list[asyncio.Future[None]] = []

    def __len__(self) -> int:
        return len(self._futures)

    async def wait(self) -> None:
        """Wait until `wake` is called; others may have the slots of the caller's activities meanwhile."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._futures.append(future)
        self._lifetime.block()
        try:
            with self._lifetime.limiter.blocked():
                await future
        finally:
            if future in self._futures:
                self._futures.remove(future)
                self._lifetime.unblock()

    def wake(self, error: Exception | None = None) -> None:
        """Let all that wait go on, or raise ``error`` in them."""
        for future in self._futures:
            self._lifetime.unblock()  # now, not when they run: until then they count as blocked
            if not future.done():
                if error is None:
                    future.set_result(None)
                else:
                    future.set_exception(error)
        self._futures.clear()


class Lifetime:
    """Whether a run takes work, and what it has under way.

    What is under way is counted in branches: one a submission, one more for each further member that a group plays
    at the same time. A branch is blocked while it waits for another step or for a signal. When the block has ended
    and every branch is blocked, nothing will ever wake them.

    Args:
        limiter: The limiter of the run.
    """

    def __init__(self, limiter: Limiter) -> None:
        self.limiter = limiter
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False
        self._submissions: set[anyio.CancelScope] = set()
        self._branches = 0
        self._blocked = 0
        self._news: asyncio.Event | None = None

    def enter(self) -> None:
        """Open.

        Raises:
            RunClosedError: The second time.
        """
        if self._loop is not None or self._closed:
            raise RunClosedError("a StepRun is entered once: make a new one for another run")
        self._loop = asyncio.get_running_loop()

    def check_open(self) -> None:
        """Check that work is taken.

        Raises:
            RunClosedError: Before the run is entered, and after it has ended.
        """
        if self._closed:
            raise RunClosedError("the run has ended: submit within its 'async with' block")
        if self._loop is None:
            raise RunClosedError("the run is not entered: use it within 'async with StepRun(...) as run:'")

    def check_loop(self) -> None:
        """Check that work is taken, and on the running event loop.

        Raises:
            RunClosedError: When it is not.
        """
        self.check_open()
        if asyncio.get_running_loop() is not self._loop:
            raise RunClosedError(
                "the run was entered on another event loop: submit on that one, from a thread with "
                "anyio.from_thread.run or asyncio.run_coroutine_threadsafe"
            )

    async def submission(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do ``work`` as a submission: counted, in the slot of the activity that submits, cancelled with the run.

        Raises:
            RunClosedError: When the run was left by an exception meanwhile.
        """
        slot = self.limiter.current()
        # The task of an activity that waits for what it submits is no branch beside it.
        additional = slot is None or slot.task is not asyncio.current_task()
        self._branches += additional
        self._submissions.add(scope := anyio.CancelScope())
        try:
            with scope:
                return await (work() if slot is None else slot.yielded(work))
        finally:
            self._submissions.discard(scope)
            self._branches -= additional
            self._tell()
        raise RunClosedError("the run was left by an exception, which cancelled this submission")

    @contextmanager
    def branches(self, count: int) -> Iterator[Callable[[], None]]:
        """Count a group's members as branches; yields a callback for each of them to call when it ends."""
        left = count
        self._branches += count - 1

        def end() -> None:
            nonlocal left
            if left > 1:
                left -= 1
                self._branches -= 1
                self._tell()

        try:
            yield end
        finally:
            self._branches -= left - 1

    def block(self) -> None:
        """Count a branch that is blocked."""
        self._blocked += 1
        self._tell()

    def unblock(self) -> None:
        """Count one less."""
        self._blocked -= 1

    def _tell(self) -> None:
        if self._news is not None:
            self._news.set()

    async def until_idle(self, give_up: Callable[[], bool]) -> None:
        """Wait until nothing is under way.

        Args:
            give_up: Called when all that is under way is blocked; it ends waits, and returns whether it did.
        """
        self._news = asyncio.Event()
        while self._submissions:
            stuck = self._branches == self._blocked
            if not (stuck and give_up()):
                self._news.clear()
                await self._news.wait()

    async def cancel(self) -> None:
        """Cancel what is under way, and wait for its end whatever cancels the waiting."""
        self.close()
        for scope in self._submissions:
            scope.cancel()
        if self._submissions:
            await uninterrupted(asyncio.ensure_future(self.until_idle(lambda: False)))

    def close(self) -> None:
        """Take no more work."""
        self._closed = True
