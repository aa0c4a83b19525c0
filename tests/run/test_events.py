"""Events: what subscribers are told of a run, in which order, and that they neither break nor block it."""

import asyncio
import functools
import json
import threading
from datetime import UTC, datetime
from typing import Any

import pytest
from run_support import RECORD, GatedStore, fails, noop, run_over

from asyncsteps import (
    Chain,
    MemoryStore,
    RunStopped,
    SignalTask,
    Step,
    StepDefinitionError,
    StepRun,
    StoreError,
    activity,
    current_step,
    events,
)
from asyncsteps._run import subscribers
from asyncsteps.testing import run_virtually


def told(heard: list[events.Event], *kinds: str) -> list[tuple[str, object]]:
    """The kinds of the events with their steps, or whatever else names what they are about."""
    found = [(each.kind, getattr(each, "step", None) or getattr(each, "name", None)) for each in heard]
    return [each for each in found if not kinds or each[0] in kinds]


def one(heard: list[events.Event], kind: type[Any]) -> Any:
    [event] = [each for each in heard if isinstance(each, kind)]
    return event


async def test_a_step_that_is_played_is_told_from_its_submission_to_its_mark() -> None:
    heard: list[events.Event] = []
    async with run_over(MemoryStore(), run_id="r", on_event=heard.append, version="1", force=["a.b"]) as run:
        await run.submit(Step("a.b", noop, emit_signal=True, force_steps_if_executed=["z"]))
    assert told(heard) == [
        ("run.started", None),
        ("step.queued", "a.b"),
        ("store.listed", None),
        ("step.forces", "a.b"),
        ("step.scheduled", "a.b"),
        ("step.started", "a.b"),
        ("attempt.started", "a.b"),
        ("attempt.ended", "a.b"),
        ("store.marked", None),
        ("step.completed", "a.b"),
        ("signal.sent", "a.b"),
        ("run.ended", None),
    ]
    assert {(each.run_id, each.workflow_id, each.at.tzinfo) for each in heard} == {("r", "w", UTC)}
    started = one(heard, events.RunStarted)
    assert (started.version, started.force, started.max_parallel) == ("1", (("a.b", None),), 100)
    completed = one(heard, events.StepCompleted)
    assert (completed.forced, completed.attempts) == (True, 1)
    assert completed.queued <= one(heard, events.StepStarted).at == completed.started <= completed.at
    assert completed.seconds == (completed.at - completed.started).total_seconds()
    ended = one(heard, events.RunEnded)
    assert (ended.outcome, ended.counts["completed"], ended.failures) == ("completed", 1, 0)


async def test_skips_failures_retries_and_withdrawals_are_told() -> None:
    heard: list[events.Event] = []
    tries: list[int] = []

    @activity(name="second", retry=1, retry_wait=0)
    async def second() -> None:
        tries.append(current_step().attempt)
        current_step().note(tries=len(tries))
        if len(tries) == 1:
            raise ValueError("at s3://user:secret@host/x")

    store = MemoryStore({"done": RECORD, "stale": RECORD})
    async with run_over(store, on_event=[heard.append], skip={"left": "not now"}) as run:
        await run.submit(Step("done", noop))
        await run.submit(Step("left", noop))
        await run.submit(Step("again", second, force_steps_if_executed=["stale"]))
        await run.submit(Step("wrong", fails))
        run.add_skipped_steps("x", "why")
        run.record_marker("mine", {"a": 1})
        await run.submit(SignalTask("go"))
    assert told(heard, "step.skipped") == [("step.skipped", "done"), ("step.skipped", "left")]
    skipped = [each for each in heard if isinstance(each, events.StepSkipped)]
    assert [each.reasons for each in skipped] == [("Step was already played",), ("not now",)]
    assert one(heard, events.StepWithdrawing).names == ("stale",)
    assert one(heard, events.StoreWithdrawn).names == 1
    retrying = one(heard, events.StepRetrying)
    assert (retrying.step, retrying.activity, retrying.attempt, retrying.of) == ("again", "second", 1, 2)
    assert "secret" not in retrying.error
    attempts = [each for each in heard if isinstance(each, events.AttemptEnded) and each.step == "again"]
    assert [(each.attempt, each.error is None) for each in attempts] == [(1, False), (2, True)]
    assert one(heard, events.StepNoted).notes == {"tries": 2}
    assert one(heard, events.StepFailed).error == "ValueError: no luck"
    assert one(heard, events.SelectorAdded).skip == "x"
    assert (one(heard, events.MarkerRecorded).name, one(heard, events.MarkerRecorded).details) == (
        "mine",
        {"a": 1},
    )
    assert one(heard, events.SignalSent).name == "go"
    assert (one(heard, events.RunEnded).outcome, one(heard, events.RunEnded).failures) == ("failed", 1)


