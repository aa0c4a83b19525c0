"""The queues of the limiter cost no search: counted in comparisons and looks, not in time."""

import asyncio
from collections.abc import Iterator
from typing import Any

import anyio
import pytest

from asyncsteps._tasks import limiter as module
from asyncsteps._tasks.limiter import Limiter, Slot

COUNT = 200


async def _hold(limiter: Limiter, until: anyio.Event | None = None) -> None:
    async with limiter.slot():
        if until is not None:
            await until.wait()


async def _turns() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_leaving_the_queue_compares_with_none_of_those_before(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = 0

    class Compared(module._Waiter):
        def __eq__(self, other: object) -> bool:
            nonlocal compared
            compared += 1
            return self is other

        __hash__ = object.__hash__

    monkeypatch.setattr(module, "_Waiter", Compared)
    limiter, done = Limiter(1), anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_hold, limiter, done)
        await anyio.wait_all_tasks_blocked()
        queued = [asyncio.create_task(_hold(limiter)) for _ in range(COUNT)]
        await anyio.wait_all_tasks_blocked()
        for task in reversed(queued):
            task.cancel()
            await asyncio.wait([task])
        done.set()
    assert limiter.free == 1
    assert compared < COUNT


async def test_yielding_a_slot_looks_at_what_waits_within_it_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of activities that have each submitted one more than their slot serves, none looks at others'."""
    looked = 0
    real = Slot.enclosing_slots

    def counted(self: Slot) -> Iterator[Slot]:
        nonlocal looked
        looked += 1
        return real(self)

    async def submits(until: anyio.Event) -> None:
        async with limiter.slot() as slot:
            await begin.wait()

            async def two() -> None:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(_hold, limiter, until)
                    tasks.start_soon(_hold, limiter, done)

            await slot.yielded(two)

    monkeypatch.setattr(Slot, "enclosing_slots", counted)
    limiter, begin, done = Limiter(COUNT), anyio.Event(), anyio.Event()
    ends = [anyio.Event() for _ in range(COUNT)]
    async with anyio.create_task_group() as tasks:
        for end in ends:
            tasks.start_soon(submits, end)
        await _turns()
        begin.set()
        await _turns()
        for end in reversed(ends):  # the last of those that wait is served first
            end.set()
            await _turns()
        done.set()
    assert limiter.free == COUNT
    assert COUNT < looked < 20 * COUNT


async def test_slots_that_have_ended_are_not_kept_by_what_was_started_in_them() -> None:
    """A task that starts the next one, and so on for ever, would hold the slots of all of them."""
    limiter = Limiter(1)
    depths: list[int] = []

    async def starts(left: int) -> Any:
        async with limiter.slot() as slot:
            outer, depth = slot.outer, 0
            while outer is not None:
                outer, depth = outer.outer, depth + 1
            depths.append(depth)
            following = asyncio.create_task(starts(left - 1)) if left else None
        if following is not None:
            await following

    await starts(COUNT)
    assert len(depths) == COUNT + 1
    assert max(depths) <= 1
