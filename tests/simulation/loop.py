"""An event loop in virtual time whose ready callbacks run in an order that a seed decides."""

import asyncio
import heapq
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from random import Random
from typing import Any, TypeVar

from anyio._backends import _asyncio as anyio_backend

T = TypeVar("T")

_BUSY = 50
"""Turns in a row after which some time has passed although something was ready all the time."""

_TICK = 0.05
"""How much, in seconds; more each time."""

_LONGEST = 60_000
"""Callbacks after which a history is taken to go round in circles."""


_MOST_BLOCKS = 50
"""How many blocks of a task that is dropped may wait again as they end."""


program: ContextVar[str] = ContextVar("simulation_program", default="")
"""The run that the current code belongs to."""


class KilledError(BaseException):
    """The process of this loop is gone."""


class HungError(BaseException):
    """Nothing is ready, nothing is scheduled, and the program has not ended; or it goes round in circles."""


class OrderedSet(dict[Any, None]):
    """A set in order of addition; the order of a built-in set depends on addresses."""

    def add(self, item: object) -> None:
        self[item] = None

    def discard(self, item: object) -> None:
        self.pop(item, None)

    def remove(self, item: object) -> None:
        del self[item]


class _Task(asyncio.Task[Any]):
    """A task whose place in sets depends on its number and not on its address."""

    def __init__(self, coro: Any, *, loop: "SimulatedLoop", **options: Any) -> None:
        self.number = len(loop.tasks)
        self.program = program.get()
        loop.tasks.append(self)
        super().__init__(coro, loop=loop, **options)

    def __hash__(self) -> int:
        return self.number


@contextmanager
def ordered() -> Iterator[None]:
    """Have anyio's cancel scopes, and all tasks of a loop, be in order of addition."""
    scope: Any = anyio_backend.CancelScope
    original, all_tasks = scope.__init__, asyncio.all_tasks

    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        self._tasks, self._child_scopes = OrderedSet(), OrderedSet()

    def alive(loop: Any = None) -> Any:
        running: Any = loop or asyncio.get_running_loop()
        return running.alive()

    scope.__init__ = init
    setattr(asyncio, "all_tasks", alive)  # noqa: B010 - of another type
    try:
        yield
    finally:
        scope.__init__ = original
        setattr(asyncio, "all_tasks", all_tasks)  # noqa: B010


class SimulatedLoop(asyncio.BaseEventLoop):
    """Time jumps ahead whenever every task waits; what is ready at one time runs in any order.

    Args:
        random: Decides the order.
        start: The time at the beginning, in seconds.
        lag: How likely a ready callback is put off behind those that become ready meanwhile; None: first come,
            first served.
        jitter: By how many seconds a timer may be late.
        kill_at: The number of the callback before which the process is killed; None: it is not.
    """

    def __init__(
        self, random: Random, *, start: float, lag: float | None, jitter: float, kill_at: int | None
    ) -> None:
        super().__init__()
        self.tasks: list[_Task] = []
        self.killed = False
        self.ran = 0
        self.errors: list[str] = []
        self._random = random
        self._now = start
        self._lag = lag
        self._jitter = jitter
        self._kill_at = kill_at
        self._busy = 0
        self.set_task_factory(lambda loop, coro, **options: _Task(coro, loop=self, **options))
        self.set_exception_handler(self._note)

    def time(self) -> float:
        return self._now

    def call_soon(self, callback: Any, *args: Any, context: Any = None) -> asyncio.Handle:  # type: ignore[override]
        """Without the checks of asyncio's: it takes part of most of what happens."""
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)  # type: ignore[attr-defined]
        return handle

    def alive(self, of: str | None = None) -> list["_Task"]:
        """The tasks, of one run or of all, that have not ended: faster than `asyncio.all_tasks`, and in order."""
        return [task for task in self.tasks if not task.done() and (of is None or task.program == of)]

    def kill(self) -> None:
        """Have nothing run any more once the current callback awaits."""
        self.killed = True

    def _note(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if "never retrieved" not in context["message"]:
            self.errors.append(f"{context['message']}: {context.get('exception')!r}")

    def _process_events(self, event_list: object) -> None:
        pass

    def _write_to_self(self) -> None:
        pass

    def _run_once(self) -> None:
        ready: Any = self._ready  # type: ignore[attr-defined]
        self._pass_time(ready, self._scheduled)  # type: ignore[attr-defined]
        batch = list(ready)
        ready.clear()
        lag, chance = self._lag, self._random.random
        if lag is not None and len(batch) > 1:
            batch.sort(key=lambda _: chance())
        for handle in batch:
            if handle._cancelled:
                continue
            if lag and chance() < lag:
                ready.append(handle)
                continue
            if self.ran == self._kill_at:
                self.killed = True
            if self.killed:
                raise KilledError
            self.ran += 1
            handle._run()
        if self.killed:
            raise KilledError
        if self.ran > _LONGEST:
            raise HungError("it goes round in circles")

    def _pass_time(self, ready: Any, timers: Any) -> None:
        """Advance time if nothing is ready, and make due callbacks ready."""
        while timers and timers[0]._cancelled:
            heapq.heappop(timers)._scheduled = False
        self._busy += 1
        if not ready:
            self._busy = 0
            if not timers:
                raise HungError("nothing is ready and nothing is scheduled")
            late = self._random.random() * self._jitter if self._jitter else 0.0
            self._now = max(self._now, timers[0]._when + late)
        elif self._busy % _BUSY == 0:
            self._now += _TICK * (self._busy // _BUSY)
        while timers and timers[0]._when <= self._now:
            timer = heapq.heappop(timers)
            timer._scheduled = False
            ready.append(timer)

    def bury(self) -> None:
        """Drop the tasks that are left, as a process that is killed drops them; close the loop."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that of coroutines which were never awaited
            while left := self.alive():  # again: the blocks of what is dropped may make further tasks
                self.tasks.clear()
                while left:
                    _drop(left.pop(0))  # none is kept until the warnings count again
            self._ready.clear()  # type: ignore[attr-defined]
            self._scheduled.clear()  # type: ignore[attr-defined]
        self.close()


def _drop(task: "asyncio.Task[Any]") -> None:
    coro, waiter = task.get_coro(), task._fut_waiter  # type: ignore[attr-defined]
    setattr(task, "_log_destroy_pending", False)  # noqa: B010 - typeshed does not know it
    for _ in range(_MOST_BLOCKS):
        try:
            if coro is not None:
                coro.close()
        except BaseException:  # noqa: BLE001 - its blocks end in the wrong task and context, and may wait again
            continue
        break
    if isinstance(waiter, asyncio.Future) and not isinstance(waiter, asyncio.Task):
        waiter.cancel()  # which drops its callbacks, and the task with them
    asyncio._unregister_task(task)
    anyio_backend._task_states.pop(task, None)
