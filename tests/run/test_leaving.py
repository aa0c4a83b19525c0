"""Leaving the block of a run: nothing is left over, whatever ends it, and nobody waits for ever."""

import asyncio
import itertools
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from run_support import GatedStore, noop, run_over, story

from asyncsteps import (
    Chain,
    Group,
    MemoryStore,
    RunClosedError,
    Step,
    StepDefinitionError,
    StepRun,
    StoreError,
    WaitForSignal,
    activity,
)
from asyncsteps._run.done_marks import finish
from asyncsteps._tasks.signals import MarkerTask
from asyncsteps.testing import run_virtually


async def test_leaving_by_an_exception_cancels_and_awaits_what_other_tasks_have_under_way() -> None:
    events: list[str] = []
    raised: list[BaseException] = []

    async def work() -> None:
        events.append("begun")
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(0.01)
            events.append("cleaned up")

    async def submit(run: StepRun, item: Any) -> None:
        try:
            await run.submit(item)
        except RunClosedError as error:
            raised.append(error)

    store = GatedStore()
    async with store, anyio.create_task_group() as tasks:
        run = StepRun(store, workflow_id="w", max_parallel=2)
        with pytest.raises(KeyError):  # noqa: PT012 - the error ends the block
            async with run:
                for item in (Step("a", work), Group(work, work), WaitForSignal("never")):
                    tasks.start_soon(submit, run, item)
                await anyio.wait_all_tasks_blocked()
                raise KeyError
        assert events == ["begun"] * 2 + ["cleaned up"] * 2
        assert story(run)[-1] == ("a", "cancelled")
    assert len(raised) == 3
    assert "left by an exception" in str(raised[0])
    assert store.done == []


async def test_what_the_task_that_entered_the_run_has_under_way_is_cancelled_when_another_task_leaves_it() -> None:
    raised: list[BaseException] = []
    events: list[str] = []
    ended = asyncio.Event()

    async def work() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            await asyncio.sleep(0)
            events.append("cleaned up")

    async def nested() -> None:
        await run.submit(Step("inner", work))

    async def enter_and_submit() -> None:
        await run.__aenter__()
        try:
            await run.submit(Step("outer", nested))
        except RunClosedError as error:
            raised.append(error)
        await asyncio.wait_for(ended.wait(), 10)  # nothing is left of the cancellation

    async with MemoryStore() as store:
        run = StepRun(store, workflow_id="w")
        entered = asyncio.create_task(enter_and_submit())
        await anyio.wait_all_tasks_blocked()
        await run.__aexit__(KeyError, KeyError(), None)
        assert events == ["cleaned up"]
        assert story(run)[-2:] == [("inner", "cancelled"), ("outer", "cancelled")]
        ended.set()
        await entered
        assert len(raised) == 1
        assert entered.cancelling() == 0


async def test_leaving_by_an_exception_finishes_a_mark_that_has_begun() -> None:
    store = GatedStore()
    store.marking.shut()
    async with store, anyio.create_task_group() as tasks:
        run = StepRun(store, workflow_id="w")

        async def submit() -> None:
            with pytest.raises(RunClosedError):
                await run.submit(Step("a", noop))

        with pytest.raises(KeyError):  # noqa: PT012 - the error ends the block
            async with run:
                tasks.start_soon(submit)
                await store.marking.arrived.wait()
                asyncio.get_running_loop().call_later(0.01, store.marking.open)
                raise KeyError
        assert store.done == ["a"]
        assert story(run)[-1] == ("a", "completed")


async def test_a_cancellation_while_the_block_waits_leaves_nothing_over() -> None:
    store = GatedStore()
    ended = anyio.Event()

    async def work() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            ended.set()

    async def hold(run: StepRun) -> None:
        with pytest.raises(RunClosedError):
            await run.submit(Step("a", work))

    async with anyio.create_task_group() as tasks:

        async def block() -> None:
            async with run_over(store) as run:
                tasks.start_soon(hold, run)
                await anyio.wait_all_tasks_blocked()

        task = asyncio.ensure_future(block())
        await anyio.wait_all_tasks_blocked()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert ended.is_set()


