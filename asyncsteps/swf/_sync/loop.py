"""Sync code into async code: one event loop per process in a thread of its own, and `run_sync` to call into it.

simpleflow calls activities as plain functions, and the stores are async. `run_sync` runs a coroutine for such a
function and waits for it: on the loop of the bridge that the function is called by (see `on_caller_loop`), else on
this process's own loop.

Why not anyio's blocking portal: after a timeout or an interrupt it does not wait until the work has cleaned up; a
`SystemExit` ends it for good; a fork may find its thread with a lock in hand, which the child then never gets; at
exit it waits for ever for work that cannot be cancelled; on a bridge's loop its work is cancelled with its scope.
"""

import asyncio
import atexit
import logging
import os
import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Generic, NamedTuple, TypeVar

from asyncsteps.swf._errors import LoopThreadError, RunSyncTimeoutError, SyncLoopClosedError
from asyncsteps.swf._sync.keeper import Keeper, keeper

T = TypeVar("T")

CANCEL_GRACE = 5.0
"""Seconds that a cancelled coroutine has to clean up before its caller stops waiting for it."""

CLOSE_GRACE = 5.0
"""Seconds that the work of the loop has to clean up when the interpreter exits."""

FORK_GRACE = 1.0
"""Seconds that a fork waits for the loop's thread to stand still between two callbacks."""

_logger = logging.getLogger(__name__)


def run_sync(fn: Callable[[], Awaitable[T]], *, timeout: float | None = None) -> T:
    """Call ``fn`` on an event loop in another thread, wait there for its awaitable, and return its result.

    Any thread may call it; the calls of one thread start in order. ``fn`` runs in a copy of the caller's context
    variables. Exceptions come out as they are, with their traceback. A ``KeyboardInterrupt`` (or whatever else a
    signal handler raises) in the waiting thread cancels the awaitable.

    Args:
        fn: Makes the awaitable; it is called in the loop's thread.
        timeout: Seconds after which the awaitable is cancelled; None: never. An awaitable that ends all the same
            while it cleans up counts as ended.

    Raises:
        RunSyncTimeoutError: After ``timeout`` seconds.
        LoopThreadError: When called in the thread of the very loop that it would wait for.
        SyncLoopClosedError: When that loop is closed.
    """
    return _Call(fn, _target()).result(timeout)


