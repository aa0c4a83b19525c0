"""What a run leaves in its journal, where, and what that costs; on every store."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import anyio
import pytest
from journals import OpenStore, journals, of, told
from run_support import fails, noop
from servers import FaultProxy, MotoServer, error_answer
from virtual_time import run_virtually

import asyncsteps
from asyncsteps import (
    Chain,
    Group,
    MemoryStore,
    SignalTask,
    Step,
    StepDefinitionError,
    StepRun,
    StepStore,
    StoreError,
    activity,
    journal,
    open_store,
)
from asyncsteps._journal.places import folders
from asyncsteps._journal.texts import collapsed
from asyncsteps._run import journal as writer
from asyncsteps.journal import JournalFile
from asyncsteps.store import DonePage
from asyncsteps.store._s3.journal import journal_prefix


@pytest.fixture(params=["memory", "directory", "s3", "s3 by botocore"])
def open_one(request: pytest.FixtureRequest) -> OpenStore:
    if request.param == "memory":
        return lambda: open_store("memory:")
    if request.param == "directory":
        path: Path = request.getfixturevalue("tmp_path")
        return lambda: open_store(path / "steps")
    bucket, endpoint = request.getfixturevalue("bucket"), request.getfixturevalue("s3_endpoint")
    transport = "botocore" if request.param == "s3 by botocore" else None
    return lambda: open_store(f"s3://{bucket}/wf/steps", endpoint_url=endpoint, transport=transport)


@pytest.fixture
async def store(open_one: OpenStore) -> AsyncIterator[StepStore]:
    async with open_one() as opened:
        yield opened


class FailingFiles:
    """Journal files in memory that count, delay and fail."""

    where = "nowhere"
    remote = True

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.written: list[float] = []
        self.listed = 0
        self.error: Exception | None = None
        self.delay = 0.0

    async def names(self) -> list[str]:
        self.listed += 1
        return list(self.files)

    async def read(self, name: str) -> JournalFile | None:
        body = self.files.get(name)
        return None if body is None else JournalFile(body, 0.0)

    async def write(self, name: str, body: bytes) -> None:
        self.written.append(asyncio.get_running_loop().time())
        await anyio.sleep(self.delay)
        if self.error is not None:
            raise self.error
        self.files[name] = body

    async def remove(self, names: Iterable[str]) -> None:
        for name in names:
            del self.files[name]

    def lines(self) -> list[bytes]:
        return [line for name in sorted(self.files) for line in self.files[name].splitlines()]


class FailingStore(MemoryStore):
    """A memory store with such files."""

    def __init__(self) -> None:
        super().__init__()
        self.journal_files: Any = FailingFiles()


async def test_the_story_of_a_run(store: StepStore) -> None:
    tried: list[int] = []

    @activity(retry=2, retry_wait=0.001)
    async def flaky(secret: str) -> str:
        tried.append(1)
        if len(tried) < 3:
            raise OSError("at http://user:hidden@host/ no luck")
        return secret

    await store.mark_done("report", {"run_id": "earlier"})
    async with StepRun(
        store,
        workflow_id="nightly",
        run_id="r 1/x",
        version="7",
        force={"load": "new data"},
        skip=["old"],
        about={"target": "flow:main", "parameters": {"day": "today", "api_token": "hidden"}},
    ) as run:
        await run.submit(Step("load", (flaky, "hidden argument"), force_steps_if_executed=["report"]))
        await run.submit(Step("report", noop, emit_signal=True))
        await run.submit(Step("old.table", noop))
        run.add_skipped_steps("late", "too late")
        await run.submit(Step("late", noop))
        await run.submit(Step("bad", fails))
        await run.submit(Chain(SignalTask("go", "hidden payload")))
        run.record_marker("mine", {"note": "hidden details"})
    (events,) = await journals(store)
    events = [event for event in events if not (event["event"] == "started" and event["segment"] > 1)]
    events = [event for event in events if event["event"] != "alive"]
    early = ("scheduled", "load") in told(
        events
    )  # the withdrawal has it written at once, if there is time for that
    assert told(events) == [
        ("started", None),
        ("forces", "load"),
        *([("scheduled", "load")] if early else []),
        ("withdrawing", "load"),
        ("retrying", "load"),
        ("retrying", "load"),
        ("completed", "load"),
        ("completed", "report"),
        ("signal", "report"),
        ("skipped", "old.table"),
        ("selector", None),
        ("skipped", "late"),
        ("failed", "bad"),
        ("signal", None),
        ("marker", None),
        ("ended", None),
    ]
    assert {(event["run"], event["workflow"]) for event in events} == {("r 1/x", "nightly")}
    assert events[0]["version"] == "7"
    assert events[0]["force"] == [["load", "new data"]]
    assert events[0]["skip"] == [["old", None]]
    assert events[0]["about"] == {"target": "flow:main", "parameters": {"day": "today", "api_token": "***"}}
    assert events[0]["asyncsteps"] == asyncsteps.__version__
    (withdrawing,), retrying = of(events, "withdrawing"), of(events, "retrying")
    assert withdrawing["names"] == ["report"]
    assert [(event["attempt"], event["of"]) for event in retrying] == [(1, 3), (2, 3)]
    load, report = of(events, "completed")
    assert (load["attempts"], load["forced"], load["reasons"]) == (3, True, ["new data"])
    assert load["us"] > 0
    assert ("scheduled_us" in load) is not early
    assert 0 < report["us"] <= report["scheduled_us"]
    assert report["reasons"] == ["Dep of load"]
    assert [event["reasons"] for event in of(events, "skipped")] == [[], ["too late"]]
    assert of(events, "failed")[0]["error"] == "ValueError: no luck"
    assert events[-1]["outcome"] == "failed"
    assert events[-1]["counts"] == {"scheduled": 3, "completed": 2, "skipped": 2, "failed": 1}
    assert "hidden" not in repr(events)
    (summary,) = await journal.runs(store)
    assert (summary.run_id, summary.outcome, summary.failures) == ("r 1/x", "failed", 1)
    assert summary.about["target"] == "flow:main"
    assert summary.problems == ()
    story, _ = await journal.story(store, "r 1/x")
    assert replace(story, heard=0.0) == replace(summary, heard=0.0)


async def test_a_mark_says_who_and_how(store: StepStore) -> None:
    async with StepRun(store, workflow_id="w", force={"a": "x" * 1_000}) as run:
        await run.submit(Step("a", Chain(noop, noop, Group(noop))))
        await run.submit(Step("b", (noop,)))
    record = await store.read_done("a")
    assert record is not None
    assert list(record)[:4] == ["run_id", "workflow_id", "version", "marked_at"]
    assert (record["run_id"], record["workflow_id"], record["version"]) == (run.run_id, "w", None)
    assert record["queued"] <= record["started"] <= record["ended"] == record["marked_at"]
    assert record["attempts"] == 1
    assert record["forced"] is True
    assert record["reasons"] == [f"{'x' * 299}…"]
    assert record["activity"] == "chain of 3 (run_support.noop, run_support.noop, …)"
    assert record["host"]
    other = await store.read_done("b")
    assert other is not None
    assert other["activity"] == "run_support.noop"


async def test_no_listing_sees_it(store: StepStore) -> None:
    async with StepRun(store, workflow_id="w") as run:
        await run.submit(Step("a", noop))
    assert len(await journal.runs(store)) == 1
    assert await store.list_done(on_foreign=pytest.fail) == ["a"]
    assert await store.done_page() == DonePage(("a",), None)


@pytest.mark.parametrize("prefix", ["steps/", "wf/steps/", ".hidden/", "_x/", ".asyncsteps-journal/", "é/"])
def test_no_prefix_of_the_steps_prefix_sees_it(prefix: str) -> None:
    where = journal_prefix(prefix)
    assert where is not None
    assert not any(where.startswith(prefix[:end]) for end in range(1, len(prefix) + 1))


@pytest.mark.parametrize("slash", ["", "/"])
async def test_simpleflows_own_listing_does_not_see_it(
    moto_server: MotoServer, bucket: str, monkeypatch: pytest.MonkeyPatch, slash: str
) -> None:
    from simpleflow.step.tasks import GetStepsDoneTask

    monkeypatch.setenv("AWS_ENDPOINT_URL", moto_server.endpoint)
    async with open_store(f"s3://{bucket}/wf/steps") as store, StepRun(store, workflow_id="w") as run:
        await run.submit(Step("a", noop))
    assert any(key.startswith(".asyncsteps-journal/") for key in moto_server.keys(bucket))
    assert await asyncio.to_thread(GetStepsDoneTask(bucket, f"wf/steps{slash}").execute) == ["a"]


async def test_under_an_empty_prefix_there_is_none(moto_server: MotoServer, bucket: str) -> None:
    async with open_store(f"s3://{bucket}", endpoint_url=moto_server.endpoint) as store:
        async with StepRun(store, workflow_id="w") as run:
            await run.submit(Step("a", noop))
        with pytest.raises(StoreError, match="keeps no journals"):
            await journal.runs(store)
    assert moto_server.keys(bucket) == ["a"]


async def test_it_is_switched_off() -> None:
    async with MemoryStore() as store, StepRun(store, workflow_id="w", journal=False) as run:
        await run.submit(Step("a", noop))
    assert await store.journal_files.names() == []


async def test_a_run_that_only_plans_leaves_none() -> None:
    async with MemoryStore() as store:
        async with StepRun(store, workflow_id="w") as run:
            await run.plan([Step("a", noop)])
        assert await store.journal_files.names() == []
        async with StepRun(store, workflow_id="w") as run:
            await run.plan([Step("a", noop)])
            await run.submit(Step("a", noop))
        assert len(await journal.runs(store)) == 1


class Foreign:
    """A store of somebody else's, which keeps no journals."""

    def __init__(self) -> None:
        self._store = MemoryStore()

    async def __aenter__(self) -> Self:
        await self._store.__aenter__()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._store.__aexit__(*exc_info)

    def __getattr__(self, name: str) -> Any:
        if name == "journal_files":
            raise AttributeError(name)
        return getattr(self._store, name)


