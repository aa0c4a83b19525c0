"""Runs in the background: how many at once, one for each workflow id, their states, and how they end."""

import asyncio
import gc
import logging
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any

import anyio
import pytest
from run_support import GatedStore, fails, noop

from asyncsteps import (
    MemoryStore,
    NoCurrentStepError,
    RunClosedError,
    RunExistsError,
    RunNotEndedError,
    Runs,
    RunState,
    SelectorError,
    Status,
    Step,
    StepDefinitionError,
    StepFailedError,
    StepRun,
    StepStore,
    StoreError,
    Workflow,
    WorkflowIdError,
    activity,
    current_step,
)
from asyncsteps.testing import run_virtually


class Nap(Workflow):
    """Sleeps for so long in a step."""

    name = "nap"

    async def run(self, seconds: float = 1, *, result: Any = "slept") -> Any:
        await self.submit(self.step("nap", (asyncio.sleep, seconds)))
        return result


async def nap(run: StepRun, seconds: float, result: Any = "slept") -> Any:
    await run.submit(Step("nap", (asyncio.sleep, seconds)))
    return result


async def raises(run: StepRun) -> None:
    raise ZeroDivisionError(f"in {run.workflow_id}")


async def never(run: StepRun) -> None:
    await run.submit(Step("first", noop))
    await run.submit(Step("ever", (asyncio.sleep, 10_000)))


@asynccontextmanager
async def runs_over(store: MemoryStore | None = None, **options: Any) -> AsyncIterator[Runs]:
    async with store or MemoryStore() as opened, Runs(opened, **options) as runs:
        yield runs


def now() -> float:
    return asyncio.get_running_loop().time()


def test_a_run_is_played_in_the_background() -> None:
    async def main() -> None:
        store = MemoryStore()
        async with runs_over(store) as runs:
            handle = runs.start(Nap, 5, workflow_id="w", params={"result": [1]}, run_id="r")
            assert (handle.workflow_id, handle.run_id, handle.state) == ("w", "r", RunState.RUNNING)
            with pytest.raises(RunNotEndedError):
                handle.result  # noqa: B018 - reading it raises
            await asyncio.sleep(1)
            assert (handle.under_way, handle.queued, handle.counts[Status.SCHEDULED]) == (("nap",), (), 1)
            assert not handle.done
            assert await handle.wait() == "completed"
            assert now() == 5
            assert handle.result == [1]
            assert handle.error is None
            assert handle.started is not None
            assert handle.ended is not None
            assert handle.submitted <= handle.started <= handle.ended
            assert runs.get("r") is runs.of("w") is handle
            assert list(runs) == [handle]
        assert store.records["nap"]["run_id"] == "r"

    run_virtually(main())


def test_a_function_of_a_run_is_a_workflow_too() -> None:
    async def main() -> None:
        async with runs_over() as runs:
            handle = runs.start(nap, 3, workflow_id="w", params={"result": 7})
            await handle.wait()
            assert (handle.result, now()) == (7, 3)

    run_virtually(main())


def test_so_many_run_at_once_and_the_rest_are_queued_in_order() -> None:
    async def main() -> None:
        async with runs_over(max_running=2) as runs:
            handles = [runs.start(nap, 10, workflow_id=f"w{number}", skip="x") for number in range(5)]
            assert [each.state for each in handles] == ["running"] * 2 + ["queued"] * 3
            assert (runs.running, runs.queued) == (tuple(handles[:2]), tuple(handles[2:]))
            await handles[2].wait()
            assert now() == 10  # the same store: the step is done by then
            assert len(runs) == 5

    run_virtually(main())


def test_when_a_run_ends_the_next_in_the_queue_begins() -> None:
    began: list[tuple[str, float]] = []

    async def begins(run: StepRun) -> None:
        began.append((run.workflow_id, now()))
        await asyncio.sleep(10)

    async def main() -> None:
        async with runs_over(max_running=2) as runs:
            for number in range(5):
                runs.start(begins, workflow_id=f"w{number}")

    run_virtually(main())
    assert began == [("w0", 0), ("w1", 0), ("w2", 10), ("w3", 10), ("w4", 20)]


async def test_a_second_run_of_a_workflow_id_is_refused_until_the_first_has_ended() -> None:
    async with runs_over(max_running=1) as runs:
        first, queued = runs.start(never, workflow_id="a"), runs.start(never, workflow_id="b")
        for handle, state in ((first, "running"), (queued, "queued")):
            with pytest.raises(RunExistsError, match=handle.run_id) as raised:
                runs.start(never, workflow_id=handle.workflow_id)
            assert (raised.value.run_id, raised.value.state) == (handle.run_id, state)
        assert first.cancel()
        await first.wait()
        again = runs.start(never, workflow_id="a")
        assert runs.of("a") is again
        await runs.drain(0)


