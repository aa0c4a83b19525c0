"""What `run.failures` lists, what a failed step's result says, and errors that are hard to tell."""

import asyncio
import dataclasses
from typing import Any

import anyio
import pytest
from run_support import GatedStore, details, fails, noop, run_over, story

from asyncsteps import (
    Chain,
    Group,
    MemoryStore,
    RecordError,
    Step,
    StepFailedError,
    StepOutcome,
    StoreError,
    activity,
)


def failed_steps(errors: list[Exception]) -> list[str]:
    return [error.step for error in errors if isinstance(error, StepFailedError)]


async def test_what_failed_within_an_attempt_is_not_listed_when_a_later_one_succeeds() -> None:
    async with run_over(MemoryStore()) as run:
        attempts = 0

        @activity(retry=1, retry_wait=0)
        async def unlucky_once() -> None:
            nonlocal attempts
            attempts += 1
            await run.submit(Step("inner.other", fails if attempts == 1 else noop))
            await run.submit(Step(f"inner.{attempts}", fails if attempts == 1 else noop))
            if attempts == 1:
                raise ValueError("again")

        assert (await run.submit(Step("outer", unlucky_once))).status == "completed"
        assert run.failures == []
        run.raise_for_failures()
        assert ("inner.1", "failed") in story(run)


async def test_when_all_attempts_fail_what_failed_within_the_last_is_listed() -> None:
    async with run_over(MemoryStore()) as run:
        attempts = 0

        @activity(retry=2, retry_wait=0)
        async def unlucky() -> None:
            nonlocal attempts
            attempts += 1
            await run.submit(Step(f"inner.{attempts}", fails))
            raise ValueError("again")

        await run.submit(Step("outer", unlucky))
        assert failed_steps(run.failures) == ["inner.3", "outer"]


async def test_a_step_that_is_played_well_later_is_no_failure() -> None:
    async with run_over(MemoryStore()) as run:
        await run.submit(Step("a", fails))
        await run.submit(Step("b", fails))
        assert failed_steps(run.failures) == ["a", "b"]
        await run.submit(Step("a", noop))
        assert failed_steps(run.failures) == ["b"]


async def test_one_store_error_fails_each_step_by_its_name() -> None:
    store = GatedStore()
    store.fail.add("done_page")
    async with run_over(store, step_activity_params={"retry": 1}) as run:
        names = [f"s.{number:03d}" for number in range(200)]
        with pytest.raises(StoreError, match="done_page fails"):
            await run.submit(Group(*(Step(name, noop) for name in names)))
        assert sorted(failed_steps(run.failures)) == names
        assert all(isinstance(error.__cause__, StoreError) for error in run.failures)


async def test_the_result_of_a_failed_step_is_not_sent_on() -> None:
    published: list[Any] = []
    async with run_over(MemoryStore()) as run:
        with pytest.raises(StepFailedError, match="step 'extract' failed: ValueError: no luck"):
            await run.submit(Chain(Step("extract", fails), published.append, send_result=True))
        chain = Chain(Step("extract", fails), published.append, send_result=True)
        outcome = await run.submit(Step("publish", chain))
        assert outcome.status == "failed"
        assert published == []
        # With nothing to send, a failure that does not bubble stays in its outcome, as ever.
        results = await run.submit(Chain(Step("extract", fails), noop))
        assert [isinstance(result, StepOutcome) for result in results] == [True, False]


async def test_reading_the_result_of_a_failed_step_fails_what_reads_it() -> None:
    async with run_over(MemoryStore()) as run:
        outcome = await run.submit(Step("extract", fails))

        async def publish() -> None:
            await run.submit(repr, outcome.result)

        assert (await run.submit(Step("publish", publish))).status == "failed"
        (listed,) = await run.submit(Group(Step("extract", fails)))
        with pytest.raises(StepFailedError):
            listed.result  # noqa: B018 - that it raises is the point
        # A step around it keeps the outcome, whose result raises.
        around = await run.submit(Step("around", Step("extract", fails)))
        assert around.status == "completed"
        assert isinstance(around.result, StepOutcome)
        assert not around.result.has_result


async def test_a_saved_result_that_cannot_be_read_is_told_when_it_is_used() -> None:
    store = MemoryStore()
    async with run_over(store) as run:
        await run.submit(Step("a", noop, save_result=True))
    store = MemoryStore({"a": {}})
    store._bodies["a"] = b"{damaged"
    async with run_over(store) as run:
        outcome = await run.submit(Step("a", noop, save_result=True))
        assert (outcome.status, outcome.error, run.failures) == ("skipped", None, [])
        with pytest.raises(RecordError, match="the step counts as done all the same"):
            outcome.result  # noqa: B018 - that it raises is the point