async def test_a_store_without_journals_works() -> None:
    async with Foreign() as foreign:
        store: Any = foreign
        async with StepRun(store, workflow_id="w") as run:
            assert (await run.submit(Step("a", noop))).status == "completed"
        assert run.markers


async def test_old_journals_are_removed(store: StepStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "_CLEANS", 1)  # look at each end, on S3 too
    await journal.record_by_hand(store, "marked", ["z"], by="me")
    for number in range(5):
        async with StepRun(store, workflow_id="w", run_id=f"r{number}", keep_runs=2) as run:
            await run.submit(Step("a", noop))
    assert [run.run_id for run in await journal.runs(store)] == ["r4", "r3"]
    assert len(await journal.runs(store, by_hand=True)) == 3


async def test_a_run_that_may_go_on_keeps_its_journal() -> None:
    async with MemoryStore({"a": {}}) as store, StepRun(store, workflow_id="w", run_id="long") as run:
        await run.submit(Step("a", noop, force=True))  # its mark is withdrawn, which is written at once
        await anyio.wait_all_tasks_blocked()
        assert await store.journal_files.names()
        for number in range(3):
            async with StepRun(store, workflow_id="w", run_id=f"r{number}", keep_runs=1):
                pass
        assert [run.run_id for run in await journal.runs(store)] == ["r2", "long"]
        assert [run.outcome for run in await journal.runs(store)] == ["completed", "running"]


