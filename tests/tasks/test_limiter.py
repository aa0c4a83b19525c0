"""What waits deep within activities gives their slots to others, and each of them takes another one."""

import asyncio

import anyio
from run_support import run_over

from asyncsteps import Chain, Group, MemoryStore
from asyncsteps._tasks.limiter import Limiter, Slot
from asyncsteps.testing import run_virtually


def test_every_activity_around_one_that_waits_takes_a_slot_again() -> None:
    running: list[int] = [0]
    peak: list[int] = [0]

    async def work() -> None:
        running[0] += 1
        peak[0] = max(peak[0], running[0])
        await anyio.sleep(1)
        running[0] -= 1

    async def main() -> None:
        async def middle() -> None:
            await run.submit(run.wait_signal, "go")

        async def outer() -> None:
            await run.submit(middle)
            await work()

        async def sends() -> None:
            await run.signal("go")

        async with run_over(MemoryStore(), max_parallel=1) as run:
            await run.submit(Group(outer, Chain(sends, Group(work, work, work))))
            assert run._parts.limiter.free == 1

    run_virtually(main())
    assert peak == [1]


def test_a_slot_that_is_taken_again_serves_what_was_submitted_while_it_was_waited_for() -> None:
    async def main() -> None:
        async def gives_up() -> None:
            with anyio.move_on_after(1):
                await run.wait_signal("never")

        async def submits_later() -> None:
            await anyio.sleep(2)
            await run.submit(anyio.sleep, 1)

        async def outer() -> None:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(gives_up)
                tasks.start_soon(submits_later)

        async with run_over(MemoryStore(), max_parallel=1) as run:
            await run.submit(Group(outer, (anyio.sleep, 3)))
            assert run._parts.limiter.free == 1

    run_virtually(main())


def test_tasks_of_one_activity_take_one_slot_again_between_them() -> None:
    async def main() -> None:
        async def gives_up(after: float) -> None:
            await anyio.sleep(after)
            with anyio.move_on_after(0.5):
                await run.wait_signal("never")

        async def outer() -> None:
            async with anyio.create_task_group() as tasks:
                for number in range(3):
                    tasks.start_soon(gives_up, float(number))

        async with run_over(MemoryStore(), max_parallel=1) as run:
            await run.submit(Group(outer, (anyio.sleep, 5), (anyio.sleep, 5)))
            assert run._parts.limiter.free == 1

    run_virtually(main())


async def test_a_slot_that_is_handed_a_permit_before_it_waits_for_one_takes_no_second() -> None:
    """What outlives an activity ends in the moment in which the one around it is to have a permit again."""
    limiter = Limiter(2)
    left: list[asyncio.Task[None]] = []

    async def hold(until: anyio.Event) -> None:
        async with limiter.slot():
            await until.wait()

    async def middle() -> None:
        ends = [anyio.Event(), anyio.Event()]
        async with limiter.slot() as slot:
            for end in ends:
                left.append(asyncio.create_task(slot.yielded(lambda end=end: hold(end))))  # type: ignore[misc]
                await asyncio.sleep(0)
            assert limiter.free == 0
            for end in ends:
                end.set()

    async with limiter.slot() as outer:
        await outer.yielded(middle)
        assert limiter.free == 1
    await asyncio.gather(*left)
    assert limiter.free == 2


async def test_a_permit_that_goes_on_to_others_before_its_activity_has_had_its_turn_is_taken_again() -> None:
    """What an activity submits while it waits for a permit ends in the moment in which it is handed one."""
    limiter = Limiter(1)
    left: list[asyncio.Task[None]] = []
    resumes, held = anyio.Event(), []

    async def at_once() -> None:
        async with limiter.slot():
            pass

    async def a_moment() -> None:
        async with limiter.slot():
            await anyio.sleep(0.001)

    async def outlives() -> None:
        async with limiter.slot() as slot:
            await resumes.wait()
            with limiter.blocked():
                await slot.yielded(a_moment)

    async def middle() -> None:
        async with limiter.slot() as slot:
            left.append(asyncio.create_task(slot.yielded(outlives)))
            await asyncio.sleep(0)

    async def beside(outer: Slot) -> None:
        while limiter.free or not outer.parked:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0)
        resumes.set()
        await outer.yielded(at_once)
        held.append(outer.holds or outer.ended)

    async with limiter.slot() as outer:
        left.append(asyncio.create_task(beside(outer)))
        await outer.yielded(middle)
        held.append(outer.holds)
    await asyncio.gather(*left)
    assert held == [True, True]
    assert limiter.free == 1
