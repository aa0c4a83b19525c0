"""Virtual time: waiting on the event loop takes no time, and durations are exact."""

import asyncio
import contextlib
import selectors
from collections.abc import Coroutine, Iterator, Mapping
from typing import Any, TypeVar

from asyncsteps.testing._virtual_threads import VirtualThreads

T = TypeVar("T")

_SELF_PIPE = 1
"""The files that every loop watches: the one that wakes it."""


class VirtualClock:
    """The time of an event loop that does not wait.

    Attributes:
        elapsed: Seconds that have passed on the loop since virtual time began.
    """

    def __init__(self) -> None:
        self.elapsed = 0.0

    def shift(self, seconds: float) -> None:
        """Let time pass at once, as work does that holds the loop up.

        Raises:
            ValueError: When ``seconds`` is negative: time does not go back.
        """
        if not seconds >= 0:
            raise ValueError(
                f"shift({seconds!r}) is refused: a loop's time does not go back; give 0 or more seconds"
            )
        self.elapsed += seconds


class _VirtualSelector(selectors.BaseSelector):
    """Polls where the loop would wait, and has the clock tell that it has waited.

    Args:
        actual: Polls.
        clock: The clock.
    """

    def __init__(self, actual: selectors.BaseSelector, clock: VirtualClock) -> None:
        self.actual = actual
        self.clock = clock
        self.threads = VirtualThreads()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        events = self.actual.select(0)
        if events or timeout == 0:
            return events
        if self.threads.busy or (timeout is None and len(self.actual.get_map()) > _SELF_PIPE):
            return self.actual.select(None)  # what others do takes its time
        if timeout is None:
            raise RuntimeError(f"deadlock: nothing is ready and nothing is scheduled. {_waiting()}")
        self.clock.elapsed += max(0.0, timeout)
        return []

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self.actual.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self.actual.unregister(fileobj)

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self.actual.modify(fileobj, events, data)

    def close(self) -> None:
        self.actual.close()

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self.actual.get_map()


def _waiting() -> str:
    """Say where each task waits."""
    lines: list[str] = []
    for task in asyncio.all_tasks(asyncio.get_running_loop()):
        frames = task.get_stack()
        where = f"{frames[-1].f_code.co_filename}:{frames[-1].f_lineno}" if frames else "its beginning"
        lines.append(f"{task.get_name()} at {where}")
    return f"These tasks wait: {', '.join(sorted(lines))}"


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop on which waiting takes no time: time passes only while every task waits, and then at once.

    It begins at 0. Give it as ``loop_factory`` to `asyncio.Runner`, or to the backend options of anyio's plugin.

    Attributes:
        clock: Its clock.
    """

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self._virtual = _VirtualSelector(selectors.DefaultSelector(), self.clock)
        super().__init__(self._virtual)

    def time(self) -> float:
        """Return the virtual time, in seconds."""
        return self.clock.elapsed

    def run_forever(self) -> None:
        """Run until it is stopped, worker threads in virtual time too."""
        with self._virtual.threads.attached(self):
            super().run_forever()

    async def shutdown_default_executor(self, *args: Any, **options: Any) -> None:
        """Wait for the threads of the default executor, as `asyncio.Runner` does at its end."""
        self._virtual.threads.end()
        with self._virtual.threads.working(self):
            await super().shutdown_default_executor(*args, **options)


def run_virtually(main: Coroutine[Any, Any, T]) -> T:
    """Run ``main`` on a new event loop in virtual time, as `asyncio.run` does in real time, and return its result.

    Raises:
        RuntimeError: When every task waits for another (a deadlock), with where they wait.
    """
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main)


@contextlib.contextmanager
def virtual_time(clock: VirtualClock | None = None) -> Iterator[VirtualClock]:
    """A block in which waiting on the running event loop takes no time.

    Time passes only while every task waits, and then at once, to when the next of them goes on. Worker threads of
    `anyio.to_thread` and `asyncio.to_thread` are waited for as long as they work; their ``time.sleep`` passes in
    virtual time too. Real are: `time.monotonic`, `datetime.datetime.now`, and what other processes take. A reply
    on a socket comes later than any timeout, so use stores in memory or in a directory.

    After the block the loop's time goes on from where it is.

    Args:
        clock: What shows the time; None: a new one.

    Raises:
        RuntimeError: Outside an event loop; when the loop is none of asyncio's own, such as uvloop's; when it is
            in virtual time already; and within the block when every task waits for another (a deadlock).
    """
    loop: Any = asyncio.get_running_loop()
    actual = getattr(loop, "_selector", None)
    if not isinstance(actual, selectors.BaseSelector):
        raise RuntimeError(  # noqa: TRY004 - it is the wrong loop to run on
            f"virtual time needs an event loop of asyncio's own, not {type(loop).__module__}.{type(loop).__name__}"
        )
    if isinstance(actual, _VirtualSelector):
        raise RuntimeError("this event loop is in virtual time already: leave virtual_time() first")  # noqa: TRY004
    shown, time_of = VirtualClock() if clock is None else clock, loop.time
    began = time_of() - shown.elapsed
    virtual = loop._selector = _VirtualSelector(actual, shown)  # noqa: SLF001 - looked for above
    loop.time = lambda: began + shown.elapsed
    try:
        with virtual.threads.attached(loop):
            yield shown
    finally:
        ahead = loop.time() - time_of()
        loop.time = lambda: time_of() + ahead
        loop._selector = actual  # noqa: SLF001
