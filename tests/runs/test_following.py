"""Followers of a run: late ones get what was, slow ones are told what they missed, none holds the run up."""

import asyncio
from typing import Any

import pytest
from run_support import noop

from asyncsteps import MemoryStore, RunHandle, Runs, SignalTask, Step, StepDefinitionError, StepRun, events
from asyncsteps.testing import run_virtually


async def tells(run: StepRun, times: int, seconds: float = 1) -> None:
    """Sends a signal each second."""
    for number in range(times):
        await asyncio.sleep(seconds)
        await run.submit(SignalTask(f"s{number}"))


async def followed(handle: RunHandle, *, after: int = 0, at_most: int = 1_000) -> list[tuple[int, str]]:
    found: list[tuple[int, str]] = []
    async for number, event in handle.follow(after=after):
        found.append((number, getattr(event, "name", None) or event.kind))
        if len(found) == at_most:
            break
    return found


ALL = [(1, "run.started"), (2, "s0"), (3, "s1"), (4, "s2"), (5, "run.ended")]


def played(body: Any, **options: Any) -> Any:
    async def main() -> Any:
        async with MemoryStore() as store, Runs(store, journal=False, **options) as runs:
            return await body(runs)

    return run_virtually(main())


@pytest.mark.parametrize("late", [0, 1.5, 100])
def test_a_follower_gets_what_was_and_what_comes(late: float) -> None:
    async def body(runs: Runs) -> None:
        handle = runs.start(tells, 3, workflow_id="w")
        await asyncio.sleep(late)
        assert await followed(handle) == ALL
        assert handle.done
        assert handle.snapshot().events == 5

    played(body)


@pytest.mark.parametrize("after", range(7))
def test_a_follower_goes_on_behind_a_number(after: int) -> None:
    async def body(runs: Runs) -> None:
        handle = runs.start(tells, 3, workflow_id="w")
        await handle.wait()
        assert await followed(handle, after=after) == ALL[after:]

    played(body)


def test_a_number_that_is_not_there_yet_is_now() -> None:
    async def body(runs: Runs) -> None:
        handle = runs.start(tells, 3, workflow_id="w")
        await asyncio.sleep(1.5)
        assert await followed(handle, after=1_000) == ALL[2:]

    played(body)


def test_followers_of_a_queued_run_wait_for_it() -> None:
    async def body(runs: Runs) -> None:
        runs.start(tells, 3, workflow_id="first")
        queued, never = runs.start(tells, 3, workflow_id="w"), runs.start(tells, 3, workflow_id="never")
        followers = [asyncio.create_task(followed(each)) for each in (queued, queued, never)]
        await asyncio.sleep(0.5)
        never.cancel()
        assert [await each for each in followers] == [ALL, ALL, []]

    played(body, max_running=1)


def test_a_follower_that_is_cancelled_or_leaves_harms_nobody() -> None:
    async def body(runs: Runs) -> None:
        handle = runs.start(tells, 3, workflow_id="w")
        cancelled, other = (asyncio.create_task(followed(handle)) for _ in range(2))
        assert await followed(handle, at_most=2) == ALL[:2]
        cancelled.cancel()
        assert await other == ALL
        assert cancelled.cancelled()
        assert not handle._history._waiters

    played(body)


def test_a_follower_that_falls_behind_is_told_how_many_it_missed() -> None:
    async def body(runs: Runs) -> None:
        handle = runs.start(tells, 10, workflow_id="w")
        found: list[Any] = []
        async for number, event in handle.follow():
            found.append((number, event.number if isinstance(event, events.EventsDropped) else event.kind))
            await asyncio.sleep(4.4)
        assert found == [
            *((1, "run.started"), (2, "signal.sent"), (5, 3), (8, 3)),
            *((number, "signal.sent") for number in (9, 10, 11)),
            (12, "run.ended"),
        ]
        assert await followed(handle) == [
            (8, "events.dropped"),
            (9, "s7"),
            (10, "s8"),
            (11, "s9"),
            (12, "run.ended"),
        ]

    played(body, history=4)


def test_a_follower_of_a_run_that_is_cancelled_gets_its_end() -> None:
    async def body(runs: Runs) -> None:
        handle = runs.start(tells, 3, workflow_id="w")
        follower = asyncio.create_task(followed(handle))
        await asyncio.sleep(1.5)
        handle.cancel()
        assert await follower == [*ALL[:2], (3, "run.ended")]
        [*_, (_, last)] = [each async for each in handle.follow()]
        assert isinstance(last, events.RunEnded)
        assert last.outcome == "cancelled"

    played(body)


def test_the_last_event_is_followed_by_the_end_of_the_run() -> None:
    """Who has followed a run to its end finds it done, with its result."""

    async def body(runs: Runs) -> None:
        handle = runs.start(tells, 1, workflow_id="w")
        async for _ in handle.follow():
            pass
        assert (handle.done, handle.state, handle.result) == (True, "completed", None)

    played(body)


async def test_many_steps_are_followed_in_order() -> None:
    async def many(run: StepRun) -> None:
        async with asyncio.TaskGroup() as tasks:
            for number in range(50):
                tasks.create_task(run.submit(Step(f"s{number}", noop)))

    async with MemoryStore() as store, Runs(store) as runs:
        handle = runs.start(many, workflow_id="w")
        numbers = [number async for number, _ in handle.follow()]
        assert numbers == list(range(1, handle.snapshot().events + 1))
        completed = [event.step async for _, event in handle.follow() if isinstance(event, events.StepCompleted)]
        assert sorted(completed) == sorted(f"s{number}" for number in range(50))


@pytest.mark.parametrize("after", [-1, True, "3", 1.0])
def test_a_number_that_is_none_is_refused(after: Any) -> None:
    async def body(runs: Runs) -> None:
        handle = runs.start(tells, 1, workflow_id="w")
        with pytest.raises(StepDefinitionError, match="after="):
            handle.follow(after=after)

    played(body)
