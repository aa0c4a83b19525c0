"""The event loop has a turn at least every 10 ms, however many tasks submit without ever waiting."""

import asyncio
import itertools
import logging
from collections.abc import Callable, Coroutine
from typing import Any

import anyio
import pytest
from run_support import noop, run_over

from asyncsteps import Chain, Group, MemoryStore, Status, Step, StepRun
from asyncsteps.testing import run_virtually

_SKIP = 0.0005
"""Seconds of virtual time that each skipped step holds the loop up for."""

_STEP = Step("a", noop)

Submits = Callable[[StepRun], Coroutine[Any, Any, None]]


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Most of the time of these tests would go into lines of the log."""
    caplog.set_level(logging.WARNING, "asyncsteps")


def lags(*, tasks: int, submits: Submits, stop_after: float | None = None) -> tuple[list[float], int]:
    """How long the loop had no turn, each time, while tasks submit side by side; and how many were skipped."""
    found: list[float] = []

    async def main() -> int:
        loop: Any = asyncio.get_running_loop()
        before = loop.time()

        def turn() -> None:
            nonlocal before
            found.append(loop.time() - before)
            before = loop.time()
            loop.call_soon(turn)

        store = MemoryStore({"a": {}})
        async with run_over(store, on_marker=lambda _: loop.clock.shift(_SKIP), journal=False) as run:
            loop.call_soon(turn)
            with anyio.move_on_after(stop_after or 1_000):
                async with anyio.create_task_group() as group:
                    for _ in range(tasks):
                        group.start_soon(submits, run)
            assert run.counts[Status.SKIPPED] == len(run.markers)
            return len(run.markers)

    return found, run_virtually(main())


def one_by_one(skips: int) -> Submits:
    async def submits(run: StepRun) -> None:
        for _ in range(skips):
            await run.submit(_STEP)

    return submits


def in_one(container: type[Group], skips: int) -> Submits:
    async def submits(run: StepRun) -> None:
        await run.submit(container(*[_STEP] * skips))

    return submits


@pytest.mark.parametrize(
    ("tasks", "submits"),
    [
        pytest.param(1, one_by_one(600), id="one task"),
        pytest.param(150, one_by_one(4), id="many tasks"),
        pytest.param(1, in_one(Chain, 600), id="a chain"),
        pytest.param(150, in_one(Chain, 4), id="many chains"),
        pytest.param(1, in_one(Group, 600), id="a group"),
        pytest.param(20, in_one(Group, 30), id="many groups"),
    ],
)
def test_the_loop_has_its_turn_while_steps_are_skipped(tasks: int, submits: Submits) -> None:
    found, skipped = lags(tasks=tasks, submits=submits)
    assert skipped == 600
    assert len(found) >= 600 * _SKIP / 0.010
    assert max(found) < 0.010


def test_tasks_go_on_in_turn() -> None:
    """None waits for longer than each of those before it has had one turn."""
    order: list[int] = []

    async def submits(run: StepRun, number: int) -> None:
        for _ in range(10):
            await run.submit(_STEP)
            order.append(number)

    numbers = iter(range(50))
    lags(tasks=50, submits=lambda run: submits(run, next(numbers)))
    firsts = [order.index(number) for number in range(50)]
    assert firsts == sorted(firsts)
    assert max(after - before for before, after in itertools.pairwise(firsts)) * _SKIP < 0.005


def test_what_waits_for_its_turn_can_be_cancelled() -> None:
    found, skipped = lags(tasks=150, submits=one_by_one(20), stop_after=0.5)
    assert 800 < skipped < 1_200
    assert max(found) < 0.010


def test_a_step_that_is_submitted_now_and_then_waits_for_no_turn() -> None:
    async def main() -> None:
        async with run_over(MemoryStore({"a": {}})) as run:
            await run.submit(_STEP)
            for _ in range(10):
                await asyncio.sleep(1)
                submission = run.submit(_STEP)
                with pytest.raises(StopIteration):
                    submission.send(None)

    run_virtually(main())


async def test_members_of_a_group_begin_before_all_of_them_are_started() -> None:
    tasks: list[int] = []

    async def counts() -> None:
        if not tasks:
            tasks.append(len(asyncio.all_tasks()))

    async with run_over(MemoryStore()) as run:
        await run.submit(Group(*[counts] * 1_000))
    assert tasks[0] < 200