async def test_a_mark_that_is_gone_when_its_result_is_read_is_decided_anew() -> None:
    store = GatedStore(["a"])

    async def gone(name: str) -> None:
        await MemoryStore.withdraw(store, name)

    async with run_over(store) as run:
        await run.submit(Step("b", noop))  # fetches the page that says that `a` is done
        await gone("a")
        outcome = await run.submit(Step("a", (lambda: 7), save_result=True))
        assert (outcome.status, outcome.result) == ("completed", 7)
        assert store.records["a"]["result"] == 7


class Unspeakable(Exception):  # noqa: N818 - its name is of no interest
    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__

    def add_note(self, note: str) -> None:
        raise RuntimeError(note)


async def test_an_error_that_cannot_be_told_is_one_by_its_type() -> None:
    async def speechless() -> None:
        raise Unspeakable

    async with run_over(MemoryStore()) as run:
        outcomes = await run.submit(Group(Step("a", speechless), Step("b", noop), (activity(retry=0)(noop))))
        assert [outcomes[0].status, outcomes[1].status] == ["failed", "completed"]
        assert details(run, "a")[-1]["error"] == "Unspeakable"
        (failure,) = run.failures
        assert str(failure) == "step 'a' failed: Unspeakable"
        with pytest.raises(Unspeakable):
            await run.submit(speechless)

        @activity(retry=1, retry_wait=0)
        async def again() -> None:
            raise Unspeakable

        with pytest.raises(Unspeakable):
            await run.submit(again)


async def test_a_cancelled_error_of_its_own_is_retried_like_any_failure() -> None:
    attempts = 0

    @activity(retry=2, retry_wait=0)
    async def cancels_itself() -> int:
        nonlocal attempts
        attempts += 1
        if attempts < 3:
            raise asyncio.CancelledError
        return attempts

    async with run_over(MemoryStore()) as run:
        assert await run.submit(cancels_itself) == 3
        with anyio.move_on_after(0) as scope:
            await run.submit(Step("a", anyio.sleep_forever))
        assert scope.cancelled_caught


async def test_a_step_that_is_played_again_in_its_run_and_fails_is_not_done() -> None:
    store = GatedStore()
    async with run_over(store) as run:
        await run.submit(Step("b", noop))
        await run.submit(Step("a", noop, force_steps_if_executed=["b"]))
        assert store.done == ["a", "b"]
        outcome = await run.submit(Step("b", fails))
        assert (outcome.status, outcome.reasons) == ("failed", ("Dep of a",))
        assert store.done == ["a"]
        await run.submit(Step("x", noop))
        await run.submit(Step("x", fails, force=True))
        assert store.done == ["a"]
    async with run_over(GatedStore(store.done)) as run:
        assert [(await run.submit(Step(name, noop))).status for name in "abx"] == [
            "skipped",
            "completed",
            "completed",
        ]


async def test_a_task_that_outlives_its_attempt_fails_for_good() -> None:
    gate = anyio.Event()
    left: list[asyncio.Future[Any]] = []
    async with run_over(MemoryStore()) as run:

        async def fails_late() -> None:
            await gate.wait()
            raise ValueError("late")

        @activity(retry=1, retry_wait=0)
        async def starts() -> None:
            if not left:
                left.append(asyncio.ensure_future(run.submit(Step("late", fails_late))))
                await anyio.wait_all_tasks_blocked()
                raise ValueError("again")
            gate.set()
            await asyncio.wait(left)

        await run.submit(starts)
        assert failed_steps(run.failures) == ["late"]


async def test_an_attempt_that_is_cancelled_makes_nothing_good() -> None:
    async with run_over(MemoryStore()) as run:
        attempts = 0

        @activity(retry=1, retry_wait=0)
        async def unlucky() -> None:
            nonlocal attempts
            attempts += 1
            if attempts == 2:
                await anyio.sleep_forever()
            await run.submit(Step("inner", fails))
            raise ValueError("again")

        with anyio.move_on_after(0.05):
            await run.submit(unlucky)
        assert failed_steps(run.failures) == ["inner"]


async def test_an_error_that_is_raised_by_two_attempts_is_listed() -> None:
    shared = ValueError("shared")
    async with run_over(MemoryStore()) as run:

        async def raises() -> None:
            raise shared

        @activity(retry=1, retry_wait=0)
        async def unlucky() -> None:
            await run.submit(Group(raises, bubbles_exception_on_failure=False))
            raise KeyError

        with pytest.raises(KeyError):
            await run.submit(unlucky)
        assert run.failures == [shared]


async def test_an_error_that_refuses_attributes_stays_itself() -> None:
    @dataclasses.dataclass(frozen=True)
    class FrozenError(Exception):
        code: int

    async with run_over(MemoryStore()) as run:
        for attributes in ({"retry": 1, "retry_wait": 0}, {"start_to_close_timeout": 5}):

            @activity(**attributes)  # type: ignore[call-overload, untyped-decorator]
            async def raises() -> None:
                raise FrozenError(7)

            with pytest.raises(FrozenError):
                await run.submit(raises)
