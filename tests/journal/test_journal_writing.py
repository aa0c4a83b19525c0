"""When a run writes its journal, what that may cost it, and what becomes of it when that fails."""

import asyncio
import logging
from pathlib import Path
from typing import Any

import anyio
import pytest
from journals import FailingFiles, FailingStore, told
from run_support import noop

from asyncsteps import (
    MemoryStore,
    Step,
    StepRun,
    StoreError,
    journal,
)
from asyncsteps._journal.places import folders
from asyncsteps._run import journal as writer
from asyncsteps.testing import run_virtually


def test_a_long_run_sends_a_request_in_two_seconds_at_most_and_is_never_silent() -> None:
    async def main() -> tuple[FailingFiles, float]:
        async with FailingStore() as store:
            files: FailingFiles = store.journal_files
            async with StepRun(store, workflow_id="w") as run:
                for number in range(20):
                    await run.submit(Step(f"s{number}", (anyio.sleep, 0.7), force_steps_if_executed=["other"]))
                    run.add_forced_steps("x")
                busy = len(files.written)
                await run.submit(Step("long", (anyio.sleep, 200)))
            assert busy <= 8
            return files, asyncio.get_running_loop().time()

    files, _ = run_virtually(main())
    gaps = [later - earlier for earlier, later in zip(files.written, files.written[1:], strict=False)]
    assert min(gaps[:-1]) >= 2.0 - 1e-6
    assert max(gaps) <= 35.0
    assert len(files.written) <= 214 / 2 + 1
    statuses = [line for line in files.lines() if b'"event":"completed"' in line]
    assert len(statuses) == 21


async def test_what_a_thread_tells_wakes_the_writer_on_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "_MANY", 5)
    asyncio.get_running_loop().set_debug(True)  # calls from other threads are errors

    async with FailingStore() as store, StepRun(store, workflow_id="w") as run:

        def adds() -> None:
            for number in range(10):
                run.add_forced_steps(f"s{number}")
                run.record_marker("added", number)

        assert (await run.submit(Step("a", adds))).error is None


def test_a_short_run_sends_one_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "_CLEANS", 10**9)

    async def main() -> FailingFiles:
        async with FailingStore() as store:
            async with StepRun(store, workflow_id="w") as run:
                await run.submit(Step("a", (anyio.sleep, 0.5)))
            return store.journal_files  # type: ignore[no-any-return]

    files = run_virtually(main())
    assert len(files.written) == 1
    assert files.listed == 0


def test_a_failed_write_warns_once_and_is_made_good(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> FailingFiles:
        async with FailingStore() as store:
            files: FailingFiles = store.journal_files
            files.error = StoreError("out of order")
            async with StepRun(store, workflow_id="w") as run:
                await run.submit(Step("a", (anyio.sleep, 20)))
                files.error = None
                await run.submit(Step("b", noop))
            return files

    with caplog.at_level(logging.WARNING):
        files = run_virtually(main())
    assert caplog.text.count("out of order") == 1
    assert "journal=False switches" in caplog.text
    assert [line.count(b'"step":"a"') for line in files.lines() if b'"event":"completed"' in line] == [1, 0]


def test_files_are_ended_where_they_grow_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "_SEGMENT", 1_000)

    async def main() -> tuple[list[str], int]:
        async with MemoryStore() as store:
            async with StepRun(store, workflow_id="w", run_id="r") as run:
                for number in range(100):
                    await run.submit(Step(f"s{number}", (anyio.sleep, 1)))
            (folder,) = folders(await store.journal_files.names())
            assert all([(await store.journal_files.read(name)) is not None for name in folder.segments])
            _, events = await journal.story(store, "r")
            assert [event["event"] for event in events].count("started") == 1
            return list(folder.segments), [event["event"] for event in events].count("completed")

    segments, completed = run_virtually(main())
    assert completed == 100
    assert len(segments) > 10
    assert [segment.endswith("-end.jsonl") for segment in segments] == [False] * (len(segments) - 1) + [True]


def test_what_waits_is_bounded_and_what_is_lost_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "_AT_MOST", 50)

    async def main() -> list[str]:
        async with MemoryStore() as store:
            async with StepRun(store, workflow_id="w") as run:
                for number in range(100):
                    await run.submit(Step(f"s{number}", noop))
            (summary,) = await journal.runs(store)
            return list(summary.problems)

    assert run_virtually(main()) == ["lines were lost while nothing could be written (151 events)"]


