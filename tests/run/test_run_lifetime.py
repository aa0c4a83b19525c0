"""When a run takes work, and what it is made with."""

import asyncio
from pathlib import Path
from typing import Any

import anyio
import anyio.from_thread
import pytest
from run_support import noop, story

from asyncsteps import (
    DirectoryStore,
    Group,
    Marker,
    MemoryStore,
    RunClosedError,
    SelectorError,
    Step,
    StepDefinitionError,
    StepOutcome,
    StepRun,
    WorkflowIdError,
    open_store,
)


async def test_lifetimes_refuse_what_is_outside_them() -> None:
    async with MemoryStore() as store:
        run = StepRun(store, workflow_id="w")
        with pytest.raises(RunClosedError, match="not entered"):
            await run.submit(noop)
        async with run:
            with pytest.raises(RunClosedError, match="entered once"):
                await run.__aenter__()
        for use in (run.submit(noop), run.signal("s"), run.wait_signal("s"), run.refresh(), run.plan([])):
            with pytest.raises(RunClosedError, match="has ended"):
                await use
        with pytest.raises(RunClosedError):
            run.record_marker("m")


async def test_leaving_waits_for_what_other_tasks_have_under_way() -> None:
    gate = anyio.Event()
    store = MemoryStore()
    async with store, anyio.create_task_group() as tasks:
        async with StepRun(store, workflow_id="w") as run:
            tasks.start_soon(run.submit, Step("a", gate.wait))
            await anyio.wait_all_tasks_blocked()
            assert run.under_way == ("a",)
            tasks.start_soon(_open_when_idle, gate)
        assert story(run)[-1] == ("a", "completed")


async def _open_when_idle(gate: anyio.Event) -> None:
    await anyio.wait_all_tasks_blocked()
    gate.set()


async def test_a_run_that_ended_by_an_error_marks_nothing_more() -> None:
    gate = anyio.Event()
    errors: list[BaseException] = []
    store = MemoryStore()

    async def submit(run: StepRun) -> None:
        try:
            await run.submit(Step("a", gate.wait))
        except RunClosedError as error:
            errors.append(error)

    async with store, anyio.create_task_group() as tasks:
        run = StepRun(store, workflow_id="w")
        with pytest.raises(KeyError):  # noqa: PT012 - the error ends the block
            async with run:
                tasks.start_soon(submit, run)
                await anyio.wait_all_tasks_blocked()
                raise KeyError
        gate.set()
    assert len(errors) == 1
    assert store.records == {}


async def test_bad_arguments_are_refused_at_once() -> None:
    async with MemoryStore() as store:
        for bad_id in ("", None, 5):
            with pytest.raises(WorkflowIdError):
                StepRun(store, workflow_id=bad_id)  # type: ignore[arg-type] # that is the point
        for bad in (0, True, 1.5):
            with pytest.raises(StepDefinitionError, match="max_parallel"):
                StepRun(store, workflow_id="w", max_parallel=bad)  # type: ignore[arg-type] # that is the point
        for bad_selector in ("a.", 5, {"a": 5}):
            with pytest.raises(SelectorError):
                StepRun(store, workflow_id="w", force=bad_selector)  # type: ignore[arg-type] # that is the point

        async def on_marker(marker: Marker) -> None: ...

        for bad_callback in (on_marker, 5, [5]):
            with pytest.raises(StepDefinitionError, match="on_marker"):
                StepRun(store, workflow_id="w", on_marker=bad_callback)  # type: ignore[arg-type] # likewise
        with pytest.raises(StepDefinitionError, match="mark_timeout=0"):
            StepRun(store, workflow_id="w", mark_timeout=0)
        with pytest.raises(StepDefinitionError, match="retry=-1"):
            StepRun(store, workflow_id="w", step_activity_params={"retry": -1})
        async with StepRun(store, workflow_id="w") as run:
            given: tuple[Any, ...]
            for given in ((Step("a", noop), 1), (5, 1)):
                with pytest.raises(StepDefinitionError, match="takes no arguments"):
                    await run.submit(*given)
    with pytest.raises(StepDefinitionError, match="enter it first"):
        StepRun("memory:", workflow_id="w")  # type: ignore[arg-type] # that is the point


async def test_a_store_may_be_given_when_it_is_first_needed(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        opened: list[DirectoryStore] = []

        async def give() -> Any:
            opened.append(store)  # type: ignore[arg-type] # it is one
            return store

        async with StepRun(give, workflow_id="w") as run:
            await run.submit(noop)
            await run.refresh()
            assert opened == []
            await run.submit(Group(*(Step(f"s.{n}", noop) for n in range(5))))
        assert opened == [store]


async def test_an_opening_that_is_cancelled_is_begun_again_by_another() -> None:
    store = MemoryStore()
    attempts: list[str] = []

    async def give() -> MemoryStore:
        attempts.append("begun")
        if len(attempts) == 1:
            await anyio.sleep_forever()
        return store

    async with store, StepRun(give, workflow_id="w") as run:
        first = asyncio.create_task(run.submit(Step("a", noop)))
        await anyio.wait_all_tasks_blocked()
        second = asyncio.create_task(run.submit(Step("b", noop)))
        await anyio.wait_all_tasks_blocked()
        assert attempts == ["begun"]
        first.cancel()
        assert (await second).status == "completed"
        assert first.cancelled()


async def test_runs_within_runs_yield_each_others_slots() -> None:
    async with (
        MemoryStore() as store,
        StepRun(store, workflow_id="outer", max_parallel=1) as outer,
        StepRun(store, workflow_id="inner", max_parallel=1) as inner,
    ):

        async def back() -> None:
            await outer.submit(Step("third", noop))

        async def there() -> None:
            await inner.submit(Step("second", back))

        with anyio.fail_after(10):
            await outer.submit(Step("first", there))
        assert sorted(store.records) == ["first", "second", "third"]


async def test_a_task_that_outlives_the_step_it_was_started_in_may_submit_that_step_again() -> None:
    gate, again = anyio.Event(), anyio.Event()
    outcomes: list[StepOutcome] = []
    async with MemoryStore() as store, anyio.create_task_group() as tasks, StepRun(store, workflow_id="w") as run:

        async def later() -> None:
            await again.wait()
            outcomes.append(await run.submit(Step("a", noop)))

        async def starts() -> None:
            tasks.start_soon(later)

        await run.submit(Step("a", starts))
        tasks.start_soon(run.submit, Step("a", gate.wait, force=True))
        await anyio.wait_all_tasks_blocked()
        again.set()
        await anyio.wait_all_tasks_blocked()
        gate.set()
    assert [outcome.status for outcome in outcomes] == ["skipped"]
