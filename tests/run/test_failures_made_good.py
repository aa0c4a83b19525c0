"""Failures that were made good stay off the list, however often they come by."""

from run_support import fails, noop, run_over

from asyncsteps import Chain, MemoryStore, Step


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
