"""Failures that were made good stay off the list, however often they come by."""

import asyncio

import anyio
from run_support import fails, noop, run_over

from asyncsteps import Chain, Group, MemoryStore, Step, activity
from asyncsteps.testing import run_virtually


async def test_a_failure_made_good_is_not_listed_again_by_the_chain_that_absorbs_it() -> None:
    async with run_over(MemoryStore()) as run:
        await run.submit(
            Chain(
                Step("a", fails, bubbles_exception_on_failure=True),
                Step("a", noop),
                break_on_failure=False,
                bubbles_exception_on_failure=False,
            )
        )
        assert run.failures == []


def test_what_failed_within_an_attempt_stays_made_good_when_a_task_that_outlives_the_attempt_absorbs_it() -> None:
    async def main() -> None:
        left: list[asyncio.Task[object]] = []

        @activity(retry=1, retry_wait=0)
        async def unlucky_once() -> None:
            if not left:
                early = Step("early", fails, bubbles_exception_on_failure=True)
                group = Group(early, (anyio.sleep, 2), bubbles_exception_on_failure=False)
                left.append(asyncio.ensure_future(run.submit(group)))
                await anyio.sleep(1)
                raise ValueError("again")

        async with run_over(MemoryStore()) as run:
            await run.submit(unlucky_once)
            await asyncio.gather(*left)
            assert run.failures == []

    run_virtually(main())
