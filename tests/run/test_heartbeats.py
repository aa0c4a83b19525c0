"""``heartbeat_timeout``: an attempt that does not beat for so long is timed out. In virtual time."""

import asyncio
import threading
from typing import Any

import anyio
import pytest
from run_support import run_over

from asyncsteps import ActivityTimeoutError, MemoryStore, Step, StepOutcome, StepRun, activity, current_step
from asyncsteps.testing import run_virtually


async def beats(times: int, seconds: float = 9) -> float:
    for _ in range(times):
        await asyncio.sleep(seconds)
        current_step().heartbeat()
    return asyncio.get_running_loop().time()


async def outcome_of(what: Any, **options: object) -> tuple[StepOutcome, float]:
    async with run_over(MemoryStore(), **options) as run:
        began = asyncio.get_running_loop().time()
        outcome = await run.submit(Step("a", what))
        return outcome, asyncio.get_running_loop().time() - began


def assert_timed_out(error: BaseException | None, name: str = "beats") -> None:
    assert isinstance(error, ActivityTimeoutError)
    assert (error.timeout, error.seconds) == ("heartbeat_timeout", 10)
    assert f"{name} overran its heartbeat_timeout of 10 s; call current_step().heartbeat() more often" in str(
        error
    )


def test_an_attempt_goes_on_while_it_beats() -> None:
    outcome, took = run_virtually(outcome_of(activity(heartbeat_timeout=10)(beats)(5)))
    assert (outcome.error, took) == (None, 45)


def test_an_attempt_that_has_not_beaten_for_so_long_is_timed_out() -> None:
    async def stops() -> None:
        await beats(2)
        await asyncio.sleep(1_000)

    outcome, took = run_virtually(outcome_of(activity(name="stops", heartbeat_timeout="10")(stops)))
    assert_timed_out(outcome.error, "stops")
    assert took == 28


def test_the_time_counts_from_the_first_beat() -> None:
    """An activity made for simpleflow, whose worker process sends heartbeats by itself, goes on natively."""
    outcome, took = run_virtually(outcome_of(activity(heartbeat_timeout=10)(beats)(1, 1_000)))
    assert (outcome.error, took) == (None, 1_000)

    outcome, took = run_virtually(outcome_of(activity(name="beats", heartbeat_timeout=10)(beats)(2, 1_000)))
    assert_timed_out(outcome.error)
    assert took == 1_010


def test_each_attempt_has_its_own_time() -> None:
    seen: list[float] = []

    @activity(name="beats", heartbeat_timeout=10, retry=1, retry_wait=0)
    async def second() -> str:
        seen.append(asyncio.get_running_loop().time())
        await asyncio.sleep(5)
        current_step().heartbeat()
        await asyncio.sleep(20 if len(seen) == 1 else 9)
        return "well"

    outcome, _ = run_virtually(outcome_of(second))
    assert outcome.result == "well"
    assert seen == [0, 15]


def test_start_to_close_ends_what_beats() -> None:
    what = activity(heartbeat_timeout=10, start_to_close_timeout=20)(beats)(5)
    outcome, took = run_virtually(outcome_of(what))
    assert isinstance(outcome.error, ActivityTimeoutError)
    assert (outcome.error.timeout, took) == ("start_to_close_timeout", 20)


def test_awaited_by_itself_an_activity_is_held_to_it_too() -> None:
    async def main() -> None:
        task = activity(name="beats", heartbeat_timeout=10)(beats)
        assert await task(3) == 27
        with pytest.raises(ActivityTimeoutError) as raised:
            await task(2, 11)
        assert_timed_out(raised.value)

    run_virtually(main())


def test_waiting_for_a_slot_does_not_count_and_a_beat_meanwhile_does() -> None:
    async def outer(run: StepRun, *, beat: bool) -> None:
        """Runs 4 seconds, waits for a slot from 4 to 50, and runs on."""
        await asyncio.sleep(4)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(run.submit(activity(asyncio.sleep)(0)))
            tasks.create_task(run.submit(Step("inner", (asyncio.sleep, 0))))
            if beat:
                await asyncio.sleep(5)
                current_step().heartbeat()
        await asyncio.sleep(9 if beat else 5)

    async def main(*, beat: bool) -> BaseException | None:
        async with run_over(MemoryStore(), max_parallel=2) as run, anyio.create_task_group() as tasks:
            tasks.start_soon(run.submit, Step("other", (asyncio.sleep, 50)))
            await asyncio.sleep(0)
            timed = activity(heartbeat_timeout=10)(outer)
            await run.submit(Step("a", timed(run, beat=beat)))
        return next((failure.__cause__ for failure in run.failures), None)

    assert run_virtually(main(beat=False)) is None
    assert run_virtually(main(beat=True)) is None


def test_a_beat_counts_for_the_activities_around() -> None:
    async def outer(run: StepRun) -> None:
        await run.submit(Step("inner", activity(beats)(5)))

    async def main() -> BaseException | None:
        async with run_over(MemoryStore()) as run:
            return (await run.submit(Step("a", activity(heartbeat_timeout=10)(outer)(run)))).error

    assert run_virtually(main()) is None


def test_a_cancellation_is_none_of_its_own() -> None:
    async def main() -> None:
        async with run_over(MemoryStore()) as run:
            task = asyncio.create_task(run.submit(Step("a", activity(heartbeat_timeout=10)(beats)(5))))
            await asyncio.sleep(12)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert [marker.details["status"] for marker in run.markers] == ["scheduled", "cancelled"]

    run_virtually(main())


async def test_in_a_worker_thread_it_beats_and_ends_what_has_timed_out() -> None:
    """In real time: the thread beats more often than the timeout is long, and then not until it has timed out."""
    ended: list[str] = []

    @activity(name="thread", heartbeat_timeout=0.2)
    def works() -> None:
        current = current_step()
        for _ in range(30):
            threading.Event().wait(0.01)
            current.heartbeat()
        while True:  # the timeout cancels the attempt, and the thread hears of it at its next beat
            threading.Event().wait(0.3)
            try:
                current.heartbeat()
            except asyncio.CancelledError:
                ended.append("cancelled")
                raise

    async with run_over(MemoryStore()) as run:
        outcome = await run.submit(Step("a", works))
    assert isinstance(outcome.error, ActivityTimeoutError)
    assert outcome.error.timeout == "heartbeat_timeout"
    assert ended == ["cancelled"]
