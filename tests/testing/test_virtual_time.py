"""Virtual time: no wait is real, on loops of any runner, worker threads included; all is as it was afterwards."""

import asyncio
import socket
import threading
import time
from typing import Any

import anyio
import anyio.from_thread
import anyio.to_thread
import pytest

from asyncsteps import ActivityTimeoutError, Group, MemoryStore, Step, StepRun, activity
from asyncsteps.testing import VirtualTimeLoop, run_virtually, virtual_time

DAY = 86_400.0


def test_waits_and_timeouts_take_no_time_and_are_exact() -> None:
    async def main() -> tuple[float, float]:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(3 * DAY)
        slept = loop.time()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(60):
                await asyncio.Event().wait()
        return slept, loop.time()

    began = time.monotonic()
    assert run_virtually(main()) == (3 * DAY, 3 * DAY + 60)
    assert time.monotonic() - began < DAY


async def test_a_block_of_virtual_time_on_the_running_loop() -> None:
    loop = asyncio.get_running_loop()
    before, method = loop.time(), loop.run_in_executor
    with virtual_time() as clock:
        with anyio.move_on_after(60) as scope:
            await anyio.sleep(DAY)
        assert scope.cancelled_caught
        assert clock.elapsed == pytest.approx(60)
        clock.shift(40)
        assert loop.time() >= before + 100
    left = loop.time()
    assert before + 100 <= left < before + DAY  # time goes on from there, and not back
    assert method == loop.run_in_executor
    await asyncio.sleep(0.001)  # which is real again


async def test_what_was_scheduled_in_virtual_time_is_not_late_afterwards() -> None:
    rung = asyncio.Event()
    with virtual_time():
        await asyncio.sleep(DAY)
        asyncio.get_running_loop().call_later(0.001, rung.set)
    async with asyncio.timeout(20):
        await rung.wait()


def test_a_backoff_and_a_timeout_of_activities() -> None:
    failing = iter([ValueError(), ValueError()])

    @activity(retry=2, retry_wait=600)
    async def flaky() -> str:
        for error in failing:
            raise error
        return "well"

    @activity(start_to_close_timeout=60)
    async def hangs() -> None:
        await asyncio.Event().wait()

    async def main() -> None:
        async with MemoryStore() as store, StepRun(store, workflow_id="w") as run:
            outcome = await run.submit(Step("flaky", flaky()))
            assert outcome.result == "well"
            paused = asyncio.get_running_loop().time()
            assert paused > 1
            late = await run.submit(Step("hangs", hangs()))
            assert isinstance(late.error, ActivityTimeoutError)
            assert asyncio.get_running_loop().time() == pytest.approx(paused + 60)

    run_virtually(main())


@pytest.mark.parametrize("start", ["anyio", "asyncio"])
def test_a_thread_that_works_is_waited_for_and_overruns_nothing(start: str) -> None:
    """The timer of 60 s is there all the time; without the count of threads it would be next."""

    def work() -> int:
        return sum(number * number for number in range(200_000))

    async def main() -> float:
        async with asyncio.timeout(60):
            await (anyio.to_thread.run_sync(work) if start == "anyio" else asyncio.to_thread(work))
        return asyncio.get_running_loop().time()

    assert run_virtually(main()) == 0


def test_threads_sleep_in_virtual_time() -> None:
    def naps() -> None:
        time.sleep(100)
        time.sleep(0)
        time.sleep(200)

    async def main() -> float:
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(anyio.to_thread.run_sync, naps)
            tasks.start_soon(asyncio.to_thread, naps)
            tasks.start_soon(anyio.sleep, 250)
        return asyncio.get_running_loop().time()

    assert run_virtually(main()) == 300


