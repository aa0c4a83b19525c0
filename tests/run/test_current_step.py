"""`current_step` in activities, their tasks and their threads: who they are, notes, the logger."""

import asyncio
import logging
import threading
from collections.abc import Callable
from typing import Any

import pytest
from journals import journals, of
from run_support import run_over

from asyncsteps import (
    Chain,
    CurrentStep,
    Group,
    MemoryStore,
    NoCurrentStepError,
    Step,
    StepNoteError,
    StepRun,
    activity,
    current_step,
)
from asyncsteps._tasks.attempt import NOTES_AT_MOST


def told(current: CurrentStep) -> tuple[str | None, int, str | None, str | None]:
    return current.name, current.attempt, current.run_id, current.workflow_id


def who() -> tuple[str | None, int, str | None, str | None]:
    return told(current_step())


class Who:
    def execute(self) -> object:
        return who()


async def in_a_task() -> object:
    return await asyncio.create_task(in_a_thread())


async def in_a_thread() -> object:
    return await asyncio.to_thread(who)


@pytest.mark.parametrize("where", [who, Who, in_a_task, in_a_thread])
async def test_it_tells_the_step_the_attempt_and_the_run(where: Callable[..., Any]) -> None:
    async with run_over(MemoryStore(), run_id="r") as run:
        outcome = await run.submit(Step("a.b", where))
        assert outcome.result == ("a.b", 1, "r", "w")
        assert await run.submit(activity(where)) == (None, 1, "r", "w")
    assert await activity(where)() == (None, 1, None, None)


@pytest.mark.parametrize("direct", [False, True])
async def test_it_tells_which_attempt_it_is(direct: bool) -> None:
    seen: list[int] = []

    @activity(retry=2, retry_wait=0)
    async def third() -> str:
        seen.append(current_step().attempt)
        if len(seen) < 3:
            raise ValueError
        return current_step().activity

    async with run_over(MemoryStore()) as run:
        name = await third() if direct else (await run.submit(Step("a", third))).result
    assert name.endswith("third")
    assert seen == [1, 2, 3]


async def test_the_innermost_of_several_is_told_and_the_outer_one_afterwards() -> None:
    async def outer(run: StepRun) -> list[object]:
        inner = await run.submit(Step("inner", who))
        plain = await run.submit(activity(who))
        return [inner.result[0], plain[0], current_step().name]

    async with run_over(MemoryStore()) as run:
        assert (await run.submit(Step("outer", (outer, run)))).result == ["inner", "outer", "outer"]


async def test_steps_of_another_run_around_are_none_of_this_runs() -> None:
    async def within() -> object:
        async with run_over(MemoryStore(), run_id="inner") as run:
            return await run.submit(activity(who))

    async with run_over(MemoryStore(), run_id="outer") as run:
        assert (await run.submit(Step("a", within))).result == (None, 1, "inner", "w")


async def test_outside_of_activities_there_is_none() -> None:
    with pytest.raises(NoCurrentStepError, match="in an activity"):
        current_step()
    assert issubclass(NoCurrentStepError, LookupError)
    async with run_over(MemoryStore()) as run:
        await run.submit(Step("a", who))
        with pytest.raises(NoCurrentStepError):
            current_step()


async def test_what_outlives_its_activity_belongs_to_the_one_around() -> None:
    ended, answers = asyncio.Event(), []

    async def later() -> None:
        own = current_step()
        await ended.wait()
        with pytest.raises(StepNoteError, match="the attempt has ended"):
            own.note(late=1)
        own.heartbeat()
        answers.append(current_step().name)

    async def starts(tasks: list[asyncio.Task[None]]) -> None:
        tasks.append(asyncio.create_task(later()))
        await asyncio.sleep(0)

    async def outer(run: StepRun) -> None:
        tasks: list[asyncio.Task[None]] = []
        await run.submit(Step("inner", (starts, tasks)))
        ended.set()
        await tasks[0]

    async with run_over(MemoryStore()) as run:
        outcome = await run.submit(Step("outer", (outer, run)))
        assert outcome.error is None
    assert answers == ["outer"]


def note(**notes: Any) -> None:
    current_step().note(**notes)


async def test_notes_are_in_the_mark_and_in_the_journal() -> None:
    store = MemoryStore()
    async with run_over(store, run_id="r") as run:
        await run.submit(
            Step("a", Chain((note,), activity(note)(rows=3, of={"table": ("users",)}), activity(note)(rows=4)))
        )
        await run.submit(Step("none", who))
        await run.submit(activity(note)(outside=True, password="hunter2"))
    assert store.records["a"]["notes"] == {"rows": 4, "of": {"table": ["users"]}}
    assert "notes" not in store.records["none"]
    [lines] = await journals(store)
    noted = of(lines, "notes")
    assert [(event["step"], event["notes"]) for event in noted] == [
        ("a", {"rows": 3, "of": {"table": ["users"]}}),
        ("a", {"rows": 4}),
        (None, {"outside": True, "password": "***"}),
    ]


