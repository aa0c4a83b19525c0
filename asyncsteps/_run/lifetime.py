"""The lifetime of a run: entered once, open inside its block, closed for ever; and what is under way in it."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Protocol

import anyio

from asyncsteps._errors import RunClosedError, RunStopped
from asyncsteps._run.on_loop import begin_apart
from asyncsteps._run.waiting import can_go_on, context_of, waits_for
from asyncsteps._tasks.limiter import Limiter
from asyncsteps._tasks.scope import Scope
from asyncsteps._tasks.shield import through_cancellations, uninterrupted, until_done

_LOOKED_LONG = 0.001
_REST = 10
"""At the end of a run, how many times as long as a look of more than a millisecond nothing is looked at."""


class Waiters:
    """Tasks of a run that wait for one thing to happen.

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
        try:
            with self._lifetime.blocked(future):
                await future
        finally:
            if future in self._futures:
                self._futures.remove(future)

    def wake(self, error: Exception | None = None) -> None:
        """Let all that wait go on, or raise ``error`` in them."""
        for future in self._futures:
            if not future.done():
                if error is None:
                    future.set_result(None)
                else:
                    future.set_exception(error)
        self._futures.clear()


class Submission:
    """A block that is counted as a submission of a run, and cancelled with the run.

    Leaving it raises `RunClosedError` when the run was left by an exception meanwhile.

    Args:
        lifetime: The lifetime of the run.

    Attributes:
        task: The task that submits.
    """

    __slots__ = ("_cancelled", "_lifetime", "_scope", "task")

    def __init__(self, lifetime: "Lifetime") -> None:
        self._lifetime = lifetime
        self.task = asyncio.current_task()
        # The task that has entered the run leaves it, as a rule, and is within no submission then.
        plain = self.task is lifetime.entered_by and not lifetime.may_stop
        self._scope = None if plain else Scope()
        self._cancelled = False

    def __enter__(self) -> None:
        if self._scope is not None:
            self._scope.__enter__()
        self._lifetime.submissions[self] = None

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._lifetime.ended(self)
        if self._scope is not None:
            caught = self._scope.__exit__(exc_type, exc_value, traceback)
        elif self._cancelled and self.task is not None:
            caught = self.task.uncancel() == 0 and exc_type is asyncio.CancelledError
        else:
            caught = False
        if caught:
            if self._lifetime.stopped is not None:
                raise RunStopped(self._lifetime.stopped.after, self._lifetime.stopped.run_id)
            raise RunClosedError("the run was left by an exception, which cancelled this submission")

    def cancel(self) -> None:
        """Cancel what is done in the block."""
        if self._scope is not None:
            self._scope.cancel()
        elif self.task is not None:
            self._cancelled = self.task.cancel()


class EndedWaits(Protocol):
    """Waits that the end of a run ends when nothing is left that could answer them."""

    def __len__(self) -> int:
        """How many names are waited for."""
        ...

    def give_up(self) -> None:
        """End the waits for one name."""
        ...