def test_a_thread_that_waits_for_the_loop_holds_no_time_up() -> None:
    def asks(loop: asyncio.AbstractEventLoop) -> None:
        anyio.from_thread.run(asyncio.sleep, 60)
        asyncio.run_coroutine_threadsafe(asyncio.sleep(30), loop).result()

    async def main() -> float:
        await anyio.to_thread.run_sync(asks, asyncio.get_running_loop())
        return asyncio.get_running_loop().time()

    assert run_virtually(main()) == 90


def test_sync_activities_time_out_and_submit_in_virtual_time() -> None:
    async def main() -> None:
        async with MemoryStore() as store, StepRun(store, workflow_id="w", max_parallel=2) as run:

            @activity(start_to_close_timeout=60)
            def sleeps() -> None:
                time.sleep(900)

            def submits() -> None:
                anyio.from_thread.run(run.submit, Step("b.inner", (asyncio.sleep, 600)))

            outcomes: Any = await run.submit(Group(Step("a", sleeps()), Step("b", (submits,))))
            assert isinstance(outcomes[0].error, ActivityTimeoutError)
            assert await store.list_done() == ["b", "b.inner"]
        assert asyncio.get_running_loop().time() == 900

    run_virtually(main())


def test_a_sleep_elsewhere_is_real_and_all_is_as_it_was() -> None:
    originals = anyio.to_thread.run_sync, asyncio.run_coroutine_threadsafe, time.sleep
    slept: list[float] = []

    def elsewhere() -> None:
        began = time.monotonic()
        time.sleep(0.01)
        slept.append(time.monotonic() - began)

    async def main() -> None:
        thread = threading.Thread(target=elsewhere)
        thread.start()
        await asyncio.to_thread(thread.join)
        assert (anyio.to_thread.run_sync, asyncio.run_coroutine_threadsafe, time.sleep) != originals

    run_virtually(main())
    assert slept[0] >= 0.01
    assert (anyio.to_thread.run_sync, asyncio.run_coroutine_threadsafe, time.sleep) == originals


def test_a_deadlock_is_an_error_that_names_where() -> None:
    async def main() -> None:
        await asyncio.Event().wait()

    with pytest.raises(RuntimeError, match=r"deadlock: nothing is ready.* at .*(locks|test_virtual_time)\.py:\d+"):
        run_virtually(main())


def test_what_others_write_is_waited_for() -> None:
    async def main() -> bytes:
        mine, others = socket.socketpair()
        with mine, others:
            mine.setblocking(False)
            threading.Timer(0.01, others.sendall, [b"done"]).start()
            return await asyncio.get_running_loop().sock_recv(mine, 10)

    assert run_virtually(main()) == b"done"


def test_a_thread_that_nobody_waits_for_sleeps_no_longer_than_the_loop() -> None:
    ended: list[int] = []

    def naps() -> None:
        for number in range(3):
            time.sleep(DAY)
            ended.append(number)

    async def main() -> None:
        with anyio.move_on_after(60):
            await asyncio.to_thread(naps)
        assert ended == []

    run_virtually(main())
    assert ended == [0, 1, 2]


async def test_what_cannot_be_virtual_is_refused() -> None:
    with virtual_time(), pytest.raises(RuntimeError, match="in virtual time already"), virtual_time():
        pass
    with virtual_time() as clock, pytest.raises(ValueError, match=r"shift\(-1\) is refused"):
        clock.shift(-1)


def test_outside_of_a_loop_it_is_refused() -> None:
    with pytest.raises(RuntimeError, match="no running event loop"), virtual_time():
        pass


def test_a_loop_that_is_not_asyncios_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    class Loop:
        pass

    monkeypatch.setattr(asyncio, "get_running_loop", Loop)
    with pytest.raises(RuntimeError, match=r"not .*test_virtual_time\.Loop"), virtual_time():
        pass


def test_the_loop_is_a_factory_for_runners() -> None:
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(asyncio.sleep(DAY))
        loop: Any = runner.get_loop()
        assert loop.clock.elapsed == DAY
    anyio.run(anyio.sleep, DAY, backend_options={"loop_factory": VirtualTimeLoop})