async def test_every_event_is_a_frozen_record_that_json_can_tell() -> None:
    heard: list[events.Event] = []
    async with run_over(MemoryStore(), on_event=heard.append) as run:
        await run.submit(Chain(Step("a", noop), Step("b", fails)))
    for event in heard:
        line = json.loads(json.dumps(event.as_dict()))
        assert line["event"] == event.kind
        assert datetime.fromisoformat(line["at"]) == event.at
        with pytest.raises((AttributeError, TypeError)):
            event.run_id = "other"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    kinds = {getattr(events, name).kind for name in events.__all__} - {""}
    assert len(kinds) == len([name for name in events.__all__ if getattr(events, name).kind])


async def test_each_step_that_was_queued_has_an_end() -> None:
    """Also one that is cancelled before it is decided; one that waits for another of its name is not told yet."""
    heard: list[events.Event] = []

    asked = asyncio.Event()

    class Slow(MemoryStore):
        async def done_page(self, start_after: str = "") -> Any:
            asked.set()
            await asyncio.sleep(10_000)

    async with run_over(Slow(), on_event=heard.append) as run:
        tasks = [asyncio.create_task(run.submit(Step("a", noop))) for _ in range(2)]
        await asked.wait()
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        assert run.markers == []
    assert told(heard, "step.queued", "step.cancelled") == [("step.queued", "a"), ("step.cancelled", "a")]


async def test_a_call_of_the_store_that_fails_is_told() -> None:
    heard: list[events.Event] = []
    store = GatedStore()
    store.fail.add("mark_done")
    async with run_over(store, on_event=heard.append, journal=False) as run:
        with pytest.raises(StoreError):
            await run.submit(Step("a", noop))
    assert one(heard, events.StoreMarked).error == "StoreError: mark_done fails"


async def test_how_a_run_ended_is_told() -> None:
    heard: list[events.Event] = []
    with pytest.raises(ZeroDivisionError):
        async with run_over(MemoryStore(), on_event=heard.append):
            raise ZeroDivisionError("no")
    assert (one(heard, events.RunEnded).outcome, one(heard, events.RunEnded).error) == (
        "failed",
        "ZeroDivisionError: no",
    )


async def test_a_run_within_the_handler_of_an_error_has_not_failed() -> None:
    heard: list[events.Event] = []
    try:
        _ = 1 / 0
    except ZeroDivisionError:
        async with run_over(MemoryStore(), on_event=heard.append) as run:
            await run.submit(Step("a", noop))
    assert (one(heard, events.RunEnded).outcome, one(heard, events.RunEnded).error) == ("completed", None)


async def test_a_plan_tells_no_events() -> None:
    heard: list[events.Event] = []
    async with run_over(MemoryStore(), on_event=heard.append) as run:
        await run.plan([Step("a", noop)])
    assert {each.kind for each in heard} <= {"run.started", "store.listed", "run.ended"}


class Listener:
    def __init__(self) -> None:
        self.heard: list[events.Event] = []

    async def __call__(self, event: events.Event) -> None:
        await asyncio.sleep(1)
        self.heard.append(event)

    async def method(self, prefix: str, event: events.Event) -> None:
        assert prefix == "x"
        await self(event)