class _Call(Generic[T]):
    """A call of `run_sync`: begun and cancelled in the loop's thread, awaited in the caller's."""

    def __init__(self, fn: Callable[[], Awaitable[T]], target: "_Target") -> None:
        self._fn = fn
        self._loop, self._keeper, _ = target
        self._outcome: Future[T] = Future()
        self._task: asyncio.Task[None] | None = None

    def result(self, timeout: float | None) -> T:
        """Begin, wait for the outcome, and return the result."""
        try:
            self._in_loop(self._begin)
            wait((self._outcome,), timeout)
        except SyncLoopClosedError:
            raise
        except BaseException:  # a signal handler raised
            self._abandon()
            raise
        if not self._outcome.done():
            assert timeout is not None
            self._abandon()
            if not self._outcome.done() or isinstance(self._outcome.exception(), asyncio.CancelledError):
                raise RunSyncTimeoutError(timeout)
        return self._outcome.result()

    def _abandon(self) -> None:
        """Cancel, and wait for the cleaning up."""
        with suppress(SyncLoopClosedError):
            self._in_loop(self._cancel)
            wait((self._outcome,), CANCEL_GRACE)

    def _in_loop(self, callback: Callable[[], object]) -> None:
        try:
            self._loop.call_soon_threadsafe(callback)
        except RuntimeError as error:
            raise SyncLoopClosedError from error

    def _begin(self) -> None:
        self._task = self._loop.create_task(self._play())
        self._task.add_done_callback(self._end)

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()
        else:  # the signal came before the call reached the loop
            self._fail(asyncio.CancelledError())

    async def _play(self) -> None:
        keeper.set(self._keeper)
        try:
            result = await self._fn()
        except BaseException as error:  # noqa: BLE001 - it is the waiting thread's, a SystemExit included
            self._fail(error)
        else:
            self._outcome.set_result(result)

    def _end(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() and not self._outcome.done():  # before its first step
            self._fail(asyncio.CancelledError())

    def _fail(self, error: BaseException) -> None:
        # At exit the waiting threads are daemons that end with the interpreter: woken up, they would only print
        # the traceback of a cancellation that nobody asked for.
        if not (_process.closed and isinstance(error, asyncio.CancelledError)):
            self._outcome.set_exception(error)


class _Target(NamedTuple):
    """A loop that calls go to, and what keeps things open there."""

    loop: asyncio.AbstractEventLoop
    keeper: Keeper | None
    pid: int


_caller_loop: ContextVar[_Target | None] = ContextVar("asyncsteps_caller_loop", default=None)


@contextmanager
def on_caller_loop(loop: asyncio.AbstractEventLoop, keeping: Keeper | None = None) -> Iterator[None]:
    """Let `run_sync` use ``loop``, which runs in another thread, for all that is called inside the block.

    Args:
        loop: The loop.
        keeping: Keeps what the calls open for more than one of them; closed by whoever made it.
    """
    token = _caller_loop.set(_Target(loop, keeping, os.getpid()))
    try:
        yield
    finally:
        _caller_loop.reset(token)


def _target() -> _Target:
    """Where a call from here goes.

    Raises:
        LoopThreadError: When it would go to the loop of this thread.
        SyncLoopClosedError: When the interpreter is exiting.
    """
    target = _caller_loop.get()
    if target is None or target.pid != os.getpid():  # a forked child inherits the variable, and no running loop
        target = _process.target()
    try:
        running = asyncio.get_running_loop()
    except RuntimeError:
        return target
    if running is target.loop:
        raise LoopThreadError
    return target


class _ProcessLoop:
    """This process's own loop: made at its first use, closed at exit, left behind by a forked child.

    A fork waits until the loop's thread stands still between two callbacks, where it holds no lock (of an import,
    of logging, of a library): the child has no such thread, and would find the lock held for ever.
    """

    def __init__(self) -> None:
        self.closed = False
        self._lock = threading.Lock()
        self._target: _Target | None = None
        self._thread: threading.Thread | None = None
        self._forking = threading.local()
        self._left_behind: list[object] = []

    def target(self) -> _Target:
        """The loop and what keeps things open on it until it closes; made now if there is none.

        Raises:
            SyncLoopClosedError: When the interpreter is exiting.
        """
        with self._lock:
            if self.closed:
                raise SyncLoopClosedError
            if self._target is None:
                loop = asyncio.new_event_loop()
                self._target = _Target(loop, Keeper(), os.getpid())
                self._thread = threading.Thread(
                    target=self._serve, args=(loop,), name="asyncsteps-loop", daemon=True
                )
                self._thread.start()
            return self._target

    def _serve(self, loop: asyncio.AbstractEventLoop) -> None:
        stopped = False
        while not stopped:
            try:
                loop.run_forever()
            except BaseException:
                # asyncio lets a SystemExit of any task end the loop, where others' work has to go on.
                _logger.exception("a task tried to end the event loop of run_sync()")
            stopped = self.closed
        loop.run_until_complete(_wind_up())
        # Not shutdown_default_executor(): it starts a thread, which an exiting interpreter refuses.
        loop.close()

    def close(self) -> None:
        """Cancel what the loop is doing, let it clean up, and close the loop; for good."""
        with self._lock:
            self.closed = True
        if self._target is None or self._thread is None:
            return
        self._target.loop.call_soon_threadsafe(self._target.loop.stop)
        self._thread.join(CLOSE_GRACE)
        if self._thread.is_alive():
            _logger.warning("work on the event loop of run_sync() did not end within %g s of exit", CLOSE_GRACE)

    def before_fork(self) -> None:
        """Let the loop's thread stand still, unless it is the one that forks."""
        release = self._forking.release = threading.Event()
        if self._target is None or threading.current_thread() is self._thread:
            return
        standing = threading.Event()

        def stand_still() -> None:
            standing.set()
            release.wait()

        with suppress(RuntimeError):  # the loop is closed
            self._target.loop.call_soon_threadsafe(stand_still)
            standing.wait(FORK_GRACE)

    def after_fork_in_parent(self) -> None:
        """Let the loop's thread go on."""
        self._forking.release.set()

    def after_fork_in_child(self) -> None:
        """Leave the parent's loop behind."""
        # It is not closed, for both processes share its selector, nor dropped with its tasks, which would warn.
        if self._target is not None:
            self._left_behind += (self._target, asyncio.all_tasks(self._target.loop))
        self._lock = threading.Lock()
        self._target = self._thread = None


async def _wind_up() -> None:
    """Cancel all tasks of the running loop, those that keep things open too, and wait for their end."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.get_running_loop().shutdown_asyncgens()


_process = _ProcessLoop()
atexit.register(_process.close)
os.register_at_fork(
    before=_process.before_fork,
    after_in_parent=_process.after_fork_in_parent,
    after_in_child=_process.after_fork_in_child,
)
