"""A store that fails: always a `StoreError` for the caller, whatever bubbles; and no mark is lost to a race."""

import asyncio
import traceback
from collections.abc import Mapping
from typing import Any

import anyio
import pytest
from botocore.config import Config
from run_support import GatedStore, details, noop, run_over, story
from servers import FaultProxy

from asyncsteps import (
    AccessDeniedError,
    BucketNotFoundError,
    Chain,
    EndpointUnreachableError,
    Group,
    MemoryStore,
    Step,
    StepFailedError,
    StepOutcome,
    StepRun,
    StoreError,
    open_store,
)
from asyncsteps.store._protocol import DonePage


@pytest.mark.parametrize("method", ["done_page", "mark_done", "withdraw", "read_done"])
async def test_a_store_failure_reaches_the_caller(method: str) -> None:
    store = GatedStore(["a", "r"])
    store.fail.add(method)
    async with run_over(store) as run:
        step = Step("r", noop, save_result=True) if method == "read_done" else Step("a", noop, force=True)
        for submittable in (step, Chain(step, Step("z", noop), break_on_failure=False), Group(step)):
            with pytest.raises(StoreError, match=f"{method} fails"):
                await run.submit(submittable)
        assert ("z", "scheduled") not in story(run)
        last = details(run, step.step_name)[-1]
        assert (last["status"], last["error"]) == ("failed", f"StoreError: {method} fails")
        failures = [error for error in run.failures if isinstance(error, StepFailedError)]
        assert len(failures) == len(run.failures) == 3
        assert all(isinstance(error.__cause__, StoreError) for error in failures)
        assert {error.step for error in failures} == {step.step_name}
        store.fail.clear()
        outcome = await run.submit(step)
        assert outcome.status == ("skipped" if method == "read_done" else "completed")


async def test_siblings_of_a_store_failure_finish() -> None:
    store = GatedStore()
    store.fail.add("mark_done")
    played: list[int] = []
    async with run_over(store) as run:
        with pytest.raises(StoreError) as caught:
            await run.submit(Group(*(Step(f"s.{n}", (played.append, n)) for n in range(3))))
        assert sorted(played) == [0, 1, 2]
        assert caught.value.__notes__ == ["2 more of the 3 members of a group failed beside this"]
        assert len(run.failures) == 3


async def test_a_store_failure_within_a_steps_activities_goes_through_that_step() -> None:
    store = GatedStore()
    store.fail.add("mark_done")
    async with run_over(store) as run:
        with pytest.raises(StoreError):
            await run.submit(Step("outer", Group(Step("inner", noop))))
        assert [entry for entry in story(run) if entry[1] == "failed"] == [
            ("inner", "failed"),
            ("outer", "failed"),
        ]


async def test_a_store_error_that_an_activity_raises_is_the_activitys() -> None:
    async def uses_a_store() -> None:
        raise StoreError("another store")

    async with run_over(MemoryStore()) as run:
        outcome = await run.submit(Step("a", uses_a_store))
        assert isinstance(outcome, StepOutcome)
        assert isinstance(outcome.error, StoreError)


@pytest.mark.parametrize(("error", "asked"), [(StoreError, 3), (AccessDeniedError, 1), (BucketNotFoundError, 1)])
async def test_what_trying_again_cannot_help_is_tried_once(error: type[StoreError], asked: int) -> None:
    store = GatedStore()
    store.fail.add("done_page")
    store.error = error
    async with run_over(store, step_activity_params={"retry": 2}) as run:
        with pytest.raises(error):
            await run.submit(Step("a", noop))
    assert store.calls == ["done_page"] * asked


async def test_retry_and_timeouts_of_the_step_activities_apply() -> None:
    store = GatedStore()
    store.fail.add("mark_done")
    async with run_over(store, step_activity_params={"retry": 2, "task_list": "elsewhere"}) as run:
        with pytest.raises(StoreError, match="mark_done fails"):
            await run.submit(Step("a", noop))
        assert store.calls.count("mark_done") == 3
    store = GatedStore()
    store.marking.shut()
    async with run_over(store, step_activity_params=lambda: {"start_to_close_timeout": 0.5}) as run:
        with pytest.raises(EndpointUnreachableError, match="marking a step as done overran its start_to_close"):
            await run.submit(Step("a", noop))


async def test_a_store_that_cancels_itself_is_a_failure_of_the_store() -> None:
    class Cancels(GatedStore):
        async def mark_done(self, name: str, record: Mapping[str, Any], *, first_wins: bool = False) -> bool:
            raise asyncio.CancelledError

    async with run_over(Cancels()) as run:
        with pytest.raises(StoreError, match="cancelled from within"):
            await run.submit(Step("a", noop))


async def test_withdrawals_of_one_name_by_two_steps_do_not_part() -> None:
    store = GatedStore(["x"])
    store.withdrawing.shut()
    async with run_over(store) as run, anyio.create_task_group() as tasks:
        for name in "ab":
            tasks.start_soon(run.submit, Step(name, noop, force_steps_if_executed="x"))
        await anyio.wait_all_tasks_blocked()
        assert store.calls.count("withdraw") == 2
        store.withdrawing.open()
    assert store.done == ["a", "b"]


