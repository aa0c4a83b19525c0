"""How a callable is called, and called again: attempts under timeouts, on the loop or in a worker thread."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from functools import partial
from inspect import CO_COROUTINE, isawaitable, iscoroutinefunction
from types import AsyncGeneratorType, CoroutineType, FunctionType, GeneratorType
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

import anyio
import anyio.to_thread

from asyncsteps._errors import (
    ActivityCancelledError,
    ActivityTimeoutError,
    RunClosedError,
    StepDefinitionError,
    error_text,
)
from asyncsteps._tasks.attributes import LONGEST_RETRY_WAIT, ActivityAttributes
from asyncsteps._tasks.clock import Deadline
from asyncsteps._tasks.limiter import Limiter, Slot, note_thread
from asyncsteps._tasks.shield import uninterrupted

if TYPE_CHECKING:
    from tenacity.wait import WaitBaseT

logger = logging.getLogger("asyncsteps")

T = TypeVar("T")

OnRetry = Callable[[int, str], object]
"""Called before another attempt, with the number of the one that failed and the text of its error."""

_UNPLAYED = {GeneratorType: "a generator", AsyncGeneratorType: "an async generator", CoroutineType: "a coroutine"}
"""What is returned by code that has not run."""

_OVERRUN_TOLD = 10.0
"""Seconds after which the log tells again of a thread that overruns; doubled each time."""


def is_async_callable(function: Callable[..., Any]) -> bool:
    """Whether ``function`` gives a coroutine: an ``async def``, a partial of one, an async ``__call__``."""
    called = function.func if isinstance(function, partial) else function
    if isinstance(called, FunctionType) and called.__code__.co_flags & CO_COROUTINE:
        return True  # told at once, as it is of nearly all
    return iscoroutinefunction(function) or iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004 - whether it is async, not whether it is callable
    )


class Named(Protocol):
    """What has a name, for the log and the errors; it is found when it is asked for."""

    @property
    def name(self) -> str:
        """The name."""
        ...


async def call(
    activity: Named,
    function: Callable[[], Any],
    *,
    threads: anyio.CapacityLimiter | None,
    attempt: Callable[[], AbstractContextManager[object]],
    step: Callable[[], str | None],
) -> Any:
    """Call ``function``: on the loop when it is async, else in a worker thread with the caller's context.

    A thread cannot be stopped. A cancellation therefore waits until it has ended, and drops what it returned.

    Args:
        activity: The activity, for the log and the errors.
        function: What is called.
        threads: Bounds the worker threads.
        attempt: Entered around the call.
        step: Tells the step that it is called in, for the log.

    Raises:
        ActivityCancelledError: When it raised ``CancelledError`` though nobody had cancelled it.
        StepDefinitionError: When it returned a generator or a coroutine, whose code has not run.
    """
    with attempt():
        task = asyncio.current_task()
        asked = 0 if task is None else task.cancelling()
        if getattr(task, "_must_cancel", False):  # it has cancelled itself, and is to hear of it
            asked -= 1
        try:
            if is_async_callable(function):
                result = await function()
            else:
                result = await _in_thread(activity, function, threads, step)
                if isawaitable(result):
                    result = await result
        except asyncio.CancelledError as error:
            if task is None or task.cancelling() > asked:
                raise
            raise ActivityCancelledError(activity.name) from error
        unplayed = _UNPLAYED.get(type(result))
        if unplayed is None:
            return result
        if isinstance(result, CoroutineType):
            result.close()  # so that no warning follows that nobody awaited it
        raise StepDefinitionError(
            f"activity {activity.name} returned {unplayed}, whose code has not run: return its result"
        )


async def _in_thread(
    activity: Named,
    function: Callable[[], T],
    threads: anyio.CapacityLimiter | None,
    step: Callable[[], str | None],
) -> T:
    """Call ``function`` in a worker thread, and wait for it whatever cancels the waiting.

    The thread hears of a cancellation by ``anyio.from_thread.check_cancelled()``, and in what it submits.
    """
    scope = anyio.CancelScope()
    note_thread()

    async def thread() -> tuple[T | None, BaseException | None]:
        with scope:
            try:
                return await anyio.to_thread.run_sync(function, limiter=threads), None
            except (KeyboardInterrupt, SystemExit) as error:  # raised by a task, they would end the event loop
                return None, error
        raise asyncio.CancelledError

    def cancel() -> None:
        scope.cancel()
        within_step = step()
        _Overrun(f"{activity.name} of step {within_step}" if within_step else activity.name, running)

    running = asyncio.ensure_future(thread())
    result, error = await uninterrupted(running, on_cancel=cancel)
    if error is not None:
        raise error
    return cast("T", result)


class _Overrun:
    """Tells in the log of a thread that goes on after its activity: at once, now and then, and at its end."""

    def __init__(self, activity: str, thread: "asyncio.Task[Any]") -> None:
        self._activity = activity
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        self._timer = self._loop.call_later(_OVERRUN_TOLD, self._again, 2 * _OVERRUN_TOLD)
        logger.warning(
            "activity %s is cancelled or timed out, and its thread cannot be stopped: waiting for it", activity
        )
        thread.add_done_callback(self._end)

    def _again(self, wait: float) -> None:
        self._timer = self._loop.call_later(wait, self._again, 2 * wait)
        self._tell("still runs")

    def _end(self, _: object) -> None:
        self._timer.cancel()
        self._tell("has ended")

    def _tell(self, what: str) -> None:
        overrun = self._loop.time() - self._began
        logger.warning(
            "the thread of activity %s %s, %.1f s after the cancellation or timeout", self._activity, what, overrun
        )


async def within(seconds: float | None, name: str, which: str, work: Callable[[], Awaitable[T]]) -> T:
    """Do ``work`` within ``seconds`` (None: however long it takes).

    Raises:
        ActivityTimeoutError: Naming the activity ``name`` and ``which`` timeout.
    """
    if seconds is None:
        return await work()
    with Deadline(seconds) as deadline:
        return await work()
    assert deadline.overrun
    raise ActivityTimeoutError(name, which, seconds)


async def attempts(
    name: str,
    attributes: ActivityAttributes,
    work: Callable[[], Awaitable[T]],
    *,
    retried: Callable[[Exception], bool] | None = None,
    limiter: Limiter | None = None,
    on_retry: OnRetry | None = None,
) -> T:
    """Do ``work`` until it succeeds or its attempts are used up, each attempt and the whole under its timeouts.

    Between attempts it waits, without a slot, as the attributes say: by default for a random part of 0.1 seconds,
    doubled after each attempt, 30 at most.

    Args:
        name: The activity's name, for the errors.
        attributes: ``retry`` is the number of further attempts after the first; the timeouts are those of SWF:
            start to close for each attempt, schedule to close over all of them, schedule to start for the wait
            for a slot.
        work: One attempt.
        retried: Whether an error is worth another attempt; None: the attributes' ``retry_on`` decides.
        limiter: Bounds the activities that run at once; a slot of it is held during each attempt.
        on_retry: Called before each further attempt.

    Raises:
        ActivityTimeoutError: When the last attempt, or the whole, took too long.
    """

    async def one() -> T:
        if limiter is None:
            return await within(attributes.start_to_close, name, "start_to_close_timeout", work)
        slot = limiter.slot()
        await within(attributes.schedule_to_start, name, "schedule_to_start_timeout", slot.__aenter__)
        try:
            return await _in_slot(slot, name, attributes.start_to_close, work)
        finally:
            await slot.__aexit__(None, None, None)

    async def every() -> T:
        if not attributes.retry:
            return await one()
        import tenacity

        def say(state: tenacity.RetryCallState) -> None:
            assert state.outcome is not None
            told = error_text(state.outcome.exception())
            logger.warning(
                "%s failed at attempt %d of %d: %s", name, state.attempt_number, attributes.retry + 1, told
            )
            if on_retry is not None:
                on_retry(state.attempt_number, told)

        def is_retried(error: BaseException) -> bool:
            # A run that has ended takes nothing more, however often it is tried.
            if not isinstance(error, Exception) or isinstance(error, RunClosedError):
                return False
            return (retried or attributes.is_retried)(error)

        retrying = tenacity.AsyncRetrying(
            stop=tenacity.stop_after_attempt(attributes.retry + 1),
            wait=_wait_of(attributes),
            retry=tenacity.retry_if_exception(is_retried),
            before_sleep=say,
            sleep=anyio.sleep,
            reraise=True,
        )
        return await retrying(one)

    return await within(attributes.schedule_to_close, name, "schedule_to_close_timeout", every)


def _wait_of(attributes: ActivityAttributes) -> "WaitBaseT":
    """What tenacity waits between attempts."""
    from tenacity import wait_random_exponential

    wait = attributes.retry_wait
    if callable(wait):
        return lambda state: max(0.0, float(wait(state.attempt_number)))
    return wait_random_exponential(multiplier=wait, max=LONGEST_RETRY_WAIT)


async def _in_slot(slot: Slot, name: str, seconds: float | None, work: Callable[[], Awaitable[T]]) -> T:
    """Do ``work`` within ``seconds``, not counting the time in which what it submits waits for a slot."""
    if seconds is None:
        return await work()
    with Deadline(seconds, slot.clock) as deadline:
        return await work()
    assert deadline.overrun
    raise ActivityTimeoutError(name, "start_to_close_timeout", seconds)
