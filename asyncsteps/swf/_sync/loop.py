"""Sync code into async code: one event loop per process in a thread of its own, and `run_sync` to call into it.

simpleflow calls activities, and our listing and marking among them, as plain functions; the stores are async.
`run_sync` plays a coroutine for such a function and waits for it. It plays it on the loop of the bridge that the
calling code runs under, where there is one (see `on_caller_loop`), and else on this process's own loop.
"""

import asyncio
import atexit
import contextvars
import logging
import os
import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Generic, TypeVar

from asyncsteps.swf._errors import LoopThreadError, RunSyncTimeoutError, SyncLoopClosedError
from asyncsteps.swf._sync.keeper import Keeper, keeper

T = TypeVar("T")

CANCEL_GRACE = 5.0
"""Seconds that a cancelled coroutine has to clean up before its caller stops waiting for it."""

CLOSE_GRACE = 5.0
"""Seconds that the work of the loop has to clean up when the interpreter exits."""

FORK_GRACE = 1.0
"""Seconds that a fork waits for the loop's thread to stand still, which it does between two callbacks."""

_logger = logging.getLogger(__name__)


def run_sync(fn: Callable[[], Awaitable[T]], *, timeout: float | None = None) -> T:
    """Call ``fn`` on an event loop in another thread, wait there for its awaitable, and give its result.

    Any thread may call it; what one thread submits starts in order. ``fn`` runs in a copy of the caller's context
    variables. Its exceptions come out as they are, with their trace. A ``KeyboardInterrupt`` (or whatever else a
    signal handler raises) in the waiting thread cancels the awaitable.

    Args:
        fn: Makes the awaitable; it is called in the loop's thread.
        timeout: Seconds after which the awaitable is cancelled; None: never. An awaitable that ends all the same
            while it cleans up counts as ended.

    Raises:
        RunSyncTimeoutError: After ``timeout`` seconds.
        LoopThreadError: When called from the thread of the very loop that it would wait for.
        SyncLoopClosedError: When that loop is closed.
    """
    loop, keeping = _target()
    return _Call(fn, loop, keeping).result(timeout)


@contextmanager
def on_caller_loop(loop: asyncio.AbstractEventLoop, keeping: Keeper | None = None) -> Iterator[None]:
    """Let `run_sync` use ``loop``, which runs in another thread, for all that is called inside the block.

    Args:
        loop: The loop.
        keeping: Keeps what the calls open for more than one of them; closed by whoever made it.
    """
    token = _caller_loop.set(_CallerLoop(loop, keeping, os.getpid()))
    try:
        yield
    finally:
        _caller_loop.reset(token)


@dataclass(frozen=True, slots=True)
class _CallerLoop:
    loop: asyncio.AbstractEventLoop
    keeper: Keeper | None
    pid: int


_caller_loop: contextvars.ContextVar[_CallerLoop | None] = contextvars.ContextVar(
    "asyncsteps_caller_loop", default=None
)


def _target() -> tuple[asyncio.AbstractEventLoop, Keeper | None]:
    """The loop that a call from here goes to, and what keeps things open there."""
    caller = _caller_loop.get()
    # A forked child inherits the variable, but nothing runs its parent's loops.
    known = caller is not None and caller.pid == os.getpid()
    target = (caller.loop, caller.keeper) if known and caller else _process.loop()
    try:
        running = asyncio.get_running_loop()
    except RuntimeError:
        running = None
    if running is target[0]:
        raise LoopThreadError
    return target


