import asyncio
import json
import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import anyio.from_thread
import pytest
from run_support import GatedStore, details, fails, noop, run_over, story

from asyncsteps import (
    Chain,
    Group,
    Marker,
    MemoryStore,
    Status,
    Step,
    StepDefinitionError,
    StepFailedError,
    StepNameError,
    StepOutcome,
    StepResultError,
    StepRun,
)


async def test_a_first_run_plays_and_the_second_skips() -> None:
    store = MemoryStore()
    async with store:
        for expected in ("completed", "skipped"):
            async with StepRun(store, workflow_id="w", run_id=expected, version="7") as run:
                before = datetime.now(UTC)
                outcome = await run.submit(Step("a.b", (max, 1, 2)))
                assert isinstance(outcome, StepOutcome)
                assert (outcome.step, outcome.status, outcome.error) == ("a.b", expected, None)
                assert outcome.result == (2 if expected == "completed" else None)
                assert before <= outcome.started <= outcome.finished <= datetime.now(UTC)
        record = await store.read_done("a.b")
        assert record is not None
        assert {"run_id": "completed", "workflow_id": "w", "version": "7"}.items() <= record.items()
        assert datetime.fromisoformat(record["marked_at"]).tzinfo is not None


async def test_the_phases_come_in_the_specified_order() -> None:
    async with run_over(GatedStore(["dep.x"])) as run:
        marks: Any = run._parts.marks
        store: Any = marks._opened or await marks._open()
        store = store[0]

        def activity() -> None:
            store.calls.append("activity")

        seen = len(store.calls)
        await run.submit(Step("a", activity, emit_signal=True, force_steps_if_executed=["dep"]))
        assert (await run.wait_signal("step.a")).name == "step.a"
        assert [call for call in store.calls[seen:] if call != "done_page"] == [
            "withdraw",
            "activity",
            "mark_done",
        ]
        assert store.done == ["a"]
        assert run.get_forced_steps() == ["dep"]
        await run.submit(Step("dep.x", noop))
        assert details(run, "dep.x") == [
            {"step": "dep.x", "status": status, "forced": True, "reasons": ["Dep of a"]}
            for status in ("scheduled", "completed")
        ]
    assert story(run) == [("a", "scheduled"), ("a", "completed"), ("dep.x", "scheduled"), ("dep.x", "completed")]


async def test_a_skip_plays_the_alternative_then_the_marker_then_the_signal() -> None:
    async with run_over(MemoryStore({"a": {}})) as run:
        seen: list[list[tuple[str, str]]] = []
        outcome = await run.submit(
            Step("a", fails, activities_if_step_already_done=lambda: seen.append(story(run)), emit_signal=True)
        )
        assert (outcome.status, outcome.reasons) == ("skipped", ("Step was already played",))
        assert seen == [[]]
        assert (await run.wait_signal("step.a")).args == ()
        assert story(run) == [("a", "skipped")]


async def test_a_failing_alternative_is_a_failure() -> None:
    async with run_over(MemoryStore({"a": {}})) as run:
        outcome = await run.submit(Step("a", noop, activities_if_step_already_done=fails))
        assert outcome.status == "failed"
        assert story(run) == [("a", "failed")]


async def test_force_beats_skip_and_reasons_are_told() -> None:
    async with run_over(MemoryStore({"a.b": {}}), force={"a": "why", "a.b": "because"}, skip=["*"]) as run:
        run.add_forced_steps("a", "later")
        run.add_skipped_steps({"c": "not now"})
        assert (await run.submit(Step("a.b", noop, force=True))).reasons == (
            "why",
            "because",
            "later",
            "Step is forced",
        )
        assert (await run.submit(Step("c", noop))).reasons == ("not now",)
        assert run.get_forced_steps() == ["a", "a.b"]
        assert run.get_skipped_steps() == ["*", "c"]