@pytest.mark.parametrize("given", [0, -1, True, 1.5])
async def test_keep_runs_is_checked(given: Any) -> None:
    with pytest.raises(StepDefinitionError, match="journal=False keeps none"):
        StepRun(MemoryStore(), workflow_id="w", keep_runs=given)


@pytest.mark.parametrize("given", [["a"], {"a": object()}, "text"])
def test_what_it_is_about_is_checked(given: Any) -> None:
    with pytest.raises(StepDefinitionError, match="a mapping of JSON values"):
        StepRun(MemoryStore(), workflow_id="w", about=given)


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


async def test_denied_it_warns_once_and_names_the_permission(
    fault_proxy: FaultProxy, bucket: str, caplog: pytest.LogCaptureFixture
) -> None:
    fault_proxy.inject(
        error_answer(403, "AccessDenied"),
        times=100,
        when=lambda request: request.method == "PUT" and ".asyncsteps-journal" in request.path,
    )
    async with open_store(f"s3://{bucket}/steps", endpoint_url=fault_proxy.endpoint) as store:
        async with StepRun(store, workflow_id="w") as run:
            assert (await run.submit(Step("a", noop))).status == "completed"
        assert await store.list_done() == ["a"]
    warnings = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(warnings) == 1
    assert "s3:PutObject" in warnings[0]
    assert f"{bucket}" in warnings[0]


