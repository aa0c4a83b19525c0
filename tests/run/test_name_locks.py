"""One submission of a name at a time: who waits for whom, and what is kept of it."""

import asyncio
import gc
import weakref

import pytest
from run_support import noop, run_over

from asyncsteps import MemoryStore, RunClosedError, Step, StepRun
from asyncsteps.testing import run_virtually


def test_a_wait_that_is_over_makes_no_deadlock() -> None:
    """`a` has waited for `b`, and goes on; then `b` waits for `a`, which ends."""

    async def main() -> list[str]:
        ends = asyncio.Event()

        async def long() -> None:
            await asyncio.sleep(1)

        async def waits() -> None:
            await run.submit(Step("b", noop))
            await ends.wait()

        async def submits() -> str:
            asyncio.get_running_loop().call_later(1, ends.set)
            return str((await run.submit(Step("a", noop))).status)

        async with asyncio.timeout(60), run_over(MemoryStore()) as run:
            first = asyncio.create_task(run.submit(Step("b", long)))
            await asyncio.sleep(0.5)
            outer = asyncio.create_task(run.submit(Step("a", waits)))
            await asyncio.sleep(1)
            again = await run.submit(Step("b", submits, force=True))
            await asyncio.wait([first, outer])
            return [again.result, outer.result().status]

    assert run_virtually(main()) == ["skipped", "completed"]


async def test_the_task_that_played_a_step_does_not_keep_its_run() -> None:
    async def plays() -> "weakref.ref[StepRun]":
        async with run_over(MemoryStore()) as run:
            assert (await run.submit(Step("a", noop))).status == "completed"
            return weakref.ref(run._parts.lifetime)  # type: ignore[arg-type]

    kept = await plays()
    gc.collect()
    assert kept() is None


def test_what_an_activity_made_of_the_cancellation_by_the_end_of_its_run_is_raised() -> None:
    """In the task that has entered the run, which another one leaves."""
    begun = asyncio.Event()

    async def fails_when_cancelled(*, fails: bool) -> None:
        begun.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            if fails:
                raise ValueError("interrupted") from None
            raise

    async def main(*, fails: bool) -> None:
        begun.clear()
        run = StepRun(MemoryStore(), workflow_id="w")
        await run.__aenter__()

        async def leaves() -> None:
            await begun.wait()
            await run.__aexit__(KeyError, KeyError(), None)

        leaving = asyncio.create_task(leaves())
        error = ValueError if fails else RunClosedError
        with pytest.raises(error):
            await run.submit(fails_when_cancelled, fails=fails)
        await leaving

    run_virtually(main(fails=True))
    run_virtually(main(fails=False))
