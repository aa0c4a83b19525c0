"""What waits deep within activities gives their slots to others, and each of them takes another one."""

import anyio
from run_support import run_over
from virtual_time import run_virtually

from asyncsteps import Chain, Group, MemoryStore


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
