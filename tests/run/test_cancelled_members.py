"""A group whose member cancels its own task is cancelled, whatever its ``max_parallel``."""

import asyncio

import pytest
from run_support import noop, run_over, story

from asyncsteps import Group, MemoryStore, Step


async def _cancels_itself() -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await asyncio.sleep(0)


@pytest.mark.parametrize("max_parallel", [1, 2])
async def test_a_group_ends_by_the_cancellation_of_a_member(max_parallel: int) -> None:
    async with run_over(MemoryStore()) as run:
        group = Group(_cancels_itself, noop, max_parallel=max_parallel)
        with pytest.raises(asyncio.CancelledError):
            await run.submit(Step("a", group))
        assert story(run) == [("a", "scheduled"), ("a", "cancelled")]
        assert (await run.submit(Step("b", noop))).status == "completed"