async def test_the_end_of_the_block_ends_waits_that_nobody_answers(caplog: pytest.LogCaptureFixture) -> None:
    raised: list[str] = []

    async def submit(run: StepRun, item: Any) -> None:
        try:
            await run.submit(item)
        except RunClosedError as error:
            raised.append(str(error))

    async def inside(run: StepRun) -> None:
        await run.wait_signal("inside")

    store = GatedStore()
    async with anyio.create_task_group() as tasks, run_over(store) as run:
        tasks.start_soon(submit, run, WaitForSignal("plain"))
        tasks.start_soon(submit, run, Group(Chain(WaitForSignal("grouped"), noop), (anyio.sleep, 0.05)))
        tasks.start_soon(submit, run, Step("held", Chain(WaitForSignal("held"), noop)))
        tasks.start_soon(submit, run, Step("held", noop))
        tasks.start_soon(submit, run, (inside, run))
        await anyio.wait_all_tasks_blocked()
    for name in ("plain", "grouped", "inside"):
        assert any(f"nothing has sent the signal '{name}'" in text for text in raised), name
    for name in ("plain", "grouped", "inside", "held"):
        assert f"nothing has sent the signal '{name}'" in caplog.text
    # The step that waited fails, and the second submission of its name is played.
    assert [status for _, status in story(run)] == ["scheduled", "failed", "scheduled", "completed"]


def test_a_signal_that_is_still_to_come_is_waited_for_at_the_end() -> None:
    async def main() -> list[tuple[str, str]]:
        async def sends(run: StepRun) -> None:
            await anyio.sleep(10)
            await run.signal("late")

        async with anyio.create_task_group() as tasks, run_over(MemoryStore()) as run:
            tasks.start_soon(run.submit, Step("waits", Chain(WaitForSignal("late"), noop)))
            tasks.start_soon(run.submit, Group((sends, run), Step("waits", noop)))
            await anyio.sleep(1)
        return story(run)

    assert run_virtually(main())[:2] == [("waits", "scheduled"), ("waits", "completed")]


def test_a_mark_that_overruns_its_time_is_waited_for_once_and_leaves_nothing() -> None:
    async def main() -> tuple[float, str, int]:
        async def stubborn() -> None:
            await anyio.sleep_forever()

        task = asyncio.ensure_future(finish(stubborn(), timeout=7))
        await asyncio.sleep(1)
        task.cancel()
        finished = await task
        assert isinstance(finished.error, StoreError)
        assert finished.cancelled is not None
        now = asyncio.get_running_loop().time()
        return now, str(finished.error), len(asyncio.all_tasks())

    now, told, tasks = run_virtually(main())
    assert (now, tasks) == (8, 1)
    assert "after 7 s, cut short by a cancellation" in told


async def test_a_mark_whose_task_is_cancelled_before_it_begins_is_not_waited_for() -> None:
    begun: list[str] = []

    async def work() -> None:
        begun.append("work")

    others = asyncio.all_tasks()
    finishing = asyncio.create_task(finish(work(), timeout=30))
    while not (made := asyncio.all_tasks() - others - {finishing}):
        await asyncio.sleep(0)
        if finishing.done():
            break
    for task in made:
        task.cancel()
    finished = await asyncio.wait_for(finishing, 10)
    assert not begun
    assert finished.cancelled is None
    assert str(finished.error) == "not known to be stored cancelled from within"