async def test_what_a_run_raises_stays_in_its_handle(caplog: pytest.LogCaptureFixture) -> None:
    async with runs_over() as runs:
        wrong, well = runs.start(raises, workflow_id="wrong"), runs.start(nap, 0, workflow_id="well")
        assert (await wrong.wait(), await well.wait()) == ("failed", "completed")
        with pytest.raises(ZeroDivisionError, match="in wrong"):
            wrong.result  # noqa: B018 - reading it raises
        assert runs.start(nap, 0, workflow_id="wrong").state == "running"
    assert f"run {wrong.run_id} of wrong failed: ZeroDivisionError: in wrong" in caplog.text
    assert "Traceback" in caplog.text


async def test_a_run_with_a_failed_step_has_failed() -> None:
    async def code(run: StepRun) -> int:
        await run.submit(Step("a", fails))
        return 3

    async with runs_over() as runs:
        handle = runs.start(code, workflow_id="w")
        assert await handle.wait() == "failed"
        assert (handle.result, handle.error) == (3, None)
        assert isinstance(handle.failures[0], StepFailedError)
        told = handle.snapshot()
    assert told.failures == ("StepFailedError: step 'a' failed: ValueError: no luck",)
    assert told.counts == {"scheduled": 1, "failed": 1}
    assert told.ended is not None


async def test_a_run_is_cancelled_without_harm_to_the_others() -> None:
    async with runs_over(max_running=2) as runs:
        first, other = runs.start(never, workflow_id="a"), runs.start(nap, 0, workflow_id="b")
        queued = runs.start(never, workflow_id="c")
        assert queued.cancel()
        assert (queued.state, queued.done, queued.started) == ("cancelled", True, None)
        assert first.cancel()
        assert (await first.wait(), await other.wait()) == ("cancelled", "completed")
        assert not first.cancel()
        assert not other.cancel()
        with pytest.raises(asyncio.CancelledError):
            first.result  # noqa: B018 - reading it raises
        assert isinstance(first.error, asyncio.CancelledError)


async def test_a_run_that_is_cancelled_before_it_had_a_turn_ends_too() -> None:
    async with runs_over(max_running=1) as runs:
        first, second = runs.start(never, workflow_id="a"), runs.start(nap, 0, workflow_id="b")
        assert first.cancel()
        assert await first.wait() == "cancelled"
        assert await second.wait() == "completed"


async def test_to_cancel_the_waiting_does_not_cancel_the_run() -> None:
    async with runs_over() as runs:
        handle = runs.start(never, workflow_id="w")
        with anyio.move_on_after(0.01):
            await handle.wait()
        assert handle.state == "running"
        handle.cancel()


def test_leaving_the_block_plays_all_without_a_drain_timeout() -> None:
    async def main() -> None:
        async with runs_over(max_running=1) as runs:
            first = runs.start(nap, 100, workflow_id="a")
            second = runs.start(nap, 100, workflow_id="b")
        assert (first.state, second.state) == ("completed", "completed")
        with pytest.raises(RunClosedError, match="drains"):
            runs.start(nap, 0, workflow_id="c")

    run_virtually(main())


def test_a_drain_timeout_cancels_the_queued_at_once_and_then_the_rest() -> None:
    async def main() -> float:
        async with runs_over(max_running=2, drain_timeout=10) as runs:
            short, long = runs.start(nap, 5, workflow_id="a"), runs.start(never, workflow_id="b")
            queued = runs.start(nap, 0, workflow_id="c")
        assert [each.state for each in (short, long, queued)] == ["completed", "cancelled", "cancelled"]
        assert queued.started is None
        assert len(asyncio.all_tasks()) == 1
        return now()

    assert run_virtually(main()) == 10


def test_a_drain_before_the_end_of_the_block_ends_the_runs() -> None:
    async def main() -> float:
        async with runs_over(drain_timeout=1_000) as runs:
            handle = runs.start(never, workflow_id="a")
            await asyncio.gather(runs.drain(5), runs.drain(2), runs.drain())
            assert handle.state == "cancelled"
        return now()

    assert run_virtually(main()) == 2


def test_a_drain_that_is_cancelled_leaves_the_runs_to_the_block() -> None:
    async def main() -> None:
        async with runs_over() as runs:
            handle = runs.start(nap, 10, workflow_id="a")
            with anyio.move_on_after(1):
                await runs.drain()
            assert handle.state == "running"
        assert (handle.state, now()) == ("completed", 10)

    run_virtually(main())


