"""Cancelling: nothing is marked that was not done, and a mark that has begun is finished or reported."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from run_support import GatedStore, details, noop, run_over, story

from asyncsteps import Chain, Group, MemoryStore, Step, StepRun

Cancel = Callable[[StepRun, Any, Callable[[], Awaitable[None]]], Awaitable[None]]


async def by_task(run: StepRun, submittable: Any, arrived: Callable[[], Awaitable[None]]) -> None:
    """Cancel as asyncio does: `Task.cancel`."""
    task = asyncio.create_task(run.submit(submittable))
    await arrived()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def by_scope(run: StepRun, submittable: Any, arrived: Callable[[], Awaitable[None]]) -> None:
    """Cancel as anyio does: a scope, which cancels again and again."""
    ended = []
    async with anyio.create_task_group() as tasks:

        async def submit() -> None:
            try:
                await run.submit(submittable)
            except asyncio.CancelledError:
                ended.append("cancelled")
                raise

        tasks.start_soon(submit)
        await arrived()
        tasks.cancel_scope.cancel()
    assert ended == ["cancelled"]


both = pytest.mark.parametrize("cancel", [by_task, by_scope])


@both
async def test_during_the_activities_nothing_is_marked(cancel: Cancel) -> None:
    store = GatedStore()
    begun = anyio.Event()

    async def activity() -> None:
        begun.set()
        await anyio.sleep_forever()

    async with run_over(store) as run:
        await cancel(run, Step("a", Chain(activity), emit_signal=True), begun.wait)
        assert story(run) == [("a", "scheduled"), ("a", "cancelled")]
        assert details(run, "a")[-1] == {"step": "a", "status": "cancelled", "forced": False, "reasons": []}
        assert run.under_way == ()
        assert store.done == []
        assert (await run.submit(Step("a", noop))).status == "completed"


@both
async def test_a_mark_that_has_begun_is_finished(cancel: Cancel) -> None:
    store = GatedStore()
    store.marking.shut()

    async def arrived() -> None:
        await store.marking.arrived.wait()
        asyncio.get_running_loop().call_later(0.01, store.marking.open)

    async with run_over(store) as run:
        await cancel(run, Step("a", noop), arrived)
        assert store.done == ["a"]
        assert story(run) == [("a", "scheduled"), ("a", "completed")]
        assert (await run.submit(Step("a", noop))).status == "skipped"


@both
async def test_a_mark_that_does_not_end_in_time_is_reported(
    cancel: Cancel, caplog: pytest.LogCaptureFixture
) -> None:
    store = GatedStore()
    store.marking.shut()
    async with run_over(store, mark_timeout=0.01) as run:
        await cancel(run, Step("a", noop), store.marking.arrived.wait)
        assert store.done == []
        assert [status for _, status in story(run)] == ["scheduled", "failed"]
        assert "not known to be stored" in details(run, "a")[-1]["error"]
    assert "not known to be stored" in caplog.text
    assert len(asyncio.all_tasks()) == 1  # nothing is left behind


@both
async def test_a_mark_that_fails_while_cancelled_is_reported(cancel: Cancel) -> None:
    store = GatedStore()
    store.marking.shut()

    async def arrived() -> None:
        await store.marking.arrived.wait()
        store._bodies = None  # type: ignore[assignment] # what is under way breaks
        asyncio.get_running_loop().call_later(0.01, store.marking.open)

    async with run_over(store) as run:
        await cancel(run, Step("a", noop), arrived)
        assert [status for _, status in story(run)] == ["scheduled", "failed"]


@both
async def test_a_withdrawal_that_has_begun_is_finished(cancel: Cancel) -> None:
    store = GatedStore(["a", "b"])
    store.withdrawing.shut()
    played: list[str] = []

    async def arrived() -> None:
        await store.withdrawing.arrived.wait()
        asyncio.get_running_loop().call_later(0.01, store.withdrawing.open)

    async with run_over(store) as run:
        step = Step("a", (played.append, "a"), force=True, force_steps_if_executed="b")
        await cancel(run, step, arrived)
        assert store.done == []
        assert played == []
        assert story(run) == [("a", "scheduled"), ("a", "cancelled")]
        assert (await run.submit(Step("a", noop))).status == "completed"


async def test_a_second_cancellation_changes_nothing() -> None:
    store = GatedStore()
    store.marking.shut()
    async with run_over(store) as run:
        task = asyncio.create_task(run.submit(Step("a", noop)))
        await store.marking.arrived.wait()
        for _ in range(3):
            task.cancel()
            await asyncio.sleep(0)
        store.marking.open()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert store.done == ["a"]


@both
async def test_a_group_under_way_says_which_steps_were(cancel: Cancel) -> None:
    store = GatedStore()
    begun: list[str] = []
    all_begun = anyio.Event()

    async def activity(name: str) -> None:
        begun.append(name)
        if len(begun) == 3:
            all_begun.set()
        await anyio.sleep_forever()

    async with run_over(store, max_parallel=3) as run:
        group = Group(*(Step(name, (activity, name)) for name in "abc"), Step("d", noop), max_parallel=3)
        await cancel(run, group, all_begun.wait)
        assert sorted(story(run)) == sorted(
            (name, status) for name in "abc" for status in ("scheduled", "cancelled")
        )
        assert store.done == []
        assert run._parts.limiter.free == 3


@both
async def test_while_waiting_for_a_turn_there_is_nothing_to_tell(cancel: Cancel) -> None:
    gate = anyio.Event()
    async with run_over(MemoryStore()) as run:
        first = asyncio.create_task(run.submit(Step("a", gate.wait)))
        await anyio.wait_all_tasks_blocked()
        await cancel(run, Step("a", noop), anyio.wait_all_tasks_blocked)
        gate.set()
        assert (await first).status == "completed"
        assert story(run) == [("a", "scheduled"), ("a", "completed")]
        assert not any(any(lock.waits_for.values()) for lock in run._dispatch.steps.locks._locks.values())


@both
async def test_a_worker_thread_is_waited_for_and_marks_nothing(
    cancel: Cancel, caplog: pytest.LogCaptureFixture
) -> None:
    begun, released, ended = threading.Event(), threading.Event(), threading.Event()

    def activity() -> None:
        begun.set()
        released.wait(60)
        ended.set()

    async def arrived() -> None:
        await anyio.to_thread.run_sync(begun.wait, 60)
        asyncio.get_running_loop().call_later(0.01, released.set)

    store = GatedStore()
    async with run_over(store) as run:
        await cancel(run, Step("a", activity), arrived)
        assert ended.is_set()
        assert "its thread cannot be stopped" in caplog.text
        assert store.done == []
        assert story(run) == [("a", "scheduled"), ("a", "cancelled")]


@pytest.mark.parametrize("awaits", range(1, 12))
async def test_cancelled_at_every_await_a_step_is_either_done_and_marked_or_neither(awaits: int) -> None:
    """Cancel after so many rounds of the loop, wherever the step is by then."""
    played: list[str] = []

    async def activity() -> None:
        await anyio.lowlevel.checkpoint()
        await anyio.lowlevel.checkpoint()
        played.append("a")

    store = GatedStore(["b"])
    async with run_over(store) as run:
        step = Step("a", activity, force_steps_if_executed="b")
        task = asyncio.create_task(run.submit(step))
        for _ in range(awaits):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})
        statuses = [status for _, status in story(run)]
        if "a" in store.done:
            assert played == ["a"]
            assert statuses == ["scheduled", "completed"]
        else:
            assert statuses in ([], ["scheduled", "cancelled"])
            assert task.cancelled()
        if played:
            assert "b" not in store.done


async def test_a_mark_that_fails_while_cancelled_is_on_the_list_of_failures() -> None:
    store = GatedStore()
    store.marking.shut()
    async with run_over(store, mark_timeout=0.01) as run:
        await by_task(run, Step("a", noop), store.marking.arrived.wait)
        (failure,) = run.failures
        assert "not known to be stored" in str(failure)


@pytest.mark.parametrize("raised", [KeyboardInterrupt, BaseExceptionGroup("several", [GeneratorExit()])])
async def test_what_is_no_exception_goes_through_and_the_marker_says_what_was_under_way(
    raised: type[BaseException] | BaseException,
) -> None:
    async def activity() -> None:
        raise raised

    store = GatedStore()
    async with run_over(store) as run:
        coroutine = run.submit(Step("a", activity))
        with pytest.raises((KeyboardInterrupt, BaseExceptionGroup)):
            await coroutine
        assert story(run) == [("a", "scheduled"), ("a", "cancelled")]
        assert store.done == []
        assert (await run.submit(Step("a", noop))).status == "completed"