class _Call(Generic[T]):
    """One call of `run_sync`: begun, settled and cancelled in the loop's thread, awaited in the caller's."""

    def __init__(
        self, fn: Callable[[], Awaitable[T]], loop: asyncio.AbstractEventLoop, keeping: Keeper | None
    ) -> None:
        self._fn = fn
        self._loop = loop
        self._keeping = keeping
        self._outcome: Future[T] = Future()
        self._task: asyncio.Task[None] | None = None

    def result(self, timeout: float | None) -> T:
        """Start the call, wait for its end, and give its outcome."""
        try:
            self._in_loop(self._begin)
            wait((self._outcome,), timeout)
        except SyncLoopClosedError:
            raise
        except BaseException:
            # A signal's handler raised while this thread waited.
            self._cancel()
            raise
        if not self._outcome.done():
            assert timeout is not None
            self._cancel()
            if not self._outcome.done():
                raise RunSyncTimeoutError(timeout)
            error = self._outcome.exception()
            if isinstance(error, asyncio.CancelledError):
                raise RunSyncTimeoutError(timeout) from error
        return self._outcome.result()

    def _in_loop(self, callback: Callable[[], object]) -> None:
        try:
            self._loop.call_soon_threadsafe(callback, context=contextvars.copy_context())
        except RuntimeError as error:
            raise SyncLoopClosedError from error

    def _begin(self) -> None:
        self._task = self._loop.create_task(self._play())
        self._task.add_done_callback(self._end)

    async def _play(self) -> None:
        keeper.set(self._keeping)
        try:
            result = await self._fn()
        except BaseException as error:  # noqa: BLE001 - it is the waiting thread's, a SystemExit included
            self._fail(error)
        else:
            self._outcome.set_result(result)

    def _end(self, task: asyncio.Task[None]) -> None:
        # A task that is cancelled before its first step never entered `_play`.
        if task.cancelled() and not self._outcome.done():
            self._fail(asyncio.CancelledError())

    def _fail(self, error: BaseException) -> None:
        # At exit the waiting threads are daemons that end with the interpreter: woken up, they would only print
        # the trace of a cancellation that nobody asked for.
        if not (_process.closed and isinstance(error, asyncio.CancelledError)):
            self._outcome.set_exception(error)

    def _cancel(self) -> None:
        """Cancel the task, and give it time to clean up."""
        with suppress(SyncLoopClosedError):
            self._in_loop(self._cancel_task)
            wait((self._outcome,), CANCEL_GRACE)

    def _cancel_task(self) -> None:
        if self._task is not None:
            self._task.cancel()
        else:
            # The signal came before the call reached the loop.
            self._fail(asyncio.CancelledError())


class _ProcessLoop:
    """This process's own loop: made at its first use, closed at exit, left behind by a forked child.

    A fork waits until the loop's thread stands still between two callbacks, where it holds no lock (of an import,
    of logging, of a library) that the child, which has no such thread, would find held for ever.
    """

    def __init__(self) -> None:
        self.closed = False
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._keeper = Keeper()
        self._thread: threading.Thread | None = None
        self._forking = threading.local()
        self._left_behind: list[object] = []

    def loop(self) -> tuple[asyncio.AbstractEventLoop, Keeper]:
        """The loop, made now if there is none, and what keeps things open on it until it closes.

        Raises:
            SyncLoopClosedError: When the interpreter is exiting.
        """
        with self._lock:
            if self.closed:
                raise SyncLoopClosedError
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(
                    target=self._serve, args=(self._loop,), name="asyncsteps-loop", daemon=True
                )
                self._thread.start()
            return self._loop, self._keeper

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
            loop, thread = self._loop, self._thread
        if loop is None or thread is None:
            return
        loop.call_soon_threadsafe(loop.stop)
        thread.join(CLOSE_GRACE)
        if thread.is_alive():
            _logger.warning("work on the event loop of run_sync() did not end within %g s of exit", CLOSE_GRACE)

    def before_fork(self) -> None:
        release = self._forking.release = threading.Event()
        loop = self._loop
        if loop is None or threading.current_thread() is self._thread:
            return
        standing = threading.Event()

        def stand_still() -> None:
            standing.set()
            release.wait()

        with suppress(RuntimeError):
            loop.call_soon_threadsafe(stand_still)
            standing.wait(FORK_GRACE)

    def after_fork_in_parent(self) -> None:
        self._forking.release.set()

    def after_fork_in_child(self) -> None:
        # The parent's loop is not closed, for they share a selector, nor dropped with its tasks, which would warn.
        if self._loop is not None:
            self._left_behind += (self._loop, self._keeper, asyncio.all_tasks(self._loop))
        self._lock = threading.Lock()
        self._loop = self._thread = None
        self._keeper = Keeper()


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
