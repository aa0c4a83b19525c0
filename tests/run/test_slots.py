"""In whose slot an activity runs that another has submitted; `max_parallel` holds whatever is cancelled."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import anyio.from_thread
import pytest
from run_support import run_over

from asyncsteps import (
    ActivityTimeoutError,
    Chain,
    Group,
    MarkerTask,
    MemoryStore,
    SignalTask,
    Step,
    StepRun,
    Submittable,
    WaitForSignal,
    activity,
)
from asyncsteps.testing import run_virtually


class Gauge:
    """Counts what runs at once; what waits for what it has submitted does not run."""

    def __init__(self) -> None:
        self.running = self.peak = 0

    def begin(self) -> None:
        self.running += 1
        self.peak = max(self.peak, self.running)

    def end(self) -> None:
        self.running -= 1

    async def work(self, seconds: float) -> None:
        self.begin()
        try:
            await anyio.sleep(seconds)
        finally:
            self.end()


def test_what_has_begun_ends_before_other_work_begins() -> None:
    """Of 200 steps that each submit an activity, four are marked after each 0.02 s, and not 200 at the end."""
    gauge = Gauge()
    marked: list[float] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()

        async def outer() -> None:
            await gauge.work(0.01)
            await run.submit(gauge.work, 0.01)

        def note(marker: object) -> None:
            if getattr(marker, "details", {}).get("status") == "completed":
                marked.append(round(loop.time(), 6))

        async with run_over(MemoryStore(), max_parallel=4, on_marker=note) as run:
            await run.submit(Group(*(Step(f"s.{number:03d}", outer) for number in range(200))))

    run_virtually(main())
    assert gauge.peak == 4
    assert marked == sorted(round(0.02 * (number // 4 + 1), 6) for number in range(200))


def test_what_runs_beside_the_first_queues_ahead_of_what_has_not_begun() -> None:
    order: list[str] = []

    async def main() -> None:
        async def inner(name: str) -> None:
            order.append(name)
            await anyio.sleep(1)

        async def outer(name: str) -> None:
            order.append(name)
            await run.submit(Group(*((inner, f"{name}.{number}") for number in range(3))))

        async with run_over(MemoryStore(), max_parallel=1) as run:
            await run.submit(Group((outer, "a"), (outer, "b")))

    run_virtually(main())
    assert order == ["a", "a.0", "a.1", "a.2", "b", "b.0", "b.1", "b.2"]


def test_waiting_for_a_slot_counts_into_no_start_to_close_timeout() -> None:
    """Neither into that of what waits nor into that of what has submitted it."""

    async def main() -> None:
        @activity(start_to_close_timeout=1.5)
        async def inner() -> None:
            await anyio.sleep(1)

        @activity(start_to_close_timeout=2.5)
        async def outer() -> None:
            await run.submit(Group(inner(), inner()))

        async with run_over(MemoryStore(), max_parallel=2) as run:
            await run.submit(Group(*(outer() for _ in range(10))))

    run_virtually(main())


def test_what_it_submits_counts_into_a_start_to_close_timeout() -> None:
    async def main() -> None:
        @activity(start_to_close_timeout=1)
        async def outer() -> None:
            await run.submit(anyio.sleep, 2)

        async with run_over(MemoryStore(), max_parallel=1) as run:
            with pytest.raises(ActivityTimeoutError, match="start_to_close_timeout of 1 s"):
                await run.submit(outer)
            await run.submit(anyio.sleep, 0)

    run_virtually(main())


@pytest.mark.parametrize("item", [SignalTask("s"), MarkerTask("m")])
async def test_signals_and_markers_yield_no_slot(item: Submittable) -> None:
    gauge = Gauge()

    async def sends(run: StepRun) -> None:
        gauge.begin()
        for _ in range(3):
            await run.submit(item)
            await anyio.lowlevel.checkpoint()
        gauge.end()

    async with run_over(MemoryStore(), max_parallel=1) as run:
        await run.submit(Group(*((sends, run) for _ in range(5))))
    assert gauge.peak == 1


async def _by_scope(work: Awaitable[object]) -> None:
    with anyio.move_on_after(0.3):
        await work


async def _by_task(work: Awaitable[object]) -> None:
    task = asyncio.ensure_future(work)
    asyncio.get_running_loop().call_later(0.3, task.cancel)
    await asyncio.wait({task})


async def _by_asyncio(work: Awaitable[object]) -> None:
    try:
        async with asyncio.timeout(0.3):
            await work
    except TimeoutError:
        pass


async def _by_group(work: Awaitable[object]) -> None:
    async def fails() -> None:
        await anyio.sleep(0.3)
        raise ValueError

    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(fails())
            tasks.create_task(_awaited(work))
    except* ValueError:
        pass


async def _awaited(work: Awaitable[object]) -> None:
    await work


@pytest.mark.parametrize("cancel", [_by_scope, _by_task, _by_asyncio, _by_group])
@pytest.mark.parametrize("nested", ["activity", "signal", "step", "group", "chain"])
def test_the_limit_holds_after_any_cancellation_of_a_nested_submission(
    cancel: Callable[[Awaitable[object]], Awaitable[None]], nested: str
) -> None:
    gauge = Gauge()

    async def main() -> None:
        def submission() -> Any:
            match nested:
                case "activity":
                    return (gauge.work, 1)
                case "signal":
                    return Chain((gauge.work, 0.01), Step("never", (run.wait_signal, "never")))
                case "step":
                    return Step("held", (gauge.work, 1))
                case "group":
                    return Group((gauge.work, 1), (gauge.work, 1), max_parallel=2)
                case _:
                    return Chain((gauge.work, 0.1), (gauge.work, 1))

        async def outer() -> None:
            await gauge.work(0.1)
            await cancel(run.submit(submission()))
            await gauge.work(0.5)

        async with run_over(MemoryStore(), max_parallel=1) as run:
            await run.submit(Group(*(outer for _ in range(6))))
            assert run._parts.limiter.free == 1

    run_virtually(main())
    assert gauge.peak == 1


def test_a_slot_is_lent_to_others_while_what_it_waits_for_needs_one() -> None:
    """A step that another activity holds, and a signal that another sends, under a limit of one."""

    async def main() -> None:
        async def waits_for_a_signal() -> None:
            await run.submit(Step("a", (run.wait_signal, "go")))

        async def waits_for_a_step() -> None:
            await run.submit(Step("held", anyio.lowlevel.checkpoint))

        async def sends() -> None:
            await anyio.sleep(1)
            await run.signal("go")

        async with run_over(MemoryStore(), max_parallel=1) as run:
            await run.submit(
                Group(
                    waits_for_a_signal,
                    Step("held", Chain((run.wait_signal, "step.a"), sends, (anyio.sleep, 1))),
                    waits_for_a_step,
                    Chain((anyio.sleep, 1), SignalTask("step.a")),
                )
            )
            assert run._parts.limiter.free == 1

    run_virtually(main())


def test_queued_and_running_are_told_apart() -> None:
    async def main() -> None:
        async with run_over(MemoryStore(), max_parallel=1) as run:
            async with anyio.create_task_group() as tasks:
                for name in ("a", "b"):
                    tasks.start_soon(run.submit, Step(name, (anyio.sleep, 10)))
                await anyio.sleep(1)
                assert (run.under_way, run.queued) == (("a",), ("b",))
            completed = [marker for marker in run.markers if marker.details["status"] == "completed"]
            assert [marker.details["step"] for marker in completed] == ["a", "b"]
            assert all(marker.started is not None for marker in completed)
            assert all(marker.started is None for marker in run.markers if marker not in completed)
            outcome = await run.submit(Step("c", (anyio.sleep, 0)))
            assert outcome.queued <= outcome.started <= outcome.finished

    run_virtually(main())


async def test_a_queued_step_that_is_cancelled_never_ran() -> None:
    async with run_over(MemoryStore(), max_parallel=1) as run:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run.submit, Step("a", anyio.sleep_forever))
            tasks.start_soon(run.submit, Step("b", anyio.sleep_forever))
            await anyio.wait_all_tasks_blocked()
            tasks.cancel_scope.cancel()
        ends = {marker.details["step"]: marker.started for marker in run.markers[2:]}
        assert ends["a"] is not None
        assert ends["b"] is None


def test_the_limit_holds_where_the_innermost_of_three_waits() -> None:
    gauge = Gauge()

    async def main() -> None:
        async def innermost() -> None:
            await run.submit(Chain((gauge.work, 0), WaitForSignal("go")))
            await gauge.work(1)

        async def middle() -> None:
            await run.submit(innermost)
            await gauge.work(1)

        async def outer() -> None:
            await run.submit(middle)
            await gauge.work(1)

        async def other() -> None:
            await gauge.work(3)
            await run.signal("go")
            await gauge.work(3)

        async with run_over(MemoryStore(), max_parallel=1) as run:
            await run.submit(Group(outer, other, (gauge.work, 5)))
            assert run._parts.limiter.free == 1

    run_virtually(main())
    assert gauge.peak == 1


def test_the_limit_holds_where_a_task_outlives_the_submission_that_lent_its_slot() -> None:
    gauge = Gauge()

    async def main() -> None:
        left: list[asyncio.Task[None]] = []

        async def submits() -> None:
            await run.submit(gauge.work, 5)

        async def outer() -> None:
            left.append(asyncio.ensure_future(submits()))
            await asyncio.sleep(0)
            await run.submit(anyio.sleep, 0)
            await asyncio.gather(*left)
            await gauge.work(1)

        async with run_over(MemoryStore(), max_parallel=1) as run:
            await run.submit(Group(outer, (gauge.work, 2)))
            assert run._parts.limiter.free == 1

    run_virtually(main())
    assert gauge.peak == 1


def test_the_limit_holds_where_what_outlives_two_activities_has_the_slot_of_a_third() -> None:
    """The innermost runs on in the permit of the outermost, which waits for it and not for those between."""
    gauge = Gauge()

    async def main() -> None:
        left: list[asyncio.Task[object]] = []

        async def submits(what: Callable[[], Awaitable[object]]) -> None:
            left.append(asyncio.ensure_future(run.submit(what)))
            await asyncio.sleep(0)

        async def innermost() -> None:
            await gauge.work(1)

        async def between() -> None:
            await submits(innermost)

        async def middle() -> None:
            await submits(between)
            await anyio.sleep(0.1)

        async def outermost() -> None:
            await run.submit(middle)
            await gauge.work(0.2)

        async with run_over(MemoryStore(), max_parallel=1) as run:
            await run.submit(outermost)
            await asyncio.gather(*left)
            assert run._parts.limiter.free == 1

    run_virtually(main())
    assert gauge.peak == 1


def test_a_thread_hears_that_its_activity_is_cancelled() -> None:
    ended: list[str] = []

    @activity(start_to_close_timeout=0.05)
    def polls() -> None:
        try:
            while True:
                anyio.from_thread.check_cancelled()
                time.sleep(0.005)
        finally:
            ended.append("polls")

    async def main() -> None:
        @activity(start_to_close_timeout=0.05)
        def submits() -> None:
            try:
                anyio.from_thread.run(run.submit, anyio.sleep_forever)
            finally:
                ended.append("submits")

        async with run_over(MemoryStore(), max_parallel=1) as run:
            for work in (polls, submits):
                with pytest.raises(ActivityTimeoutError):
                    await run.submit(work)
            assert run._parts.limiter.free == 1

    asyncio.run(main())
    assert ended == ["polls", "submits"]


async def test_a_cancellation_from_before_a_submission_is_no_failure_of_its_activity() -> None:
    """As Ctrl-C sends it: to the task, while it does something else than to wait."""
    async with run_over(MemoryStore()) as run:

        async def main() -> None:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            await run.submit(Step("a", anyio.sleep_forever))

        with pytest.raises(asyncio.CancelledError):
            await asyncio.ensure_future(main())
        assert run.failures == []