class Lifetime:
    """Whether a run takes work, and what it has under way.

    When the block has ended, what is left may only wait for signals. Nothing will send them then: no task that
    has submitted something can go on, and none of an activity under way.

    Args:
        limiter: The limiter of the run.
        may_stop: Whether it may `stop` before its end.

    Attributes:
        limiter: The limiter of the run.
        may_stop: As given.
        entered_by: The task that has entered the run.
        submissions: What is under way, in order of submission.
        stopped: Why the run takes no more work before its end; None if it does.
    """

    def __init__(self, limiter: Limiter, *, may_stop: bool = False) -> None:
        self.limiter = limiter
        self.may_stop = may_stop
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False
        self.entered_by: asyncio.Task[Any] | None = None
        self._block: object = None
        self.submissions: dict[Submission, None] = {}
        self._blocked: set[asyncio.Future[None]] = set()
        self._news: asyncio.Event | None = None
        self._idle: asyncio.Event | None = None
        self._went_on: Submission | None = None
        self.stopped: RunStopped | None = None
        self._stopping: asyncio.Task[None] | None = None

    def enter(self, block: object) -> None:
        """Open, as the ``block`` that is left at its end.

        Raises:
            RunClosedError: The second time.
        """
        if self._loop is not None or self._closed:
            raise RunClosedError("a StepRun is entered once: make a new one for another run")
        self._loop = asyncio.get_running_loop()
        self.entered_by = asyncio.current_task()
        self._block = block

    def check_open(self) -> None:
        """Check that work is taken.

        Raises:
            RunClosedError: Before the run is entered, and after it has ended.
        """
        if self._closed:
            raise RunClosedError("the run has ended: submit within its 'async with' block")
        if self._loop is None:
            raise RunClosedError("the run is not entered: use it within 'async with StepRun(...) as run:'")
        if self.stopped is not None:
            raise RunStopped(self.stopped.after, self.stopped.run_id)

    def check_loop(self) -> None:
        """Check that work is taken, and on the running event loop.

        Raises:
            RunClosedError: When it is not.
        """
        loop = asyncio.get_running_loop()
        if self._closed or self.stopped is not None or loop is not self._loop:
            self.check_open()
            raise RunClosedError(
                "the run was entered on another event loop: submit on that one, from a thread with "
                "anyio.from_thread.run or asyncio.run_coroutine_threadsafe"
            )

    def ended(self, submission: Submission) -> None:
        """Count a submission no more."""
        del self.submissions[submission]
        if self._news is not None:
            self._news.set()
        if self._idle is not None and not self.submissions:
            self._idle.set()

    @contextmanager
    def blocked(self, future: "asyncio.Future[None]") -> Iterator[None]:
        """Know inside the block that ``future`` is a step or a signal of this run; its slots go to others."""
        self._blocked.add(future)
        self._tell()
        try:
            with self.limiter.blocked():
                yield
        finally:
            self._blocked.discard(future)

    def _tell(self, _: object = None) -> None:
        if self._news is not None:
            self._news.set()

    async def until_idle(self, waits: EndedWaits | None) -> None:
        """Wait until nothing is under way.

        Args:
            waits: Given up, name by name, whenever nothing under way can go on; None: they are let be.
        """
        news, idle, loop = asyncio.Event(), asyncio.Event(), asyncio.get_running_loop()
        me = asyncio.current_task()
        while self.submissions:
            stopping = self._stopping
            if stopping is not None and stopping is not me and not stopping.done():
                await until_done(stopping)
                continue
            self._news, self._idle = news, idle  # it is the one that waits now
            news.clear()
            if not waits:
                if stopping is me:
                    return  # nothing waits for the run to stop any more: the end of the block sees to the rest
                await news.wait()
                continue
            began = loop.time()
            task = self._going_on()
            looked = loop.time() - began
            if task is None:
                waits.give_up()
                await asyncio.sleep(0)  # what waited goes on in this turn of the loop
                continue
            if (future := waits_for(task)) is None:
                await asyncio.sleep(0)  # so does this task
            else:
                future.add_done_callback(self._tell)
                try:
                    await news.wait()
                finally:
                    future.remove_done_callback(self._tell)
            if self.submissions and looked > _LOOKED_LONG:
                idle.clear()
                with anyio.move_on_after(_REST * looked):
                    await idle.wait()

    def _going_on(self) -> "asyncio.Task[Any] | None":
        """A task that makes the run go on: of one that has submitted something, or of an activity under way."""
        for submission in self._likely_first():
            found = None if submission.task is None else can_go_on(submission.task, self._blocked, self._block)
            if found is not None:
                self._went_on = submission
                return found
        current = asyncio.current_task()
        for task in asyncio.all_tasks():
            context = None if task is current else context_of(task)
            if context is not None and self.limiter.current(context) is not None:
                found = can_go_on(task, self._blocked, self._block)
                if found is not None:
                    return found
        return None

    def _likely_first(self) -> Iterator[Submission]:
        """The submissions: first that which went on last, then the newest, so that few are looked at."""
        if self._went_on in self.submissions:
            yield self._went_on
        yield from reversed(self.submissions)

    async def cancel(self) -> None:
        """Cancel what is under way, and wait for its end whatever cancels the waiting."""
        self.close()
        if self._stopping is not None:
            self._stopping.cancel()
            await through_cancellations(self._stopping)
        for submission in self.submissions:
            submission.cancel()
        if self.submissions:
            await uninterrupted(asyncio.ensure_future(self.until_idle(None)))

    def stop_when_idle(self, waits: EndedWaits) -> None:
        """Have ``waits`` given up in a task of its own when nothing under way can go on."""
        if (self._stopping is None or self._stopping.done()) and not self._closed:
            stopping = begin_apart(self.until_idle(waits))  # part of none of the activities that it looks at
            stopping.add_done_callback(self._stop_ended)
            self._stopping = stopping
            self._tell()  # to the end of the run, if it waits already

    def _stop_ended(self, task: "asyncio.Task[None]") -> None:
        if self._stopping is task:
            self._stopping = None
        if not task.cancelled():
            task.result()

    def stop(self, stopped: RunStopped) -> None:
        """Take no more work, and cancel what is under way."""
        self.stopped = stopped
        for submission in self.submissions:
            submission.cancel()

    def close(self) -> None:
        """Take no more work."""
        self._closed = True
