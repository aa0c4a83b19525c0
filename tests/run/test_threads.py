"""A thread cannot be stopped: what overruns is waited for, in sight, and does no harm to the loop."""

import asyncio
import threading

import anyio
import anyio.to_thread
import pytest
from run_support import GatedStore, run_over, story

from asyncsteps import ActivityTimeoutError, MemoryStore, Step, activity
from asyncsteps.testing import VirtualTimeLoop


def test_a_thread_that_overruns_is_in_sight_until_it_ends(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In virtual time: the thread is a future that ends after 100 seconds, whatever is cancelled."""
    seen: list[tuple[tuple[str, ...], tuple[str, ...], int]] = []

    async def run_sync(function: object, **_: object) -> None:
        with anyio.CancelScope(shield=True):
            await asyncio.sleep(100)

    monkeypatch.setattr(anyio.to_thread, "run_sync", run_sync)

    @activity(name="load", start_to_close_timeout=5)
    def overruns() -> None:
        pass

    async def main() -> None:
        store = GatedStore()
        async with run_over(store, max_parallel=1) as run, anyio.create_task_group() as tasks:
            tasks.start_soon(run.submit, Step("a", overruns))
            tasks.start_soon(run.submit, Step("b", activity(lambda: None)))
            await anyio.sleep(90)
            seen.append((run.under_way, run.queued, run._parts.limiter.free))
            await anyio.sleep(11)
            assert isinstance(run.failures[0].__cause__, ActivityTimeoutError)
            tasks.cancel_scope.cancel()
        assert "a" not in store.done

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(main())
    assert seen == [(("a",), ("b",), 0)]
    told = [record.getMessage() for record in caplog.records if "load of step a" in record.getMessage()]
    assert told == [
        "activity load of step a is cancelled or timed out, and its thread cannot be stopped: waiting for it",
        "the thread of activity load of step a still runs, 10.0 s after the cancellation or timeout",
        "the thread of activity load of step a still runs, 30.0 s after the cancellation or timeout",
        "the thread of activity load of step a still runs, 70.0 s after the cancellation or timeout",
        "the thread of activity load of step a has ended, 95.0 s after the cancellation or timeout",
    ]


def test_a_thread_that_ends_in_time_is_not_told_of(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with run_over(MemoryStore()) as run:
            await run.submit(Step("a", activity(start_to_close_timeout=60)(threading.get_ident)))

    asyncio.run(main())
    assert "thread" not in caplog.text


@pytest.mark.parametrize("leave", [SystemExit, KeyboardInterrupt])
def test_what_ends_processes_reaches_who_submitted_it_and_not_the_event_loop(leave: type[BaseException]) -> None:
    """Raised by a task of its own it would break off `asyncio.run`, and nothing would be cleaned up."""
    ended: list[str] = []

    def exits() -> None:
        raise leave

    async def main() -> list[tuple[str, str]]:
        async with run_over(MemoryStore()) as run:
            try:
                await run.submit(Step("a", exits))
            except leave as error:
                ended.append(type(error).__name__)
        return story(run)

    assert asyncio.run(main()) == [("a", "scheduled"), ("a", "cancelled")]
    assert len(ended) == 1