@pytest.mark.parametrize("kind", ["missing", "fifo", "directory"])
async def test_a_markers_file_that_cannot_be_opened_leaves_no_open_run(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "missing" / "markers" if kind == "missing" else tmp_path / "markers"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "directory":
        path.mkdir()
    run = StepRun(MemoryStore(), workflow_id="w", markers_file=path)
    with pytest.raises((OSError, StepDefinitionError), match="markers"):
        await run.__aenter__()
    with pytest.raises(RunClosedError, match="has ended"):
        await run.submit(noop)
    with pytest.raises(RunClosedError):
        run.record_marker("m")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is full")
async def test_a_full_disk_ends_the_markers_file_and_not_the_run(caplog: pytest.LogCaptureFixture) -> None:
    async with run_over(MemoryStore(), markers_file="/dev/full") as run:
        assert (await run.submit(Step("a", noop))).status == "completed"
    assert caplog.text.count("no more markers are written to /dev/full") == 1


async def test_a_line_that_is_cut_short_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "markers"
    async with run_over(MemoryStore(), markers_file=path) as run:
        await run.submit(Step("a", noop))
        whole = path.read_bytes()
        log: Any = run._parts.markers
        real = log._file

        class Full:
            def write(self, data: bytes) -> int:
                return int(real.write(data[:7]))

            def __getattr__(self, name: str) -> Any:
                return getattr(real, name)

        monkeypatch.setattr(log, "_file", Full())
        await run.submit(Step("b", noop))
    assert path.read_bytes() == whole


async def test_the_markers_of_a_run_are_a_copy() -> None:
    async with run_over(MemoryStore()) as run:
        run.record_marker("m")
        run.markers.clear()
        run.failures.append(ValueError())
        assert len(run.markers) == 1
        assert run.failures == []


def test_a_run_is_refused_on_another_loop() -> None:
    refused: list[str] = []

    async def elsewhere(run: StepRun) -> None:
        for use in (run.submit(noop), run.refresh(), run.plan([]), run.signal("s")):
            with pytest.raises(RunClosedError) as caught:
                await use
            refused.append(str(caught.value))

    async def main() -> None:
        async with run_over(MemoryStore()) as run:
            thread = threading.Thread(target=lambda: asyncio.run(elsewhere(run)))
            thread.start()
            await anyio.to_thread.run_sync(thread.join)

    asyncio.run(main())
    assert len(refused) == 4
    assert all("another event loop" in text for text in refused)


class TickingLoop(asyncio.SelectorEventLoop):
    """A tenth of a millisecond passes each time that somebody asks for the time, and none otherwise."""

    ticks = 0

    def time(self) -> float:
        self.ticks += 1
        return self.ticks / 10_000


@pytest.mark.parametrize("container", [Chain, Group])
@pytest.mark.parametrize("kind", ["skipped", "activities", "markers"])
def test_what_does_not_wait_lets_other_tasks_have_turns(container: type[Group], kind: str) -> None:
    names = [f"s.{number}" for number in range(1_000)]
    members: dict[str, Callable[[str], Any]] = {
        "skipped": lambda name: Step(name, noop),
        "activities": lambda _: noop,
        "markers": lambda name: MarkerTask(name, {}),
    }
    turns: list[float] = []

    async def count() -> None:
        while True:
            turns.append(asyncio.get_running_loop().time())
            await asyncio.sleep(0)

    async def main() -> None:
        async with run_over(MemoryStore({name: {} for name in names})) as run:
            await run.submit(Step(names[0], noop))
            counting = asyncio.ensure_future(count())
            played = container(*map(members[kind], names))
            played.max_parallel = 20
            await run.submit(played)
            counting.cancel()

    with asyncio.Runner(loop_factory=TickingLoop) as runner:
        runner.run(main())
    gaps = [after - before for before, after in itertools.pairwise(turns)]
    assert len(turns) > 10
    assert max(gaps) < 0.010


@pytest.mark.parametrize("wrap", [lambda function: function, activity])
async def test_what_returns_code_that_has_not_run_is_a_failure(wrap: Any) -> None:
    def generator() -> Any:
        yield 1

    async def coroutine() -> None:
        raise AssertionError("nobody awaits it")

    async def asynchronous() -> Any:
        yield 1

    async def gives_coroutine() -> Any:
        return coroutine()

    def gives_generator() -> Any:
        return generator()

    async def gives_async_generator() -> Any:
        return asynchronous()

    store = GatedStore()
    async with run_over(store) as run:
        for given in (gives_coroutine, gives_generator, gives_async_generator):
            outcome = await run.submit(Step("a", wrap(given)))
            assert isinstance(outcome.error, StepDefinitionError), given
            assert "whose code has not run" in str(outcome.error)
    assert store.done == []


async def test_a_wait_that_the_end_of_the_block_ends_is_not_tried_again() -> None:
    attempts: list[int] = []

    @activity(retry=10, retry_wait=30)
    async def waits(run: StepRun) -> None:
        attempts.append(1)
        await run.wait_signal("never")

    async def submit(run: StepRun) -> None:
        with pytest.raises(RunClosedError):
            await run.submit(waits(run))

    async with anyio.create_task_group() as tasks, run_over(MemoryStore()) as run:
        tasks.start_soon(submit, run)
        await anyio.wait_all_tasks_blocked()
    assert attempts == [1]


def test_a_signal_that_is_sent_after_a_submission_is_not_missed() -> None:
    """However long the event loop has been held by then."""

    async def main() -> None:
        got: list[str] = []

        async def waits(run: StepRun) -> None:
            got.append((await run.wait_signal("go")).name)

        async def sends(run: StepRun) -> None:
            await run.submit(noop)
            await run.signal("go")

        async with anyio.create_task_group() as tasks, run_over(MemoryStore()) as run:
            tasks.start_soon(waits, run)
            tasks.start_soon(sends, run)
            await asyncio.sleep(0)
        assert got == ["go"]

    class SlowLoop(TickingLoop):
        def time(self) -> float:
            return super().time() * 100

    with asyncio.Runner(loop_factory=SlowLoop) as runner:
        runner.run(main())
