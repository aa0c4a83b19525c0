"""Gathers the marks that are under way together into commits."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

from anyio import CancelScope

from asyncsteps.store._directory.commit import Mark, commit, sync_each
from asyncsteps.store._directory.files import prepare

T = TypeVar("T")

MOST = 64
"""The most marks of one commit, which has as many files open at once."""


class _Waiting:
    """A mark that waits for its commit."""

    __slots__ = ("done", "mark", "scope")

    def __init__(self, mark: Mark) -> None:
        self.mark = mark
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.scope = CancelScope()


class CommitGroup:
    """Commits marks in the order they come, one commit after the other. All that wait share the next one.

    Args:
        base: The store's directory.
        threads: The most worker threads.
    """

    def __init__(self, base: Path, *, threads: int) -> None:
        self._base = base
        self._threads = threads
        self._executor = ThreadPoolExecutor(threads, "asyncsteps-marks")
        self._waiting: deque[_Waiting] = deque()
        self._commits: asyncio.Task[None] | None = None
        self._has_thread = False
        self._prepared = False

    async def make(self, mark: Mark) -> None:
        """Make a mark, and set its outcome.

        A mark that is cancelled before its commit has begun is not made. Later on, a cancelled scope waits for the
        end of the commit.
        """
        waiting = _Waiting(mark)
        self._waiting.append(waiting)
        if self._commits is None:
            self._commits = asyncio.create_task(self._commit_all())
        with waiting.scope:
            await waiting.done

    async def aclose(self) -> None:
        """Wait for the commits under way, and end the threads."""
        with CancelScope(shield=True):
            while self._commits is not None:
                await asyncio.wait([self._commits])
        self._executor.shutdown()

    async def _commit_all(self) -> None:
        try:
            while together := self._next():
                await self._commit_together(together)
        finally:
            self._commits = None
            while self._waiting:  # this task was cancelled
                self._waiting.popleft().done.cancel()

    def _next(self) -> list[_Waiting]:
        """Take the marks of the next commit; those that were cancelled are left out."""
        together: list[_Waiting] = []
        while self._waiting and len(together) < MOST:
            waiting = self._waiting.popleft()
            if not waiting.done.done():
                waiting.scope.shield = True
                together.append(waiting)
        return together

    async def _commit_together(self, together: Sequence[_Waiting]) -> None:
        marks = [waiting.mark for waiting in together]
        failure: Exception | None = None
        try:
            await asyncio.wrap_future(self._in_thread(partial(self._commit, marks)))
        except asyncio.CancelledError:  # the event loop ends
            for waiting in together:
                waiting.done.cancel()
            raise
        except OSError as error:
            for mark in marks:
                mark.error = error
        except Exception as error:  # noqa: BLE001 -- raised to each
            failure = error
        for waiting in together:
            if waiting.done.done():  # by Task.cancel(), which no scope keeps out
                continue
            if failure is None:
                waiting.done.set_result(None)
            else:
                waiting.done.set_exception(failure)

    def _commit(self, marks: Sequence[Mark]) -> None:
        """Commit marks, in a worker thread."""
        if not self._prepared:
            prepare(self._base)
            self._prepared = True
        commit(self._base, marks, self._sync_files)

    def _sync_files(self, descriptors: Sequence[int]) -> list[OSError | None]:
        """Synchronise files in this worker thread and in others."""
        threads = min(len(descriptors), self._threads)
        parts = [descriptors[first::threads] for first in range(threads)]
        others = [self._in_thread(partial(sync_each, part)) for part in parts[1:]]
        found = [sync_each(part) for part in parts[:1]]
        for part, other in zip(parts[1:], others, strict=True):
            # What no other thread has begun is done here: there may be none, or each may wait like this one.
            found.append(sync_each(part) if other.cancel() else other.result())
        errors: list[OSError | None] = [None] * len(descriptors)
        for first, each in enumerate(found):
            errors[first::threads] = each
        return errors

    def _in_thread(self, work: Callable[[], T]) -> "Future[T]":
        """Do ``work`` in a worker thread.

        Raises:
            RuntimeError: When no thread can be started and there is none. The work is not done later either,
                as the executor by itself would do it.
        """
        future: Future[T] = Future()

        def do() -> None:
            self._has_thread = True
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(work())
                except BaseException as error:  # noqa: BLE001 - raised to who waits
                    future.set_exception(error)

        try:
            self._executor.submit(do)
        except RuntimeError:
            if not self._has_thread:
                future.cancel()
                raise
        return future