async def test_a_mark_is_not_lost_to_a_withdrawal_that_was_under_way() -> None:
    """A's withdrawal of B is on its way while B is submitted, plays and marks."""
    store = GatedStore(["b"])
    store.withdrawing.shut()
    played: list[str] = []
    async with run_over(store) as run, anyio.create_task_group() as tasks:
        tasks.start_soon(run.submit, Step("a", (played.append, "a"), force_steps_if_executed="b"))
        await store.withdrawing.arrived.wait()
        tasks.start_soon(run.submit, Step("b", (played.append, "b")))
        await anyio.wait_all_tasks_blocked()
        assert played == []
        store.withdrawing.open()
    assert sorted(played) == ["a", "b"]
    assert store.done == ["a", "b"]


async def test_what_is_playing_is_not_withdrawn() -> None:
    gate = anyio.Event()
    store = GatedStore()
    async with run_over(store) as run, anyio.create_task_group() as tasks:
        tasks.start_soon(run.submit, Step("b", gate.wait))
        await anyio.wait_all_tasks_blocked()
        await run.submit(Step("a", noop, force_steps_if_executed="*"))
        gate.set()
    assert store.done == ["a", "b"]


async def test_an_endpoint_that_goes_away_is_told_as_such(fault_proxy: FaultProxy, bucket: str) -> None:
    async with (
        open_store(f"s3://{bucket}/steps", endpoint_url=fault_proxy.endpoint) as store,
        StepRun(store, workflow_id="w") as run,
    ):
        assert (await run.submit(Step("a", noop))).status == "completed"
        assert await store.list_done() == ["a"]
    once = Config(retries={"total_max_attempts": 1})
    async with (
        open_store(f"s3://{bucket}/steps", endpoint_url="http://127.0.0.1:1", config=once) as store,
        StepRun(store, workflow_id="w") as run,
    ):
        with pytest.raises(EndpointUnreachableError):
            await run.submit(Step("a", noop))


async def test_a_forced_dependent_that_never_withdrew_its_mark_is_withdrawn_by_what_it_depends_on() -> None:
    """B, forced, is cancelled before its own withdrawal, while A, which it depends on, plays."""

    class Stalls(GatedStore):
        async def done_page(self, start_after: str = "") -> DonePage:
            if start_after > "bz":
                await anyio.sleep_forever()
            page = await super().done_page(start_after)
            return DonePage(page.names, "bz")

    store = Stalls(["b"])
    async with run_over(store, force=["b"]) as run:
        await run.plan([Step("a", noop), Step("b", noop)])  # what is known needs no page that stalls
        step = Step("b", noop, force_steps_if_executed=["c"])
        withdraws_late = asyncio.create_task(run.submit(step))
        await anyio.wait_all_tasks_blocked()
        assert story(run) == [("b", "scheduled")]
        assert (await run.submit(Step("a", noop, force_steps_if_executed=["b"]))).status == "completed"
        withdraws_late.cancel()
        await asyncio.wait({withdraws_late})
    assert store.done == ["a"]


async def test_many_that_ask_in_vain_tell_one_error_with_a_trace_that_does_not_grow() -> None:
    store = GatedStore()
    store.fail.add("done_page")
    async with run_over(store) as run:
        with pytest.raises(StoreError) as caught:
            await run.submit(Group(*(Step(f"s.{n}", noop) for n in range(50))))
        # One error for the caller; on the list each step's own.
        failed = [error.step for error in run.failures if isinstance(error, StepFailedError)]
        assert sorted(failed) == sorted(f"s.{n}" for n in range(50))
        assert len(traceback.format_tb(caught.value.__traceback__)) < 40


async def test_a_store_that_fails_to_open_is_tried_once_for_all_that_wait() -> None:
    tried = 0

    async def opened() -> MemoryStore:
        nonlocal tried
        tried += 1
        await anyio.wait_all_tasks_blocked()  # all that ask wait by then
        raise StoreError(f"opening fails, attempt {tried}")

    async with StepRun(opened, workflow_id="w") as run:
        with pytest.raises(StoreError, match="attempt 1") as caught:
            await run.submit(Group(*(Step(f"s.{n}", noop) for n in range(50))))
        assert len(run.failures) == 50
        assert {str(error.__cause__) for error in run.failures} == {"opening fails, attempt 1"}
        assert len(traceback.format_tb(caught.value.__traceback__)) < 40
        with pytest.raises(StoreError, match="attempt 2"):
            await run.submit(Step("s.0", noop))


async def test_another_opens_the_store_when_the_first_is_cancelled() -> None:
    entered = 0
    store = GatedStore()

    async def opened() -> MemoryStore:
        nonlocal entered
        entered += 1
        if entered == 1:
            await anyio.sleep_forever()
        return store

    async with store, StepRun(opened, workflow_id="w") as run:
        first = asyncio.create_task(run.submit(Step("a", noop)))
        await anyio.wait_all_tasks_blocked()
        second = asyncio.create_task(run.submit(Step("b", noop)))
        await anyio.wait_all_tasks_blocked()
        assert entered == 1
        first.cancel()
        assert (await second).status == "completed"
        await asyncio.wait({first})
    assert (first.cancelled(), entered) == (True, 2)