async def test_a_failure_leaves_its_outcome_its_marker_and_its_place_on_the_list(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = MemoryStore()
    async with run_over(store) as run:
        outcome = await run.submit(Step("a", fails, emit_signal=True))
        assert outcome.status == "failed"
        assert isinstance(outcome.error, ValueError)
        for _ in range(2):
            with pytest.raises(StepFailedError, match="step 'a' failed: ValueError: no luck") as raised:
                outcome.result  # noqa: B018 - that it raises is the point
            assert raised.value.__cause__ is outcome.error
        assert details(run, "a")[-1] == {
            "step": "a",
            "status": "failed",
            "forced": False,
            "reasons": [],
            "error": "ValueError: no luck",
        }
        plan = await run.plan(lambda shadow: shadow.wait_signal("step.a"))
        assert not plan.complete  # no signal was sent
        (failure,) = run.failures
        assert isinstance(failure, StepFailedError)
        assert (failure.step, failure.__cause__) == ("a", outcome.error)
        with pytest.raises(ExceptionGroup) as caught:
            run.raise_for_failures()
        assert caught.value.exceptions == (failure,)
    assert store.records == {}
    assert "no luck" in caplog.text


async def test_a_failure_that_bubbles_reaches_the_caller_and_is_listed_once() -> None:
    async with run_over(MemoryStore()) as run:
        with pytest.raises(StepFailedError) as caught:
            await run.submit(Step("a", fails, bubbles_exception_on_failure=True))
        assert run.failures == [caught.value]


async def test_nothing_to_raise() -> None:
    async with run_over(MemoryStore()) as run:
        run.raise_for_failures()


async def test_a_saved_result_comes_back_from_a_skip() -> None:
    store = MemoryStore()
    async with store:
        for _ in range(2):
            async with StepRun(store, workflow_id="w") as run:
                step = Step("a", lambda: {"n": (1, 2)}, save_result=True)
                saved: Any = (await run.submit(step)).result
                assert saved == {"n": [1, 2]}
        async with StepRun(store, workflow_id="w", skip=["b"]) as run:
            assert (await run.submit(Step("b", noop, save_result=True))).result is None
            replaced = Step("a", noop, activities_if_step_already_done=(max, 1, 9), save_result=True)
            assert (await run.submit(replaced)).result == 9
            assert (await run.submit(Chain((max, 1, 2), (max, 3), send_result=True))) == [2, 3]


async def test_a_result_that_is_no_json_fails_the_step_and_marks_nothing() -> None:
    for bad in ({1}, float("nan"), object()):
        store = MemoryStore()
        async with run_over(store) as run:
            outcome = await run.submit(Step("a", lambda bad=bad: bad, save_result=True))
            assert outcome.status == "failed"
            assert isinstance(outcome.error, StepResultError)
            assert "'a'" in str(outcome.error)
        assert store.records == {}


@pytest.mark.parametrize("broken", [RuntimeError("a callback broke"), asyncio.CancelledError("a callback broke")])
async def test_markers_go_to_the_list_callbacks_the_log_and_the_file(
    broken: BaseException, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "markers.jsonl"
    seen: list[Marker] = []

    def breaks(marker: Marker) -> None:
        raise broken

    with caplog.at_level(logging.INFO, "asyncsteps"):
        async with run_over(MemoryStore(), on_marker=[breaks, seen.append], markers_file=path) as run:
            await run.submit(Step("a", noop, force=True))
            await run.submit(Step("b", fails))
            mine = run.record_marker("mine", ["x", 1])
            with pytest.raises(StepDefinitionError, match="no JSON"):
                run.record_marker("bad", {1})
    assert run.markers == seen
    assert run.markers[-1] is mine
    assert mine.at.tzinfo is UTC
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert [{key: line[key] for key in ("name", "details", "at")} for line in lines] == [
        {"name": m.name, "details": m.details, "at": m.at.isoformat()} for m in seen
    ]
    assert {(line["run_id"], line["workflow_id"]) for line in lines} == {(run.run_id, "w")}
    assert [line.get("attempts") for line in lines] == [0, 1, 0, 1, None]
    ended, started = seen[1], seen[1].started
    assert started is not None
    assert lines[1]["queue_seconds"] == ended.queue_seconds
    assert lines[1]["seconds"] == ended.seconds == (ended.at - started).total_seconds()
    assert run.counts == {Status.SCHEDULED: 2, Status.COMPLETED: 1, Status.FAILED: 1}
    levels = {record.getMessage(): record.levelno for record in caplog.records}
    assert levels["step a: forced, completed (Step is forced)"] == logging.INFO
    assert levels["step b: failed: ValueError: no luck"] == logging.ERROR
    assert "a callback broke" in caplog.text
    async with run_over(MemoryStore(), on_marker=seen.append, markers_file=path) as run:
        run.record_marker("again")
    assert len(path.read_text(encoding="utf-8").splitlines()) == len(seen)  # appended


async def test_a_markers_file_that_cannot_be_opened_is_an_error_at_the_start(tmp_path: Path) -> None:
    async with MemoryStore() as store:
        with pytest.raises(FileNotFoundError):
            async with StepRun(store, workflow_id="w", markers_file=tmp_path / "missing" / "file"):
                pass


async def test_signals() -> None:
    async with run_over(MemoryStore()) as run, anyio.create_task_group() as tasks:
        received: list[Any] = []

        async def wait() -> None:
            received.append(await run.wait_signal("go"))

        tasks.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        assert received == []
        await run.signal("go", 1, key="value", propagate=False)
        await anyio.wait_all_tasks_blocked()
        (signal,) = received
        assert (signal.name, signal.args, signal.kwargs) == ("go", (1,), {"key": "value"})
        assert await run.wait_signal("go") == signal  # one sent earlier counts


async def test_activities_that_submit_do_not_wait_for_each_others_slots() -> None:
    async with run_over(MemoryStore(), max_parallel=1) as run:

        async def inner(number: int) -> int:
            return number

        async def outer(number: int) -> list[int]:
            first = await run.submit((inner, number))
            return [first, *await run.submit(Group(*((inner, n) for n in range(3))))]

        results = await run.submit(Group(*((outer, n) for n in range(4))))
        assert results == [[n, 0, 1, 2] for n in range(4)]

        async def waits_and_submits() -> None:
            async with anyio.create_task_group() as tasks:
                for number in range(3):
                    tasks.start_soon(run.submit, (outer, number))

        await run.submit(Group(waits_and_submits, waits_and_submits))

        def from_a_thread() -> int:
            return int(anyio.from_thread.run(run.submit, (max, 1, 2)))

        assert await run.submit(Group(from_a_thread, from_a_thread)) == [2, 2]
        assert run._parts.limiter.free == 1


async def test_thousands_of_concurrent_steps() -> None:
    store = MemoryStore()
    under_way = peak = 0
    full = anyio.Event()

    async def counted() -> None:
        nonlocal under_way, peak
        under_way += 1
        peak = max(peak, under_way)
        if under_way == 50:
            full.set()
        with anyio.fail_after(30):
            await full.wait()
        await anyio.lowlevel.checkpoint()
        under_way -= 1

    async with run_over(store, max_parallel=50) as run:
        outcomes = await run.submit(Group(*(Step(f"s.{n}", counted) for n in range(2_000))))
    assert {outcome.status for outcome in outcomes} == {"completed"}
    assert len(store.records) == 2_000
    assert peak == 50


async def test_plain_defs_run_side_by_side_up_to_the_limit() -> None:
    import threading

    barrier = threading.Barrier(60, timeout=60)  # more than anyio's own default of 40
    async with run_over(MemoryStore(), max_parallel=60) as run:
        await run.submit(Group(*(Step(f"s.{n}", barrier.wait) for n in range(60))))
        assert run.failures == []


async def test_refresh_sees_what_others_did() -> None:
    store = MemoryStore()
    async with run_over(store) as run:
        assert (await run.submit(Step("a", noop))).status == "completed"
        assert (await run.plan([Step("b", noop)])).decisions[0].action == "run"
        await store.mark_done("b", {})
        assert (await run.plan([Step("b", noop)])).decisions[0].action == "run"
        await run.refresh()
        assert (await run.submit(Step("b", noop))).status == "skipped"


async def test_names_too_long_for_the_store_fail_before_their_activities() -> None:
    from asyncsteps.store import S3Store

    store = S3Store("bucket", "p" * 1000 + "/")
    async with store, StepRun(store, workflow_id="w", journal=False) as run:
        with pytest.raises(StepNameError, match="1024"):
            await run.submit(Step("a" * 100, fails))


async def test_classes_with_execute_get_the_runs_identity() -> None:
    class Told:
        context: dict[str, Any]

        def execute(self) -> dict[str, Any]:
            return self.context

    async with run_over(MemoryStore(), run_id="r", version="1") as run:
        assert await run.submit(Told) == {"run_id": "r", "workflow_id": "w", "version": "1"}
        assert (run.workflow_id, run.run_id, run.version) == ("w", "r", "1")


async def test_a_markers_file_that_cannot_be_written_any_more_is_logged_and_left(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with run_over(MemoryStore(), markers_file="/dev/full") as run:
        outcomes = await run.submit(Group(Step("a", noop), Step("b", noop)))
        assert [outcome.status for outcome in outcomes] == ["completed", "completed"]
    assert caplog.text.count("no more markers are written to /dev/full") == 1


async def test_a_step_shows_what_it_was_made_with() -> None:
    step = Step("a", noop, True, emit_signal=True)
    assert (step.step_name, step.force, step.emit_signal, step.force_steps_if_executed) == ("a", True, True, ())


async def test_markers_tell_whether_the_step_was_done_before_the_run_played_it() -> None:
    async with run_over(MemoryStore({"a": {}, "b": {}, "d": {}}), force=["a", "c"]) as run:
        for name in ("a", "b", "c", "d"):  # the mark of d is withdrawn when a is played
            await run.submit(Step(name, noop, force_steps_if_executed=["c", "d"] if name == "a" else None))
        run.record_marker("mine", None)
    told = [(marker.details["step"], marker.was_done) for marker in run.markers[:-1]]
    assert told == [*[("a", True)] * 2, ("b", True), *[("c", False)] * 2, *[("d", True)] * 2]
    assert run.markers[-1].was_done is None
