"""At the end of the block, waits for signals end when nothing is left that could go on, and never before."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator
from typing import Any

import anyio
import pytest
from run_support import noop, run_over

from asyncsteps import Chain, MemoryStore, RunClosedError, Signal, Step, StepRun, WaitForSignal, activity
from asyncsteps.testing import run_virtually

Wait = Callable[[StepRun], Awaitable[object]]


async def at_the_end(*works: Callable[[StepRun], Awaitable[object]], **options: Any) -> list[object]:
    """Submit activities from tasks of their own, leave the block; what each gave or raised."""
    given: list[object] = [None] * len(works)

    async def submit(index: int, run: StepRun) -> None:
        try:
            given[index] = await run.submit(works[index], run)
        except Exception as error:  # noqa: BLE001 - looked at
            given[index] = error

    async with anyio.create_task_group() as tasks, run_over(MemoryStore(), **options) as run:
        for index in range(len(works)):
            tasks.start_soon(submit, index, run)
        await anyio.wait_all_tasks_blocked()
    return given


def errors_in(error: object) -> list[object]:
    return (
        [each for part in error.exceptions for each in errors_in(part)]
        if isinstance(error, BaseExceptionGroup)
        else [error]
    )


async def _plainly(run: StepRun) -> object:
    return await run.wait_signal("never")


async def _in_a_task(run: StepRun) -> object:
    return await asyncio.create_task(_plainly(run))


async def _by_gather(run: StepRun) -> object:
    return await asyncio.gather(_plainly(run), _in_a_task(run))


async def _by_asyncio_group(run: StepRun) -> None:
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_by_gather(run))
        tasks.create_task(_plainly(run))


async def _by_anyio_group(run: StepRun) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_by_asyncio_group, run)
        tasks.start_soon(_plainly, run)


async def _by_wait(run: StepRun) -> None:
    done, _ = await asyncio.wait([asyncio.create_task(_plainly(run)), asyncio.create_task(_by_gather(run))])
    for task in done:
        task.result()


async def _in_a_step_of_its_own(run: StepRun) -> None:
    async with asyncio.TaskGroup() as tasks:
        step = Step("inner", Chain(WaitForSignal("never"), noop), bubbles_exception_on_failure=True)
        tasks.create_task(run.submit(step))


async def _in_an_async_generator(run: StepRun) -> None:
    async def generates() -> AsyncIterator[object]:
        yield await _plainly(run)

    async for _ in generates():
        pass


class _Awaitable:
    """Awaits ``wait`` of a run in a coroutine of its own."""

    def __init__(self, wait: Wait, run: StepRun) -> None:
        self._wait = wait
        self._run = run

    def __await__(self) -> Generator[Any, None, object]:
        async def waits() -> object:
            return await self._wait(self._run)

        return waits().__await__()


async def _by_an_awaitable(run: StepRun) -> object:
    return await _Awaitable(_plainly, run)


WAITS = (
    _plainly,
    _in_a_task,
    _by_gather,
    _by_asyncio_group,
    _by_anyio_group,
    _by_wait,
    _in_a_step_of_its_own,
    _in_an_async_generator,
    _by_an_awaitable,
)


@pytest.mark.parametrize("wait", WAITS)
def test_an_activity_whose_tasks_all_wait_for_signals_is_ended(wait: Wait) -> None:
    [error] = run_virtually(at_the_end(wait))
    assert all(isinstance(each, RunClosedError) for each in errors_in(error)), error
    assert "nothing has sent the signal 'never'" in str(errors_in(error)[0])


@pytest.mark.parametrize("wait", WAITS)
def test_a_timeout_of_the_activity_puts_the_end_off_no_longer(wait: Wait) -> None:
    async def main() -> float:
        await at_the_end(activity(start_to_close_timeout=3600, schedule_to_close_timeout=3600, retry=1)(wait))
        return asyncio.get_running_loop().time()

    assert run_virtually(main()) < 60


@pytest.mark.parametrize("wait", [_in_a_task, _by_gather, _by_asyncio_group, _by_anyio_group, _by_wait])
def test_a_task_of_the_activity_that_goes_on_is_waited_for(wait: Wait) -> None:
    """It is asleep, does not submit, and nothing awaits it."""

    async def works(run: StepRun) -> None:
        async def sends() -> None:
            for _ in range(10):
                await asyncio.sleep(1)
            await run.signal("never")

        sending = asyncio.create_task(sends())
        await wait(run)
        await sending

    assert run_virtually(at_the_end(works)) == [None]


def test_when_that_task_has_ended_without_sending_the_wait_ends() -> None:
    async def works(run: StepRun) -> None:
        napping = asyncio.create_task(asyncio.sleep(10))
        await _by_gather(run)
        await napping

    async def main() -> float:
        [error] = await at_the_end(works)
        assert isinstance(error, RunClosedError)
        return asyncio.get_running_loop().time()

    assert run_virtually(main()) == 10


async def _asyncio_timeout(run: StepRun, wait: Wait) -> None:
    async with asyncio.timeout(10):
        await wait(run)


async def _anyio_timeout(run: StepRun, wait: Wait) -> None:
    with anyio.fail_after(10):
        await wait(run)


async def _anyio_scope(run: StepRun, wait: Wait) -> None:
    with anyio.move_on_after(10):
        await wait(run)
    raise TimeoutError


async def _wait_for(run: StepRun, wait: Wait) -> None:
    async def waits() -> object:
        return await wait(run)

    await asyncio.wait_for(waits(), 10)


@contextlib.asynccontextmanager
async def _limited() -> AsyncIterator[None]:
    async with asyncio.timeout(10):
        yield


async def _async_generator(run: StepRun, wait: Wait) -> None:
    async with _limited():
        await wait(run)


async def _within_an_async_generator(run: StepRun, wait: Wait) -> None:
    async def generates() -> AsyncIterator[object]:
        async with asyncio.timeout(10):
            yield await wait(run)

    async for _ in generates():
        pass


async def _within_anext(run: StepRun, wait: Wait) -> None:
    async def generates() -> AsyncGenerator[object, None]:
        with anyio.fail_after(10):
            yield await wait(run)

    async with contextlib.aclosing(generates()) as generator:
        await anext(generator, None)


async def _within_an_awaitable(run: StepRun, wait: Wait) -> None:
    async def limited(run: StepRun) -> None:
        async with asyncio.timeout(10):
            await wait(run)

    await _Awaitable(limited, run)


async def _exit_stack(run: StepRun, wait: Wait) -> None:
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(_limited())
        await wait(run)


async def _sync_exit_stack(run: StepRun, wait: Wait) -> None:
    with contextlib.ExitStack() as stack:
        stack.enter_context(anyio.fail_after(10))
        await wait(run)


TIMEOUTS = (
    _asyncio_timeout,
    _anyio_timeout,
    _anyio_scope,
    _wait_for,
    _async_generator,
    _within_an_async_generator,
    _within_anext,
    _within_an_awaitable,
    _exit_stack,
    _sync_exit_stack,
)


@pytest.mark.parametrize("wait", [_plainly, _by_gather, _by_asyncio_group, _by_wait])
@pytest.mark.parametrize("timeout", TIMEOUTS)
def test_a_wait_that_has_a_timeout_is_left_to_it(timeout: Any, wait: Wait) -> None:
    """What is done then may send what others wait for."""

    async def works(run: StepRun) -> str:
        try:
            await timeout(run, wait)
        except TimeoutError:
            await run.signal("other")
        return "gone on"

    async def waits(run: StepRun) -> Signal:
        return await run.wait_signal("other")

    went_on, signal = run_virtually(at_the_end(works, waits))
    assert went_on == "gone on"
    assert isinstance(signal, Signal)


def test_waits_end_one_signal_at_a_time_that_which_was_waited_for_first() -> None:
    """What waited sends, at its end, what the third waits for; the second ends next."""
    ended: list[str] = []

    def waiting_for(name: str, *, then: str | None = None) -> Callable[[StepRun], Awaitable[None]]:
        async def works(run: StepRun) -> None:
            try:
                await run.wait_signal(name)
            except RunClosedError:
                ended.append(name)
                if then:
                    await run.signal(then)
            else:
                ended.append(f"{name} came")

        return works

    works = [waiting_for("z", then="m"), waiting_for("a"), waiting_for("m"), waiting_for("b")]
    run_virtually(at_the_end(*works))
    assert ended == ["z", "m came", "a", "b"]


def test_a_wait_that_was_cancelled_leaves_its_place_in_the_order() -> None:
    ended: list[str] = []

    async def main() -> None:
        async def waits(name: str) -> None:
            with pytest.raises(RunClosedError):
                await run.wait_signal(name)
            ended.append(name)

        async with run_over(MemoryStore()) as run:
            with anyio.move_on_after(1):
                await waits("first")
            tasks = [asyncio.create_task(waits("second"))]
            await anyio.sleep(1)
            tasks.append(asyncio.create_task(waits("first")))
            await anyio.sleep(1)
        await asyncio.gather(*tasks)

    run_virtually(main())
    assert ended == ["second", "first"]