async def test_a_run_does_not_drain_its_own_block() -> None:
    async with runs_over() as runs:
        handle = runs.start(lambda_of(runs), workflow_id="a")
        assert await handle.wait() == "failed"
        assert isinstance(handle.error, RunClosedError)
        assert runs.start(nap, 0, workflow_id="b").state == "running"


def lambda_of(runs: Runs) -> Any:
    async def code(run: StepRun) -> None:
        await runs.drain()

    return code


async def test_a_run_that_an_activity_starts_is_no_part_of_it() -> None:
    """Its failures are not made good by another attempt at that activity, and its context variables are kept."""
    handles: list[Any] = []
    request: ContextVar[str] = ContextVar("request")
    request.set("r1")

    async def inner(run: StepRun) -> str:
        with pytest.raises(NoCurrentStepError):
            current_step()
        await run.submit(Step("a", fails))
        return request.get()

    async def outer(run: StepRun) -> None:
        @activity(retry=1, retry_wait=0)
        async def starts() -> None:
            if current_step().attempt == 1:
                handles.append(runs.start(inner, workflow_id="inner"))
                await handles[0].wait()
                raise ValueError

        await run.submit(Step("starts", starts))

    async with runs_over() as runs:
        handle = runs.start(outer, workflow_id="outer")
        assert await handle.wait() == "completed"
    assert (handles[0].state, handles[0].result) == ("failed", "r1")
    assert len(handles[0].failures) == 1


@pytest.mark.parametrize("how", ["error", "cancellation"])
async def test_an_exception_of_the_block_cancels_all_and_waits_for_what_is_being_marked(how: str) -> None:
    """The mark that has begun is finished, though the block is cancelled meanwhile again and again."""
    store, handles = GatedStore(), []
    store.marking.shut()

    async def body() -> None:
        async with runs_over(store, max_running=1) as runs:
            handles.append(runs.start(marks, workflow_id="a"))
            handles.append(runs.start(never, workflow_id="b"))
            await store.marking.arrived.wait()
            if how == "error":
                raise ZeroDivisionError
            await asyncio.sleep(10_000)

    async def marks(run: StepRun) -> None:
        await run.submit(Step("a", noop))

    task = asyncio.create_task(body())
    await store.marking.arrived.wait()
    for _ in range(3):
        if how == "cancellation":
            task.cancel()
        await asyncio.sleep(0.01)
        assert not task.done()
    store.marking.open()
    with pytest.raises(ZeroDivisionError if how == "error" else asyncio.CancelledError):
        await task
    assert [each.state for each in handles] == ["cancelled", "cancelled"]
    assert store.done == ["a"]


async def test_each_run_may_have_a_store_of_its_own_which_is_closed_with_it() -> None:
    opened: list[str] = []

    @asynccontextmanager
    async def of(workflow_id: str) -> AsyncIterator[StepStore]:
        opened.append(f"open {workflow_id}")
        async with MemoryStore() as store:
            yield store
        opened.append(f"close {workflow_id}")

    async with Runs(of, max_running=1) as runs:
        handles = [runs.start(nap, 0, workflow_id=name) for name in ("a", "b")]
        await handles[1].wait()
    assert opened == ["open a", "close a", "open b", "close b"]


async def test_a_store_that_cannot_be_opened_fails_the_run_alone() -> None:
    @asynccontextmanager
    async def of(workflow_id: str) -> AsyncIterator[StepStore]:
        raise StoreError(f"no store for {workflow_id}")
        yield MemoryStore()

    async with Runs(of) as runs:
        handle = runs.start(nap, 0, workflow_id="a")
        assert await handle.wait() == "failed"
    assert isinstance(handle.error, StoreError)


async def test_without_a_store_the_hooks_of_the_workflow_name_one() -> None:
    class Hooked(Nap):
        def open_step_store(self, *, endpoint_url: str | None = None) -> Any:
            return MemoryStore()

    async with Runs() as runs:
        handle = runs.start(Hooked, 0, workflow_id="w")
        assert await handle.wait() == "completed"
        without = runs.start(nap, 0, workflow_id="w")
        assert await without.wait() == "failed"
    assert "names no store: give Runs one" in str(without.error)