@pytest.mark.parametrize("partial", [False, True])
def test_an_async_subscriber_gets_all_in_order_and_holds_nothing_up(partial: bool) -> None:
    plain: list[events.Event] = []
    listener = Listener()
    callback = functools.partial(listener.method, "x") if partial else listener

    async def main() -> tuple[float, float]:
        time = asyncio.get_running_loop().time
        async with run_over(MemoryStore(), on_event=[plain.append, callback], journal=False) as run:
            await run.submit(SignalTask("go"))
            submitted = time()
        return submitted, time()

    assert run_virtually(main()) == (0, 3)
    assert listener.heard == plain
    assert [each.kind for each in plain] == ["run.started", "signal.sent", "run.ended"]


def test_what_an_async_subscriber_has_not_taken_in_time_is_cancelled_and_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    cancelled: list[str] = []

    async def hangs(event: events.Event) -> None:
        try:
            await asyncio.sleep(1_000)
        except asyncio.CancelledError:
            cancelled.append(event.kind)
            raise

    async def main() -> float:
        async with run_over(MemoryStore(), on_event=hangs):
            pass
        assert len(asyncio.all_tasks()) == 1
        return asyncio.get_running_loop().time()

    assert run_virtually(main()) == 5
    assert cancelled == ["run.started"]
    assert "2 events were not delivered within 5.0 s of the end of the run" in caplog.text