async def test_the_whole_list_of_reasons_is_there_once() -> None:
    names = [f"load.s{number}" for number in range(40)]
    async with MemoryStore() as store, StepRun(store, workflow_id="w", run_id="r") as run:
        await run.submit(Chain(*(Step(name, noop, force_steps_if_executed=["report"]) for name in names)))
        outcomes = await run.submit(Chain(*(Step(f"report.s{number}", noop) for number in range(5))))
    whole = [f"Dep of {name}" for name in names]
    assert [list(outcome.reasons) for outcome in outcomes] == [whole] * 5
    (events,) = await journals(store)
    assert [event["reasons"] for event in events if event["event"] == "reasons"] == [whole]
    short = [event["reasons"] for event in events if str(event.get("step")).startswith("report")]
    assert short == [["Dep of load.s0 and 39 more"]] * 5
    _, story = await journal.story(store, "r")
    assert [event["reasons"] for event in story if event.get("step") == "report.s4"] == [whole]
    assert store.records["report.s0"]["reasons"] == ["Dep of load.s0 and 39 more"]


@pytest.mark.parametrize(
    ("reasons", "short"),
    [
        ([], []),
        (["Dep of a", "Dep of b", "Dep of c"], ["Dep of a", "Dep of b", "Dep of c"]),
        (["x", *(f"Dep of {n}" for n in "abcd"), "y"], ["x", "Dep of a and 3 more", "y"]),
        ([*"vwxyz"], [*"vwxyz"]),
    ],
)
def test_reasons_are_collapsed(reasons: list[str], short: list[str]) -> None:
    assert collapsed(reasons) == short


def test_the_reasons_of_dependents_begin_as_the_planner_has_it() -> None:
    from asyncsteps._journal.texts import DEPENDENT_OF
    from asyncsteps._plan.model import ForceDependents, StepRules
    from asyncsteps._plan.planner import Planner

    rules = StepRules("a.b", force_steps_if_executed=("c",))
    planner = Planner()
    phases = planner.phases(rules, planner.decide(rules, done=False), done=False)
    assert [phase.reason for phase in phases if isinstance(phase, ForceDependents)] == [f"{DEPENDENT_OF}a.b"]


async def test_a_change_by_hand_that_cannot_be_told_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    async with FailingStore() as store:
        store.journal_files.error = StoreError("out of order")
        await journal.record_by_hand(store, "marked", ["a"], by="me")
        assert [record.getMessage() for record in caplog.records] == [
            "the journal does not tell of this change (out of order)"
        ]
        store.journal_files.error = None
        await journal.record_by_hand(store, "forgotten", [], by="me")
        assert await journal.runs(store, by_hand=True) == []


@pytest.mark.parametrize("raised", [RuntimeError("of my own"), SystemExit(3)])
async def test_what_leaves_the_block_is_told(raised: BaseException) -> None:
    async with MemoryStore() as store:
        with pytest.raises(type(raised)):
            async with StepRun(store, workflow_id="w"):
                raise raised
        (run,) = await journal.runs(store)
    assert run.outcome == ("failed" if isinstance(raised, Exception) else "cancelled")
    assert run.error == f"{type(raised).__name__}: {raised}"


async def test_a_link_in_the_place_of_the_journals_is_not_followed(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "steps").mkdir()
    (tmp_path / "steps" / ".asyncsteps-journal").symlink_to(elsewhere)
    async with open_store(tmp_path / "steps") as store:
        async with StepRun(store, workflow_id="w") as run:
            assert (await run.submit(Step("a", noop))).status == "completed"
        assert await store.list_done() == ["a"]
        assert await journal.runs(store) == []
    assert list(elsewhere.iterdir()) == []
