"""What the end of the block costs while much is under way that waits for signals."""

import asyncio
from typing import Any

import anyio
import pytest
from run_support import run_over

from asyncsteps import MemoryStore, StepRun
from asyncsteps._run.waiting import can_go_on
from asyncsteps.testing import run_virtually


@pytest.mark.parametrize("nested", [True, False])
def test_a_run_with_many_waits_asks_few_questions(monkeypatch: pytest.MonkeyPatch, *, nested: bool) -> None:
    """Of the tasks under way at its end, one that goes on answers for all, also where each activity is new."""
    asked = 0

    async def main() -> None:
        def counted(*question: Any) -> Any:
            nonlocal asked
            asked += 1
            return can_go_on(*question)

        monkeypatch.setattr("asyncsteps._run.lifetime.can_go_on", counted)

        async def sends(run: StepRun) -> None:
            for number in range(200):
                await run.submit(anyio.sleep, 1)
                await run.signal(f"s{number}")

        async def waits(run: StepRun, number: int) -> None:
            await run.wait_signal(f"s{number}")

        async with anyio.create_task_group() as tasks, run_over(MemoryStore()) as run:
            for number in range(200):
                tasks.start_soon(waits, run, number)
            if nested:
                tasks.start_soon(run.submit, (sends, run))
            else:
                tasks.start_soon(sends, run)
            await anyio.wait_all_tasks_blocked()

    run_virtually(main())
    assert 200 < asked < 5 * 200 + 400


def test_a_run_with_many_waits_spends_little_time_on_looking(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long it takes to look at one task, as where there are thousands of them."""
    looked = 0.0

    async def main() -> float:
        loop: Any = asyncio.get_running_loop()

        def slow(*question: Any) -> Any:
            nonlocal looked
            looked += 0.05
            loop.clock.shift(0.05)
            return can_go_on(*question)

        monkeypatch.setattr("asyncsteps._run.lifetime.can_go_on", slow)

        async def sends(run: StepRun) -> None:
            for _ in range(1000):
                await asyncio.sleep(0.01)
            await run.signal("last")

        async def waits(run: StepRun) -> None:
            await run.wait_signal("last")

        async with anyio.create_task_group() as tasks, run_over(MemoryStore()) as run:
            tasks.start_soon(run.submit, (sends, run))
            tasks.start_soon(run.submit, (waits, run))
            await anyio.wait_all_tasks_blocked()
        return float(loop.time())

    total = run_virtually(main())
    assert 10 < total < 12
    assert looked < total / 10


def test_a_run_that_looked_for_long_ends_with_what_was_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not look again for a while, and is woken meanwhile."""

    async def main() -> float:
        loop: Any = asyncio.get_running_loop()

        def slow(*question: Any) -> Any:
            loop.clock.shift(10)
            return can_go_on(*question)

        monkeypatch.setattr("asyncsteps._run.lifetime.can_go_on", slow)

        async def sends(run: StepRun) -> None:
            await asyncio.sleep(20)
            await asyncio.sleep(1)
            await run.signal("last")

        async with anyio.create_task_group() as tasks, run_over(MemoryStore()) as run:
            tasks.start_soon(run.submit, (sends, run))
            tasks.start_soon(run.wait_signal, "last")
            await anyio.wait_all_tasks_blocked()
        return float(loop.time())

    assert run_virtually(main()) < 50
