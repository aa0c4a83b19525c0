"""The chain of attempts that a failure was recorded in: however deep, and no longer than what is under way."""

import asyncio

import pytest
from run_support import fails, run_over

from asyncsteps import MemoryStore, Step, StepFailedError, StepRun, activity
from asyncsteps._run import failures

DEEP = 1_200
"""More than Python's limit of recursion."""


@activity(retry=1)
async def nested(run: StepRun, left: int) -> None:
    """Submits the next from a task of its own, so that no stack of calls grows."""
    following = nested(run, left - 1) if left else Step("leaf", fails)
    await asyncio.create_task(run.submit(following))


@activity(retry=1)
async def following(run: StepRun, left: int, depths: list[int], tasks: list["asyncio.Task[object]"]) -> None:
    """Starts a task that submits the next, and ends before it."""
    attempt, depth = failures._current.get(), 0
    while attempt is not None:
        attempt, depth = attempt.outer, depth + 1
    depths.append(depth)
    if left:
        tasks.append(asyncio.create_task(run.submit(following(run, left - 1, depths, tasks))))
    else:
        await run.submit(Step("leaf", fails))


async def test_a_failure_within_more_attempts_than_calls_may_nest_is_listed() -> None:
    async with run_over(MemoryStore(), max_parallel=1) as run:
        await run.submit(nested(run, DEEP))
        [failure] = run.failures
        assert isinstance(failure, StepFailedError)
        assert failure.step == "leaf"


async def test_attempts_that_have_ended_are_not_kept_by_what_was_started_in_them() -> None:
    depths: list[int] = []
    tasks: list[asyncio.Task[object]] = []
    async with run_over(MemoryStore()) as run:
        await run.submit(following(run, 200, depths, tasks))
        while not all(task.done() for task in tasks):
            await asyncio.wait(tasks)
    assert len(depths) == 201
    assert max(depths) <= 3
    assert [failure.step for failure in run.failures if isinstance(failure, StepFailedError)] == ["leaf"]


@pytest.mark.parametrize("attempts", [1, 2])
async def test_the_failure_of_an_attempt_says_nothing_of_the_attempts_before(attempts: int) -> None:
    """Each attempt fails by an error of its own: none is the context or the cause of the next."""
    raised: list[Exception] = []

    @activity(retry=attempts, retry_wait=0)
    async def fails_each_time() -> None:
        raised.append(ValueError(f"attempt {len(raised) + 1}"))
        raise raised[-1]

    async with run_over(MemoryStore()) as run:
        outcome = await run.submit(Step("a", fails_each_time))
    assert outcome.error is raised[-1]
    assert [(error.__context__, error.__cause__) for error in raised] == [(None, None)] * (attempts + 1)
