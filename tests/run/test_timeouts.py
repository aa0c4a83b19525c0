"""A timeout is told as one, whatever an activity has swallowed before, and a cancellation as a cancellation."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import anyio.to_thread
import pytest
from run_support import run_over

from asyncsteps import (
    ActivityCancelledError,
    ActivityTimeoutError,
    MemoryStore,
    RunClosedError,
    StepRun,
    activity,
)
from asyncsteps._tasks.clock import Clock, Deadline
from asyncsteps.testing import run_virtually

Swallows = Callable[[], Awaitable[None]]


async def swallows_a_cancellation() -> None:
    """Goes on though its task was cancelled."""
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    try:
        await asyncio.sleep(0)
    except asyncio.CancelledError:
        return
    raise AssertionError("it was not cancelled")


async def fails_beside() -> None:
    """Has a task group fail while it waits for its tasks: before Python 3.13 it counts as cancelled ever after."""

    async def unlucky() -> None:
        await asyncio.sleep(1)
        raise ValueError("no luck")

    with pytest.raises(ExceptionGroup):
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(unlucky())


def of_seconds(timeout: str, seconds: float) -> dict[str, Any]:
    """The attributes of an activity with that timeout."""
    return {timeout: seconds}


each_way = pytest.mark.parametrize("swallow", [swallows_a_cancellation, fails_beside])
each_timeout = pytest.mark.parametrize("timeout", ["schedule_to_close_timeout", "start_to_close_timeout"])


@each_way
@each_timeout
@pytest.mark.parametrize("retry", [0, 1])
def test_a_timeout_after_a_swallowed_cancellation_is_told_as_one(
    swallow: Swallows, timeout: str, retry: int
) -> None:
    began: list[float] = []

    @activity(name="slow", retry=retry, retry_wait=0, **of_seconds(timeout, 10))
    async def slow() -> None:
        began.append(asyncio.get_running_loop().time())
        if len(began) <= 1:
            await swallow()
            if retry:
                raise ValueError("try again")
        await asyncio.sleep(60)

    async def main() -> float:
        async with run_over(MemoryStore()) as run:
            with pytest.raises(ActivityTimeoutError, match=f"{timeout} of 10 s"):
                await run.submit(slow)
        return asyncio.get_running_loop().time()

    ended = run_virtually(main())
    assert len(began) == 1 + retry
    assert ended == (began[-1] if timeout.startswith("start") else 0) + 10


@each_timeout
def test_a_timeout_of_a_thread_after_a_swallowed_cancellation_is_told_as_one(
    timeout: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In virtual time: the thread is a task that ends after 100 seconds, whatever is cancelled."""

    async def run_sync(function: Callable[[], object], **_: object) -> object:
        result = function()
        if result is None:
            with anyio.CancelScope(shield=True):
                await asyncio.sleep(100)
        return result

    monkeypatch.setattr(anyio.to_thread, "run_sync", run_sync)
    began: list[float] = []

    async def unlucky() -> None:
        await swallows_a_cancellation()
        raise ValueError("try again")

    @activity(retry=1, retry_wait=0, **of_seconds(timeout, 10))
    def slow() -> Awaitable[None] | None:
        began.append(asyncio.get_running_loop().time())
        return unlucky() if len(began) == 1 else None

    async def main() -> float:
        async with run_over(MemoryStore()) as run:
            with pytest.raises(ActivityTimeoutError, match=f"{timeout} of 10 s"):
                await run.submit(slow)
        return asyncio.get_running_loop().time()

    assert run_virtually(main()) == 100
    assert began == [0, 0]


def by_task(task: "asyncio.Task[Any]", scope: anyio.CancelScope) -> None:
    task.cancel()


def by_scope(task: "asyncio.Task[Any]", scope: anyio.CancelScope) -> None:
    scope.cancel()


@each_timeout
@pytest.mark.parametrize("cancel", [by_task, by_scope])
@pytest.mark.parametrize("at", [9, 10, 11])
@pytest.mark.parametrize("first", ["timeout", "cancellation"])
@each_way
def test_a_cancellation_is_never_told_as_a_timeout(
    timeout: str,
    cancel: Callable[["asyncio.Task[Any]", anyio.CancelScope], None],
    at: float,
    first: str,
    swallow: Swallows,
) -> None:
    """Whether it comes before the timeout, with it, or while the activity cleans up after it."""
    seen: list[BaseException] = []

    @activity(**of_seconds(timeout, 10))
    async def cleans_up() -> None:
        await swallow()
        try:
            await asyncio.sleep(60)
        finally:
            with anyio.CancelScope(shield=True):
                await asyncio.sleep(5)

    async def submits(run: StepRun, scope: anyio.CancelScope) -> None:
        with scope:
            try:
                await run.submit(cleans_up)
            except BaseException as error:
                seen.append(error)
                raise

    async def main() -> None:
        loop, scope = asyncio.get_running_loop(), anyio.CancelScope()
        async with run_over(MemoryStore()) as run:
            task = asyncio.create_task(submits(run, scope))
            when = at if at != 10 or first == "timeout" else 10 - 1e-12
            loop.call_at(when, cancel, task, scope)
            await asyncio.wait([task])

    run_virtually(main())
    assert [type(error) for error in seen] == [asyncio.CancelledError]


@each_way
def test_a_cancellation_that_an_activity_raises_itself_is_a_failure_whatever_was_swallowed_before(
    swallow: Swallows,
) -> None:
    @activity(name="odd")
    async def odd() -> None:
        raise asyncio.CancelledError

    async def main() -> None:
        async with run_over(MemoryStore()) as run:
            await run.submit(swallow)
            with pytest.raises(ActivityCancelledError, match="odd"):
                await run.submit(odd)

    run_virtually(main())


def test_a_task_that_cancels_itself_before_it_submits_is_cancelled() -> None:
    async def main() -> None:
        async with run_over(MemoryStore()) as run:

            async def submits() -> None:
                asyncio.current_task().cancel()  # type: ignore[union-attr]
                await run.submit(activity(asyncio.sleep), 1)

            task = asyncio.create_task(submits())
            await asyncio.wait([task])
            assert task.cancelled()
            assert run.failures == []

    run_virtually(main())


def test_a_deadline_that_is_dropped_after_its_loop_was_closed_does_not_go_on() -> None:
    """As where a program ends while something waits for a slot: its coroutine is then closed, with no loop."""
    clock = Clock()

    async def paused() -> None:
        Deadline(10, clock).__enter__()
        clock.pause()

    asyncio.run(paused())
    clock.unpause()


@each_way
def test_a_submission_that_the_end_of_the_run_cancels_says_so_whatever_was_swallowed(swallow: Swallows) -> None:
    errors: list[BaseException] = []

    async def goes_on() -> None:
        await swallow()
        await asyncio.sleep(60)

    async def submits(run: StepRun) -> None:
        try:
            await run.submit(goes_on)
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - its type is what is asked for
            errors.append(error)

    async def leaves(tasks: list["asyncio.Task[None]"]) -> None:
        async with run_over(MemoryStore()) as run:
            tasks.append(asyncio.create_task(submits(run)))
            await asyncio.sleep(10)
            raise KeyError

    async def main() -> None:
        tasks: list[asyncio.Task[None]] = []
        with pytest.raises(KeyError):
            await leaves(tasks)
        await asyncio.wait(tasks)

    run_virtually(main())
    assert [type(error) for error in errors] == [RunClosedError]