def test_a_cancellation_of_the_end_does_not_cut_delivery_short() -> None:
    listener = Listener()

    async def body() -> None:
        async with run_over(MemoryStore(), on_event=listener, journal=False):
            pass

    async def main() -> None:
        task = asyncio.create_task(body())
        await asyncio.sleep(0.5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run_virtually(main())
    assert [each.kind for each in listener.heard] == ["run.started", "run.ended"]


def test_too_many_that_wait_drop_the_oldest_which_is_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(subscribers.Queued.__init__, "__kwdefaults__", {"waiting_at_most": 3})
    listener = Listener()

    async def main() -> None:
        async with run_over(MemoryStore(), on_event=listener, journal=False) as run:
            for number in range(10):
                await run.submit(SignalTask(f"s{number}"))

    run_virtually(main())
    dropped = listener.heard[0]
    assert isinstance(dropped, events.EventsDropped)
    assert dropped.number == 9
    assert told(listener.heard[1:]) == [("signal.sent", "s8"), ("signal.sent", "s9"), ("run.ended", None)]
    assert "9 events were dropped" in caplog.text


async def breaks(event: events.Event) -> None:
    await asyncio.sleep(0)
    breaks_at_once(event)


def breaks_at_once(event: events.Event) -> None:
    raise ValueError(f"not {event.kind}")


def is_cancelled_at_once(event: events.Event) -> None:
    raise asyncio.CancelledError


def breaks_off_at_once(event: events.Event) -> None:
    raise RunStopped("a", "w")  # as what it does to a run that stops


async def breaks_off(event: events.Event) -> None:
    breaks_off_at_once(event)


async def cancels_itself(event: events.Event) -> None:
    future = asyncio.get_running_loop().create_future()
    future.cancel()
    await future


CALLBACKS = [breaks, breaks_at_once, breaks_off, breaks_off_at_once, cancels_itself, is_cancelled_at_once]


@pytest.mark.parametrize("callback", CALLBACKS)
async def test_one_that_fails_is_logged_once_and_called_again(
    callback: Any, caplog: pytest.LogCaptureFixture
) -> None:
    calls: list[events.Event] = []
    plain: list[events.Event] = []

    def plainly(event: events.Event) -> None:
        calls.append(event)
        callback(event)

    async def failing(event: events.Event) -> None:
        calls.append(event)
        await callback(event)

    given = failing if asyncio.iscoroutinefunction(callback) else plainly
    async with run_over(MemoryStore(), on_event=(given, plain.append)) as run:
        assert (await run.submit(Step("a", noop))).error is None
    assert calls == plain
    records = [record for record in caplog.records if "on_event" in record.getMessage()]
    assert len(records) == 1
    assert "failed at run.started" in records[0].getMessage()
    assert records[0].exc_info is not None


async def test_one_whose_task_is_cancelled_gets_the_rest_at_the_end() -> None:
    heard: list[events.Event] = []
    plain: list[events.Event] = []

    async def cancelled(event: events.Event) -> None:
        heard.append(event)
        if isinstance(event, events.StepScheduled):
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            await asyncio.sleep(0)

    async with run_over(MemoryStore(), on_event=(cancelled, plain.append)) as run:
        await run.submit(Step("a", (asyncio.sleep, 0.01)))
    assert heard == plain


async def test_a_task_factory_need_not_know_of_contexts() -> None:
    loop, listener = asyncio.get_running_loop(), Listener()
    loop.set_task_factory(lambda loop, coroutine: asyncio.Task(coroutine, loop=loop))
    try:
        async with run_over(MemoryStore(), on_event=listener, until="a") as run:
            await run.submit(Chain(Step("a", noop), Step("b", noop)))
    finally:
        loop.set_task_factory(None)
    assert run.stopped_after == "a"
    assert listener.heard


async def test_a_plain_function_that_gives_a_coroutine_is_told_of(caplog: pytest.LogCaptureFixture) -> None:
    async with run_over(MemoryStore(), on_event=lambda event: breaks(event)):  # noqa: PLW0108 - it is no async def
        pass
    assert caplog.text.count("returned a coroutine at run.started, which nobody awaits") == 1


async def test_a_plain_function_that_holds_up_the_loop_is_told_of(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    passed = [0.0]
    monkeypatch.setattr(subscribers, "monotonic", lambda: passed[0])

    def holds_up(_: object) -> None:
        passed[0] += 0.5

    async with run_over(MemoryStore(), on_event=holds_up):
        pass
    assert caplog.text.count("held the event loop for 0.5 s at run.started: make it an 'async def'") == 1


async def test_a_selector_that_is_added_in_a_thread_is_told_on_the_event_loop() -> None:
    threads: list[int] = []

    def add(run: StepRun) -> None:
        run.add_skipped_steps("x", "not now")

    def note(event: events.Event) -> None:
        threads.append(threading.get_ident())

    async with run_over(MemoryStore(), on_event=[note, note_async := Noted()]) as run:
        await run.submit(Step("a", (add, run)))
    assert set(threads) == {threading.get_ident()}
    assert "selector.added" in note_async.kinds


def test_what_is_told_before_the_run_is_entered_is_told_first() -> None:
    heard: list[events.Event] = []
    run = StepRun(MemoryStore(), workflow_id="w", on_event=heard.append)
    run.add_forced_steps("x")
    assert [each.kind for each in heard] == ["selector.added"]


class Noted:
    def __init__(self) -> None:
        self.kinds: list[str] = []

    async def __call__(self, event: events.Event) -> None:
        self.kinds.append(event.kind)


async def test_a_plain_function_is_called_where_it_happens() -> None:
    steps: list[tuple[str, str | None]] = []

    def look(event: events.Event) -> None:
        if isinstance(event, events.AttemptStarted):
            steps.append((event.activity, current_step().name))

    async with run_over(MemoryStore(), on_event=look) as run:
        await run.submit(Step("a", activity(name="x")(noop)))
    assert steps == [("x", "a")]


@pytest.mark.parametrize("given", [3, "abc", [print, 3], None])
def test_what_is_no_function_is_refused(given: Any) -> None:
    with pytest.raises(StepDefinitionError, match=r"on_event=.* is refused: it is a function of one event"):
        StepRun(MemoryStore(), workflow_id="w", on_event=given)


async def test_a_generator_that_is_dropped_leaves_no_task() -> None:
    listener = Listener()

    async def generator() -> Any:
        async with run_over(MemoryStore(), on_event=listener):
            yield

    opened: Any = generator()
    await anext(opened)
    await opened.aclose()
    await asyncio.sleep(0)
    assert len(asyncio.all_tasks()) == 1


async def test_after_the_end_nothing_is_told() -> None:
    heard: list[events.Event] = []
    listener = Noted()
    async with run_over(MemoryStore(), on_event=[heard.append, listener]) as run:
        pass
    run.add_forced_steps("x")
    assert [each.kind for each in heard] == listener.kinds == ["run.started", "run.ended"]