async def test_notes_of_an_attempt_that_failed_are_dropped() -> None:
    store, seen = MemoryStore(), []

    @activity(retry=1, retry_wait=0)
    def second() -> None:
        seen.append(current_step().attempt)
        note(**{f"attempt {seen[-1]}": "x" * 9_000})
        if len(seen) == 1:
            raise ValueError

    async with run_over(store, run_id="r") as run:
        outcome = await run.submit(Step("a", second))
    assert outcome.error is None
    assert store.records["a"]["notes"].keys() == {"attempt 2"}
    [lines] = await journals(store)
    assert len(of(lines, "notes")) == 1


async def test_a_note_is_as_it_was_when_it_was_made() -> None:
    store, values = MemoryStore(), [1]

    async def changes() -> None:
        note(values=values)
        values.append(2)

    async with run_over(store) as run:
        await run.submit(Step("a", changes))
    assert store.records["a"]["notes"] == {"values": [1]}


@pytest.mark.parametrize("value", [{1, 2}, float("nan"), object()])
async def test_a_note_that_is_no_json_is_refused(value: object) -> None:
    async with run_over(MemoryStore()) as run:
        outcome = await run.submit(Step("a", activity(note)(ok=1, wrong=value)))
    assert isinstance(outcome.error, StepNoteError)
    assert str(outcome.error).startswith("the note wrong of step 'a' is refused: its value is no JSON")
    assert outcome.error.note == "wrong"


async def test_the_notes_of_a_step_are_bounded_together() -> None:
    store, half = MemoryStore(), "x" * (NOTES_AT_MOST // 2 - 12)

    def replaces() -> None:
        note(first=half)
        note(first=half[1:])

    def adds() -> None:
        note(second=half[1:])
        with pytest.raises(
            StepNoteError, match="would have 16,385 characters of JSON, and at most 16,384 are kept"
        ):
            note(third=1)

    async with run_over(store) as run:
        outcome = await run.submit(
            Step("a", Chain(activity(replaces), activity(note)(first=1), activity(replaces)))
        )
        assert outcome.error is None
        outcome = await run.submit(Step("b", Chain(activity(replaces), activity(adds))))
        assert outcome.error is None
        outcome = await run.submit(Step("c", activity(note)(first=3 * half, second=1)))
    assert isinstance(outcome.error, StepNoteError)
    assert outcome.error.note == "first, second"
    assert store.records["b"]["notes"].keys() == {"first", "second"}


async def test_the_notes_of_what_is_in_no_step_are_bounded_together_too() -> None:
    def notes() -> None:
        note(first="x" * (NOTES_AT_MOST // 2))
        note(second="x" * (NOTES_AT_MOST // 2))

    async with run_over(MemoryStore()) as run:
        with pytest.raises(StepNoteError, match="note second of activity"):
            await run.submit(activity(notes))


async def test_notes_may_be_made_from_threads_side_by_side() -> None:
    store = MemoryStore()

    def many(number: int) -> None:
        for index in range(20):
            note(**{f"{number}.{index}": index})

    async with run_over(store) as run:
        await run.submit(Step("a", Group(*(activity(many)(number) for number in range(8)))))
    assert len(store.records["a"]["notes"]) == 160


async def test_the_logger_carries_the_step(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="asyncsteps.activity")

    @activity(name="load", retry=1, retry_wait=0)
    async def loads() -> None:
        log = current_step().logger
        log.info("%d%% of %s", 50, "users", extra={"table": "users"})
        log.info("100% done")
        if current_step().attempt == 1:
            raise ValueError

    async with run_over(MemoryStore(), run_id="r") as run:
        await run.submit(Step("a%s", loads))
        await run.submit(loads)
    records = [record for record in caplog.records if record.name == "asyncsteps.activity"]
    assert [record.getMessage() for record in records] == [
        *("step a%s: 50% of users", "step a%s: 100% done"),
        *("step a%s, attempt 2: 50% of users", "step a%s, attempt 2: 100% done"),
        *("50% of users", "100% done") * 2,
    ]
    first = vars(records[0])
    assert {name: first[name] for name in ("run_id", "workflow_id", "step", "attempt", "activity", "table")} == {
        "run_id": "r",
        "workflow_id": "w",
        "step": "a%s",
        "attempt": 1,
        "activity": "load",
        "table": "users",
    }
    assert records[0].funcName == "loads"


def test_it_works_as_simpleflow_executes_activities() -> None:
    """In a process without a running loop, with simpleflow's context, and whatever the heartbeat timeout."""

    @activity(heartbeat_timeout=1)
    async def beats() -> object:
        current_step().heartbeat()
        note(rows=3)
        return who()

    for each in (beats(), activity(heartbeat_timeout=1)(who)()):
        each.context = {"run_id": "r", "workflow_id": "w", "activity_id": "activity-1"}
        assert each.execute() == (None, 1, "r", "w")
    with pytest.raises(NoCurrentStepError):
        current_step()


async def test_a_thread_without_the_context_has_none() -> None:
    answers: list[object] = []

    def outside() -> None:
        with pytest.raises(NoCurrentStepError, match=r"as asyncio\.to_thread gives it"):
            current_step()
        answers.append(None)

    async def starts() -> None:
        thread = threading.Thread(target=outside)
        thread.start()
        await asyncio.to_thread(thread.join)

    async with run_over(MemoryStore()) as run:
        await run.submit(Step("a", starts))
    assert answers == [None]
