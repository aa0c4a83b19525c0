"""Gathers the marks that are under way together, so that they share a worker thread and a commit."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from anyio import CancelScope

from asyncsteps.store._directory.commit import Mark, commit, sync_each
from asyncsteps.store._directory.files import prepare

MOST = 64
"""The most marks in one commit, which has as many files open at once."""

RunInThread = Callable[[Callable[[], None]], Awaitable[None]]
"""Runs a blocking function in a worker thread."""


class _Waiting:
    """A mark that waits for its commit, and later for the commit's end."""

    __slots__ = ("done", "mark", "scope")

    def __init__(self, mark: Mark) -> None:
        self.mark = mark
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.scope = CancelScope()


class CommitGroup:
    """Commits marks in the order they come, one commit after the other; all that wait join the next one.

    Args:
        base: The store's directory.
        run_in_thread: Runs each commit.
        concurrency: The most files of a commit that are synchronised at once.
    """

    def __init__(self, base: Path, run_in_thread: RunInThread, *, concurrency: int) -> None:
        self._base = base
        self._run_in_thread = run_in_thread
        self._concurrency = concurrency
        self._waiting: deque[_Waiting] = deque()
        self._commits: asyncio.Task[None] | None = None
        self._threads: ThreadPoolExecutor | None = None
        self._prepared = False

    async def make(self, mark: Mark) -> None:
        """Make a mark, which holds its outcome afterwards.

        If cancelled, a mark whose commit has not begun is not made. Afterwards the commit is waited for.
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
        if self._threads is not None:
            self._threads.shutdown()

    async def _commit_all(self) -> None:
        try:
            while together := self._next():
                await self._commit_together(together)
        finally:
            self._commits = None

    def _next(self) -> list[_Waiting]:
        """Take the marks of the next commit, leaving out those that were cancelled."""
        together: list[_Waiting] = []
        while self._waiting and len(together) < MOST:
            waiting = self._waiting.popleft()
            if not waiting.done.done():
                waiting.scope.shield = True
                together.append(waiting)
        return together

    async def _commit_together(self, together: Sequence[_Waiting]) -> None:
        failure: Exception | None = None
        try:
            await self._run_in_thread(partial(self._commit, [waiting.mark for waiting in together]))
        except asyncio.CancelledError:  # the event loop ends
            for waiting in together:
                waiting.done.cancel()
            raise
        except OSError as error:
            for waiting in together:
                waiting.mark.error = error
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
        """Commit the marks, in a worker thread."""
        if not self._prepared:
            prepare(self._base)
            self._prepared = True
        commit(self._base, marks, self._sync_files)

    def _sync_files(self, descriptors: Sequence[int]) -> list[OSError | None]:
        """Synchronise files in as many threads as are allowed."""
        threads = min(len(descriptors), self._concurrency)
        if threads < 2:
            return sync_each(descriptors)
        if self._threads is None:
            self._threads = ThreadPoolExecutor(self._concurrency, "asyncsteps-fsync")
        errors: list[OSError | None] = [None] * len(descriptors)
        parts = [descriptors[first::threads] for first in range(threads)]
        for first, part in enumerate(self._threads.map(sync_each, parts)):
            errors[first::threads] = part
        return errors
