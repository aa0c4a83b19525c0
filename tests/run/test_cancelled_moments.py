"""A cancellation in the very turn of the event loop in which a mark or an activity ends."""

import asyncio
from collections.abc import Mapping
from typing import Any

import anyio
import pytest
from run_support import GatedStore, noop, run_over, story

from asyncsteps import Step, activity
from asyncsteps._run.done_marks import finish


@pytest.mark.parametrize("own", [True, False])
async def test_a_cancellation_in_the_moment_in_which_the_mark_ends_is_raised(own: bool) -> None:
    """The mark is cancelled by itself, or ends well, in the turn of the loop in which its caller is cancelled."""

    async def marks() -> None:
        await anyio.lowlevel.checkpoint()
        waiting.cancel()
        if own:
            raise asyncio.CancelledError

    waiting = asyncio.create_task(finish(marks(), timeout=1))
    finished = await waiting
    assert finished.cancelled is not None
    assert (finished.error is not None) is own


async def test_a_mark_that_is_cancelled_by_itself_is_no_cancellation_of_its_caller() -> None:
    async def marks() -> None:
        await anyio.lowlevel.checkpoint()
        raise asyncio.CancelledError

    finished = await finish(marks(), timeout=1)
    assert finished.cancelled is None
    assert "cancelled from within" in str(finished.error)


async def test_a_mark_whose_task_is_cancelled_before_its_first_turn_is_reported() -> None:
    """By a program that cancels every task that it has not made itself."""
    before = asyncio.all_tasks()
    waiting = asyncio.create_task(finish(asyncio.sleep(0), timeout=1))
    await asyncio.sleep(0)
    (marks,) = asyncio.all_tasks() - before - {waiting}
    marks.cancel()
    finished = await asyncio.wait_for(waiting, 5)
    assert finished.cancelled is None
    assert "cancelled from within" in str(finished.error)


async def test_a_cancellation_in_the_moment_in_which_the_activity_ends_is_raised_once_it_is_marked() -> None:
    """The activity is done, so that its step is."""
    store = GatedStore()

    async def cancels() -> None:
        waiting.cancel()

    async with run_over(store) as run:
        waiting = asyncio.create_task(run.submit(Step("a", activity(cancels))))
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert run._parts.limiter.free == 100
        assert run.under_way == ()
    assert story(run) == [("a", "scheduled"), ("a", "completed")]
    assert store.done == ["a"]


async def test_an_activity_that_fails_by_a_cancellation_in_the_moment_of_its_own_is_cancelled() -> None:
    """Not failed: its task was cancelled, whatever it raises for it, and it is not tried again."""
    attempts: list[int] = []

    @activity(retry=3, retry_wait=0)
    async def cancels() -> None:
        attempts.append(1)
        waiting.cancel()
        raise asyncio.CancelledError

    async with run_over(GatedStore()) as run:
        waiting = asyncio.create_task(run.submit(Step("a", cancels)))
        with pytest.raises(asyncio.CancelledError):
            await waiting
    assert attempts == [1]
    assert run.failures == []
    assert story(run) == [("a", "scheduled"), ("a", "cancelled")]


async def test_a_mark_that_ends_by_an_interruption_is_looked_up_again() -> None:
    class InterruptedStoreError(BaseException):
        """What is no Exception."""

    class Store(GatedStore):
        async def mark_done(self, name: str, record: Mapping[str, Any], *, first_wins: bool = False) -> bool:
            await super().mark_done(name, record, first_wins=first_wins)
            raise InterruptedStoreError

    async with run_over(Store()) as run:
        with pytest.raises(InterruptedStoreError):
            await run.submit(Step("a", noop))
        assert (await run.submit(Step("a", noop))).status == "skipped"
        assert story(run) == [("a", "scheduled"), ("a", "cancelled"), ("a", "skipped")]
