"""Worker threads in virtual time: the loop waits while one works, and not while one sleeps or waits for the loop.

`anyio.to_thread.run_sync`, `asyncio.run_coroutine_threadsafe` and `time.sleep` are replaced while a loop is in
virtual time, unless a test has done so; for other loops and threads they do what they always do. All counts change
on the loop, so that it never sees a thread that has been woken and not been counted yet.
"""

import asyncio
import concurrent.futures
import contextlib
import threading
import time
from asyncio.coroutines import iscoroutine
from collections.abc import Callable, Iterator
from functools import partial
from types import ModuleType
from typing import Any, TypeVar

import anyio
import anyio.lowlevel
import anyio.to_thread

T = TypeVar("T")

_current = threading.local()
"""Its ``worker`` is what the current thread is in virtual time; it has none in other threads."""

_run_sync, _run_coroutine_threadsafe, _sleep = (
    anyio.to_thread.run_sync,
    asyncio.run_coroutine_threadsafe,
    time.sleep,
)

_attached: dict[asyncio.AbstractEventLoop, "VirtualThreads"] = {}
_attaching = threading.Lock()


class _Worker:
    """What one thread does for a loop.

    Attributes:
        waits: For how much that happens on the loop it waits.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, threads: "VirtualThreads") -> None:
        self.loop = loop
        self.threads = threads
        self.waits = 0

    def run(self, function: Callable[..., T], *args: Any) -> T:
        """Call a function in the thread."""
        outer, _current.worker = getattr(_current, "worker", None), self
        try:
            return function(*args)
        finally:
            _current.worker = outer

    def wait_for(self, future: "concurrent.futures.Future[Any]") -> None:
        """Note, on the loop, that the thread waits for a future that the loop sets."""
        self.waits += 1
        future.add_done_callback(self._go_on)  # at once, if it is set already

    def _go_on(self, _: object) -> None:
        self.waits -= 1

    def sleep(self, seconds: float) -> None:
        """Sleep in virtual time, in the thread."""
        over: concurrent.futures.Future[None] = concurrent.futures.Future()

        def begin() -> None:
            self.wait_for(over)
            self.threads.asleep.add(over)
            self.loop.call_later(0 if self.threads.ending else seconds, self.threads.wake, over)

        self.loop.call_soon_threadsafe(begin)
        over.result()


class VirtualThreads:
    """The worker threads of one loop.

    Attributes:
        asleep: Set when a thread that sleeps goes on.
        ending: Whether the loop waits for all threads to end; they sleep no more then.
    """

    def __init__(self) -> None:
        self.asleep: set[concurrent.futures.Future[None]] = set()
        self.ending = False
        self._workers: set[_Worker] = set()

    def wake(self, sleeping: "concurrent.futures.Future[None]") -> None:
        """Wake a thread that sleeps, unless it is awake."""
        if sleeping in self.asleep:
            self.asleep.remove(sleeping)
            sleeping.set_result(None)

    def end(self) -> None:
        """Wake all, and let none sleep any more."""
        self.ending = True
        for sleeping in list(self.asleep):
            self.wake(sleeping)

    @property
    def busy(self) -> bool:
        """Whether a thread works, and does not wait for the loop."""
        return any(worker.waits <= 0 for worker in self._workers)

    @contextlib.contextmanager
    def attached(self, loop: Any) -> Iterator[None]:
        """Have the threads that ``loop`` starts during the block be counted here."""
        in_executor = loop.run_in_executor

        def run_in_executor(executor: Any, function: Callable[..., T], *args: Any) -> "asyncio.Future[T]":
            worker = _Worker(loop, self)
            future: asyncio.Future[T] = in_executor(executor, partial(worker.run, function), *args)
            self._workers.add(worker)
            future.add_done_callback(lambda _: self._workers.discard(worker))
            return future

        _attach(loop, self)
        loop.run_in_executor = run_in_executor
        try:
            yield
        finally:
            del loop.run_in_executor  # the method is there again
            _detach(loop)

    @contextlib.contextmanager
    def working(self, loop: asyncio.AbstractEventLoop) -> Iterator[_Worker]:
        """Count a thread during the block."""
        worker = _Worker(loop, self)
        self._workers.add(worker)
        try:
            yield worker
        finally:
            self._workers.discard(worker)


def _attach(loop: asyncio.AbstractEventLoop, threads: VirtualThreads) -> None:
    with _attaching:
        if not _attached:
            for module, name, original, virtual in _REPLACED:
                _replace(module, name, original, virtual)
        _attached[loop] = threads


def _detach(loop: asyncio.AbstractEventLoop) -> None:
    with _attaching:
        del _attached[loop]
        if not _attached:
            for module, name, original, virtual in _REPLACED:
                _replace(module, name, virtual, original)


def _replace(module: ModuleType, name: str, old: object, new: object) -> None:
    """Replace a function, unless somebody else has."""
    if getattr(module, name) is old:
        setattr(module, name, new)


async def _counted_run_sync(function: Callable[..., Any], *args: Any, limiter: Any = None, **options: Any) -> Any:
    """`anyio.to_thread.run_sync`; the thread is counted from when it has its place in the limiter."""
    loop = asyncio._get_running_loop()  # noqa: SLF001 - None where another library runs the loop
    threads = None if loop is None else _attached.get(loop)
    if loop is None or threads is None:
        return await _run_sync(function, *args, limiter=limiter, **options)
    await anyio.lowlevel.checkpoint()
    async with limiter or anyio.to_thread.current_default_thread_limiter():
        with threads.working(loop) as worker:
            own = anyio.CapacityLimiter(1)
            return await _run_sync(partial(worker.run, function), *args, limiter=own, **options)


def _counted_run_coroutine_threadsafe(coro: Any, loop: asyncio.AbstractEventLoop) -> Any:
    worker: _Worker | None = getattr(_current, "worker", None)
    if worker is None or worker.loop is not loop or not iscoroutine(coro):
        return _run_coroutine_threadsafe(coro, loop)
    future = _run_coroutine_threadsafe(coro, loop)
    loop.call_soon_threadsafe(worker.wait_for, future)  # second: until then the thread counts as one that works
    return future


def _virtual_sleep(seconds: float, /) -> None:
    worker: _Worker | None = getattr(_current, "worker", None)
    if worker is None or not seconds > 0:
        _sleep(seconds)
    else:
        worker.sleep(seconds)


_REPLACED: tuple[tuple[ModuleType, str, object, object], ...] = (
    (anyio.to_thread, "run_sync", _run_sync, _counted_run_sync),
    (asyncio, "run_coroutine_threadsafe", _run_coroutine_threadsafe, _counted_run_coroutine_threadsafe),
    (time, "sleep", _sleep, _virtual_sleep),
)
"""Where each function is, what it is, and what takes its place."""
