"""The lines of a journal: written, read back, damaged, of another version; and how alive is told."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from run_support import noop

from asyncsteps import Marker, MemoryStore, Step, StepRun, journal
from asyncsteps._journal import process
from asyncsteps._journal.lines import Encoder, as_written, decoded, is_of_status, lines_of, time_of
from asyncsteps._journal.places import folder_name, folders, segment_name
from asyncsteps._journal.process import lives, process_mark
from asyncsteps._journal.reading import whole
from asyncsteps._journal.story import RunLog
from asyncsteps._journal.submissions import submissions
from asyncsteps._journal.texts import shortened, shortened_reason, without_secrets
from asyncsteps.report import RunStory, page

NOW = datetime(2026, 11, 24, 14, 35, 50, 871416, UTC)
TEXTS = st.text(max_size=30)


def log_of(*bodies: bytes, age: float = 0.0, ended: bool = False) -> RunLog:
    name = segment_name(folder_name("run", "r", NOW), 1, last=ended)
    (folder,) = folders([name])
    return RunLog(folder, bodies, age)


@given(
    run=TEXTS,
    step=st.text(min_size=1, max_size=30),
    reasons=st.lists(TEXTS, max_size=12),
    status=st.sampled_from(["scheduled", "completed", "skipped", "failed", "cancelled"]),
    forced=st.booleans(),
    queued=st.none() | st.floats(0, 1e6),
)
def test_a_marker_is_read_back(
    run: str, step: str, reasons: list[str], status: str, forced: bool, queued: float | None
) -> None:
    details = {"step": step, "status": status, "forced": forced, "reasons": reasons, "error": "x\ny"}
    started = None if queued is None else NOW - timedelta(seconds=1)
    submitted = None if queued is None or started is None else started - timedelta(seconds=queued)
    text = Encoder(run, "w").marker(Marker("log.step", details, NOW, started, submitted, 2))
    log = log_of(text.encode())
    (story,) = submissions(log, step)
    told = tuple(map(shortened_reason, reasons))
    assert (story.step, story.status, story.forced, story.reasons) == (step, status, forced, told)
    assert (story.seconds, story.attempts) == ((1.0, 2) if queued is not None else (None, 0))
    assert story.error == "x y"
    last = lines_of(text.encode())[-1]
    assert is_of_status(last)
    assert as_written(step) in last
    event = decoded(last)
    assert event is not None
    assert (event["run"], event["workflow"], time_of(event["at"])) == (run, "w", NOW)


@given(st.lists(st.binary(max_size=60) | st.sampled_from([b'{"event":1}', b"[]", b'{"event":"ended"', b"\xff"])))
def test_whatever_is_there_is_read_without_an_error(lines: list[bytes]) -> None:
    summary = log_of(b"\n".join(lines)).summary
    assert summary.run_id
    assert "its first line is missing" in summary.problems


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)
KINDS = [
    "started",
    "ended",
    "alive",
    "reasons",
    "forces",
    "withdrawing",
    "retrying",
    "lost",
    "scheduled",
    "failed",
]
EDGES = st.sampled_from(["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "2026-11-24T00:00:00Z"])
MEMBERS = [
    "at",
    "outcome",
    "us",
    "queue_us",
    "scheduled_us",
    "after",
    "attempts",
    "run",
    "step",
    "reasons",
    "list",
    "names",
    "counts",
    "force",
    "about",
    "seconds",
    "journal",
]


@given(
    st.lists(
        st.tuples(st.sampled_from(KINDS), st.dictionaries(st.sampled_from(MEMBERS), JSON | EDGES)),
        max_size=6,
    )
)
def test_members_of_any_kind_are_read_without_an_error(events: list[tuple[str, dict[str, Any]]]) -> None:
    from asyncsteps._journal.changes import changes_of
    from asyncsteps._journal.reasons import Reasoner

    body = "\n".join(
        json.dumps({"event": kind, **members}, separators=(",", ":"), default=str) for kind, members in events
    )
    log = log_of(body.encode())
    assert log.summary.outcome in {"completed", "failed", "cancelled", "running", "killed", "unknown"}
    list(log.events())
    for step in ("", "a"):
        changes_of([log], step)
        for story in submissions(log, step):
            Reasoner([log]).decision(log, story)
        Reasoner([log]).undone(step, None)


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"])
@pytest.mark.parametrize("odd", [{}, []])
async def test_a_damaged_journal_has_a_page(at: str, odd: object) -> None:
    events: list[dict[str, Any]] = [
        {"event": "started", "at": "2026-11-24T00:00:00Z", "run": "r", "about": {"n": float("inf")}},
        {"event": "reasons", "at": "2026-11-24T00:00:00Z", "list": odd, "reasons": odd},
        {"event": "completed", "at": at, "step": "a", "us": 1e14, "queue_us": 1e14, "list": odd},
        {"event": "failed", "at": "2026-11-24T00:00:00Z", "step": "a", "us": 1e14, "list": odd, "error": odd},
        {"event": "ended", "at": at, "outcome": odd},
    ]
    async with MemoryStore() as store:
        body = "\n".join(map(json.dumps, events)).encode()
        await store.journal_files.write(segment_name(folder_name("run", "r", NOW), 1, last=True), body)
        (summary,) = await journal.runs(store)
        assert summary.outcome == "unknown"
        _, told = await journal.story(store, "r")
        assert "<html" in page(RunStory.of(told))
        assert (await journal.why(store, "a")).runs


async def test_steps_that_are_skipped_alike_have_one_line() -> None:
    names = [f"s{number}" for number in range(1_500)]
    async with MemoryStore({name: {} for name in names}) as store:
        async with StepRun(store, workflow_id="w", run_id="r", skip=["x"]) as run:
            for name in [*names[:1_200], "x", *names[1_200:], "s7"]:
                await run.submit(Step(name, noop))
        summary, events = await journal.story(store, "r")
        skipped = [event for event in events if event["event"] == "skipped"]
        told = [name for event in skipped for name in event.get("names", [event.get("step")])]
        assert told == [*names[:1_200], "x", *names[1_200:], "s7"]
        assert len(skipped) <= 6  # batches end where they end
        assert summary.counts == {"skipped": 1_502}
        (log,) = [
            await whole(store.journal_files, folder) for folder in folders(await store.journal_files.names())
        ]
        assert log is not None
        assert [(story.status, story.reasons) for story in submissions(log, "s7")] == [
            ("skipped", ("Step was already played",))
        ] * 2
        assert [story.forced for story in submissions(log, "x")] == [True]
        assert submissions(log, "s") == []


async def test_a_damaged_journal_is_told_and_the_rest_is_read() -> None:
    async with MemoryStore() as store:
        async with StepRun(store, workflow_id="w", run_id="r") as run:
            await run.submit(Step("a", noop))
            await run.submit(Step("b", noop))
        files = store.journal_files
        name = (await files.names())[-1]
        file = await files.read(name)
        assert file is not None
        lines = [line for line in file.body.split(b"\n") if b'"step":"b"' not in line]
        damaged = b"\n".join([*lines[:-2], b'{"event":"comple', b"\x00\xff", *lines[-2:]])
        newer = damaged.replace(b'"journal":1', b'"journal":2')
        await files.write(name, newer)
        answer = await journal.why(store, "a")
        assert answer.runs[0].verdict.startswith("played in")
        assert [problem.partition(": ")[2] for problem in answer.problems] == [
            "2 damaged lines are left out",
            "it has version 2 of the lines, and this asyncsteps reads version 1",
        ]
        # The mark is there, and the journal does not tell of it.
        answer = await journal.why(store, "b")
        assert answer.state.text.startswith("it is done since ")
        assert "run r" in answer.state.text
        await files.write(name, newer[: newer.rindex(b'{"event":"ended"') + 20])
        assert (await journal.runs(store))[0].outcome == "unknown"


async def test_a_mark_that_is_gone_while_nothing_tells_who_withdrew_it() -> None:
    async with MemoryStore() as store:
        async with StepRun(store, workflow_id="w", run_id="r") as run:
            await run.submit(Step("a", noop))
        await store.withdraw(["a"])
        text = "\n".join((await journal.why(store, "a")).state.lines())
        assert "its mark is gone" in text
        assert "no journal tells who withdrew it since" in text
        at = datetime.now(UTC)
        body = Encoder("k", "w").event("started", at, {"journal": 1, "process": None}).encode()
        await store.journal_files.write(segment_name(folder_name("run", "k", at), 1, last=False), body)
        store.journal_files._files = {
            name: (body, when - 91) for name, (body, when) in store.journal_files._files.items()
        }
        text = "\n".join((await journal.why(store, "a")).state.lines())
        assert "run k (" in text
        assert "what it did in its last seconds may be untold" in text


async def test_marks_of_simpleflow_are_told() -> None:
    mark = {"run_id": "sf-1", "workflow_id": "wf", "version": "1"}
    async with MemoryStore({"a": mark, "b": {}, "c": {"marked_at": 7, "started": [], "reasons": 3}}) as store:
        assert (await journal.why(store, "a")).state.text == "it is done: played by run sf-1 of workflow wf"
        assert (await journal.why(store, "b")).state.text == "it is done; its mark does not say by which run"
        assert (await journal.show(store, "a")) == mark
        group = await journal.show(store, "*")
        assert isinstance(group, journal.MarkedGroup)
        assert (group.done, dict(group.runs), group.first, group.slowest) == (3, {"sf-1": 1}, None, ())


class TestAlive:
    def test_this_process_lives(self) -> None:
        assert lives(process_mark()) is True

    def test_one_that_has_ended_does_not_even_if_its_id_is_taken(self) -> None:
        code = "from asyncsteps._journal.process import process_mark; print(process_mark())"
        ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert lives(ended.stdout.strip()) is False
        mark = process_mark()
        assert mark is not None
        assert lives(f"{mark}0") is False

    def test_one_that_waits_to_be_reaped_has_ended(self) -> None:
        code = "from asyncsteps._journal.process import process_mark; print(process_mark(), flush=True); input()"
        with subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as child:
            assert child.stdout is not None
            mark = child.stdout.readline().strip()
            assert lives(mark) is True
            child.kill()
            os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
            assert lives(mark) is False

    @pytest.mark.parametrize("mark", [None, "", "elsewhere:1:2", "x" * 1_000])
    def test_of_others_nothing_is_known(self, mark: str | None) -> None:
        assert lives(mark) is None

    def test_without_proc_nothing_is_known(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from pathlib import Path

        mark = process_mark()
        monkeypatch.setattr(process, "_PROC", Path("/nowhere"))
        process._machine.cache_clear()
        try:
            assert process_mark() is None
            assert lives(mark) is None
        finally:
            process._machine.cache_clear()

    @pytest.mark.parametrize(("age", "outcome"), [(0.0, "running"), (89.0, "running"), (91.0, "killed")])
    def test_of_another_machine_the_age_decides(self, age: float, outcome: str) -> None:
        head = Encoder("r", "w").event("started", NOW, {"journal": 1, "process": "elsewhere:1:2"})
        summary = log_of(head.encode(), age=age).summary
        assert (summary.outcome, summary.certain, summary.heard) == (outcome, False, age)

    @pytest.mark.parametrize(("age", "outcome"), [(0.0, "running"), (91.0, "unknown")])
    def test_a_process_that_lives_and_is_silent(self, age: float, outcome: str) -> None:
        head = Encoder("r", "w").event("started", NOW, {"journal": 1, "process": process_mark()})
        summary = log_of(head.encode(), age=age).summary
        assert (summary.outcome, summary.certain) == (outcome, outcome == "running")


@pytest.mark.parametrize("run_id", ["r-1", "a/b", "x" * 65, "..", "", "é", "a\nb"])
def test_folders_have_the_names_of_runs(run_id: str) -> None:
    name = segment_name(folder_name("run", run_id, NOW), 3, last=True)
    (folder,) = folders(
        [name, "elsewhere/000001.jsonl", f"{name}.tmp", "x", "99999999T999999.999999Z-run-x/x.jsonl"]
    )
    assert (folder.begun, folder.kind, folder.ended, folder.segments) == (NOW, "run", True, (name,))
    assert name.count("/") == 1
    assert name.isascii()


def test_a_date_that_is_none_is_no_error() -> None:
    (folder,) = folders(["99999999T999999.999999Z-run-x/000001.jsonl"])
    assert folder.begun.year == 1


def test_texts_are_without_credentials_and_short() -> None:
    assert shortened("a\n b\x00" + "c" * 1_000).startswith("a b")
    assert len(shortened("c" * 1_000)) == 300
    assert "hidden" not in shortened("x http://user:hidden@host/ " * 50)
    about = {
        "db_password": "hidden",
        "n": [1, None, {"AWS_SECRET_ACCESS_KEY": "hidden"}],
        "url": "s3://k:hidden@b/",
    }
    assert "hidden" not in json.dumps(without_secrets(about))
    assert without_secrets(about)["n"][:2] == [1, None]


async def test_only_as_many_journals_are_read_as_the_answer_needs() -> None:
    async with MemoryStore() as store:
        for number in range(30):
            force = "a" if number % 10 == 0 else ()
            async with StepRun(store, workflow_id="w", run_id=f"r{number}", force=force) as run:
                await run.submit(Step("a", noop))
        read: list[str] = []
        files = store.journal_files

        class Counting:
            where, remote = "", False
            names, write, remove = files.names, files.write, files.remove

            async def read(self, name: str) -> journal.JournalFile | None:
                read.append(name)
                return await files.read(name)

        counted: Any = store
        counted.journal_files = Counting()
        answer = await journal.why(store, "a", runs=2)
        assert [each.run.run_id for each in answer.runs] == ["r29", "r28"]
        assert answer.runs[0].because[0].text.startswith("it was done already: played by run r20 ")
        assert len({name.partition("/")[0] for name in read}) == 10