def test_a_hanging_write_holds_the_end_up_for_seconds_only(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> float:
        async with FailingStore() as store:
            store.journal_files.delay = 10_000
            began = asyncio.get_running_loop().time()
            async with StepRun(store, workflow_id="w") as run:
                await run.submit(Step("a", noop))
            return asyncio.get_running_loop().time() - began

    assert 4.9 < run_virtually(main()) < 5.1
    assert "longer than 5 s" in caplog.text


def test_a_cancelled_run_still_tells_its_end() -> None:
    async def main() -> tuple[str, list[Any]]:
        async with FailingStore() as store:
            store.journal_files.delay = 1.0

            async def play() -> None:
                async with StepRun(store, workflow_id="w", run_id="r") as run:
                    await run.submit(Step("a", (anyio.sleep, 100)))

            task = asyncio.ensure_future(play())
            await asyncio.sleep(10)
            task.cancel()
            await asyncio.sleep(0.5)
            task.cancel()  # while the last batch is written
            with pytest.raises(asyncio.CancelledError):
                await task
            summary, events = await journal.story(store, "r")
            return summary.outcome, told(events)

    outcome, events = run_virtually(main())
    assert outcome == "cancelled"
    assert events == [("started", None), ("scheduled", "a"), ("cancelled", "a"), ("ended", None)]


def test_a_run_that_is_cancelled_while_it_is_left_tells_that() -> None:
    async def main() -> str:
        async with MemoryStore() as store:

            async def play() -> None:
                async with StepRun(store, workflow_id="w") as run:
                    other.append(asyncio.ensure_future(run.submit(Step("a", (anyio.sleep, 100)))))
                    await asyncio.sleep(1)

            other: list[asyncio.Future[Any]] = []
            task = asyncio.ensure_future(play())
            await asyncio.sleep(10)
            task.cancel()
            await asyncio.gather(task, *other, return_exceptions=True)
            return (await journal.runs(store))[0].outcome

    assert run_virtually(main()) == "cancelled"


def test_a_fault_of_the_journal_is_none_of_the_runs(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with FailingStore() as store:
            store.journal_files.error = RuntimeError("a bug")
            async with StepRun(store, workflow_id="w") as run:
                assert (await run.submit(Step("a", (anyio.sleep, 10)))).status == "completed"

    run_virtually(main())
    assert caplog.text.count("is broken off") == 1


def test_what_a_failed_write_had_in_it_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "_CLEANS", 1)

    async def main() -> list[Any]:
        async with FailingStore() as store:
            files: FailingFiles = store.journal_files
            async with StepRun(store, workflow_id="w", run_id="r", keep_runs=1) as run:
                await run.submit(Step("a", (anyio.sleep, 3)))
                files.error = StoreError("out of order")
                await run.submit(Step("b", (anyio.sleep, 10)))
                files.error = None
            _, events = await journal.story(store, "r")
            async with StepRun(store, workflow_id="w", keep_runs=1):
                pass
            assert len({name.partition("/")[0] for name in files.files}) == 1
            return told(events)

    events = run_virtually(main())
    assert [event for event in events if event[1] is not None] == [
        ("scheduled", "a"),
        ("completed", "a"),
        ("scheduled", "b"),
        ("completed", "b"),
    ]


def test_a_withdrawal_during_a_write_is_written_next() -> None:
    async def main() -> list[float]:
        async with FailingStore() as store:
            files: FailingFiles = store.journal_files
            files.delay = 1.0
            await store.mark_done("a", {})
            async with StepRun(store, workflow_id="w") as run:
                run.record_marker("mine")
                await anyio.sleep(1.5)  # the first batch is being written
                await run.submit(Step("a", (anyio.sleep, 60), force=True))
            return files.written

    first, second, *_ = run_virtually(main())
    assert second - first < 2.1


def test_a_run_that_ends_with_its_loop_tells_its_end() -> None:
    store = MemoryStore()

    async def play() -> None:
        async with StepRun(store, workflow_id="w", run_id="r") as run:
            await run.submit(Step("a", (anyio.sleep, 60)))

    async def main() -> "asyncio.Task[None]":
        task = asyncio.ensure_future(play())
        await asyncio.sleep(0.01)
        return task  # and the loop cancels what is left: the run, and what writes its journal

    async def within() -> "asyncio.Task[None]":
        await store.__aenter__()
        return await main()

    assert asyncio.run(within()).cancelled()
    (name,) = asyncio.run(store.journal_files.names())
    assert name.endswith("-end.jsonl")
    file = asyncio.run(store.journal_files.read(name))
    assert file is not None
    assert b'"outcome":"cancelled"' in file.body


async def test_a_task_factory_of_old_is_no_hindrance() -> None:
    loop = asyncio.get_running_loop()
    loop.set_task_factory(lambda loop, work: asyncio.Task(work, loop=loop))
    async with MemoryStore() as store, StepRun(store, workflow_id="w") as run:
        await run.submit(Step("a", noop))
    loop.set_task_factory(None)
    (summary,) = [folder.ended for folder in folders(await store.journal_files.names())]
    assert summary


async def test_the_markers_file_is_closed_if_the_run_cannot_begin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_: object) -> None:
        raise RuntimeError("no task can be made")

    monkeypatch.setattr(writer.Journal, "start", fails)
    async with MemoryStore() as store:
        run = StepRun(store, workflow_id="w", markers_file=tmp_path / "markers")
        with pytest.raises(RuntimeError, match="no task"):
            await run.__aenter__()
    assert run._parts.markers._file is None