async def test_options_are_for_all_runs_and_those_of_one_go_before() -> None:
    heard: list[tuple[int, str]] = []
    options: dict[str, Any] = {"on_event": lambda event: heard.append((1, event.kind)), "force": "nap"}
    async with runs_over(**options) as runs:
        first = runs.start(nap, 0, workflow_id="w")
        await first.wait()
        second = runs.start(nap, 0, workflow_id="w", on_event=[lambda event: heard.append((2, event.kind))])
        await second.wait()
        third = runs.start(nap, 0, workflow_id="w", force=())
        await third.wait()
        assert [each.counts.get(Status.COMPLETED) for each in (first, second, third)] == [1, 1, None]
    kinds = [kind for number, kind in heard if number == 2]
    assert kinds[0] == "run.started"
    assert len([kind for number, kind in heard if number == 1]) > 2 * len(kinds)


async def test_options_that_can_be_iterated_over_once_count() -> None:
    heard: list[str] = []

    def note(event: Any) -> None:
        heard.append(event.kind)

    async with runs_over(force=iter(["nap"]), on_event=iter([note])) as runs:
        once: dict[str, Any] = {"force": iter(["nap"]), "on_event": iter([note])}
        options: dict[str, Any]
        for options in ({}, {}, once):
            handle = runs.start(nap, 0, workflow_id="w", **options)
            await handle.wait()
            assert handle.counts[Status.COMPLETED] == 1
    assert heard.count("run.ended") == 4


async def test_a_block_is_of_one_event_loop() -> None:
    async with runs_over() as runs:

        async def elsewhere() -> None:
            with pytest.raises(RunClosedError, match="another event loop"):
                runs.start(nap, 0, workflow_id="w")
            with pytest.raises(RunClosedError, match="another event loop"):
                await runs.drain()

        await asyncio.to_thread(asyncio.run, elsewhere())
        with pytest.raises(RunClosedError, match="another event loop"):
            await asyncio.to_thread(runs.start, nap, 0, workflow_id="w")
        assert await runs.start(nap, 0, workflow_id="w").wait() == "completed"


async def test_of_a_run_that_has_failed_no_more_is_kept_than_of_others(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "asyncsteps")  # what it captures has the traces
    runs_of: list[weakref.ref[StepRun]] = []

    async def code(run: StepRun, raised: Exception | None) -> None:
        runs_of.append(weakref.ref(run))
        await run.submit(Step("a", fails))
        if raised is not None:
            raise raised

    async with runs_over() as runs:
        group = ExceptionGroup("several", [ValueError("no luck")])
        for number, raised in enumerate((None, ZeroDivisionError(), group)):
            await runs.start(code, raised, workflow_id=f"{number}").wait()
        gc.collect()
        assert [run() for run in runs_of] == [None, None, None]
        assert [len(handle.failures) for handle in runs] == [1, 1, 1]


async def test_so_many_that_have_ended_are_kept() -> None:
    async with runs_over(keep=2) as runs:
        under_way = runs.start(never, workflow_id="w")
        handles = [runs.start(nap, 0, workflow_id=f"{number}") for number in range(4)]
        for handle in handles:
            await handle.wait()
        assert list(runs) == [under_way, *handles[2:]]
        assert runs.get(handles[0].run_id) is None
        assert handles[0].result == "slept"
        under_way.cancel()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"max_running": 0}, "max_running=0"),
        ({"keep": -1}, "keep=-1"),
        ({"history": True}, "history=True"),
        ({"drain_timeout": -1}, "-1 is no timeout"),
        ({"run_id": "r"}, "run_id is refused"),
        ({"max_parallel": 0}, "max_parallel=0"),
        ({"store": 3}, "3 is no store"),
    ],
)
def test_an_argument_that_cannot_be_used_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(StepDefinitionError, match=said):
        Runs(options.pop("store", MemoryStore()), **options)


async def test_what_cannot_be_started_is_refused_at_once() -> None:
    runs = Runs(MemoryStore())
    with pytest.raises(RunClosedError, match="async with Runs"):
        runs.start(nap, workflow_id="w")
    async with runs_over() as runs:
        for wrong in (noop(), print, int, Workflow, "nap"):
            with pytest.raises(StepDefinitionError, match="cannot be started"):
                runs.start(wrong, workflow_id="w")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
            if asyncio.iscoroutine(wrong):
                wrong.close()
        with pytest.raises(WorkflowIdError):
            runs.start(nap, workflow_id="")
        with pytest.raises(SelectorError):
            runs.start(nap, workflow_id="w", force="a.")
        handle = runs.start(nap, 0, workflow_id="w", run_id="r")
        with pytest.raises(StepDefinitionError, match="another run has it"):
            runs.start(nap, 0, workflow_id="v", run_id="r")
        await handle.wait()
    with pytest.raises(RunClosedError, match="entered once"):
        await runs.__aenter__()
