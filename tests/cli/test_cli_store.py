"""ls, show, mark and forget on real stores; each as the installed script at least once."""

import asyncio
import json
import os
import pty
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
from commands import COMMAND, Ended, command, environment, installed
from servers import MotoServer

import asyncsteps

NAMES = ["census.asyncio", "census.json", "report", "report.graph", "übung: 1"]


@pytest.fixture
def store(tmp_path: Path) -> str:
    return str(tmp_path / "steps")


@pytest.fixture
def filled(store: str) -> str:
    _fill(store, NAMES)
    return store


def _fill(url: str, names: list[str], **record: Any) -> None:
    async def fill() -> None:
        async with asyncsteps.open_store(url) as opened:
            for name in names:
                await opened.mark_done(name, {"run_id": "r", "workflow_id": "w", "version": "1", **record})

    asyncio.run(fill())


def _done(url: str) -> list[str]:
    async def done() -> list[str]:
        async with asyncsteps.open_store(url) as opened:
            return await opened.list_done()

    return asyncio.run(done())


class TestLs:
    def test_draws_a_tree(self, filled: str) -> None:
        ended = installed("ls", filled)
        assert ended.code == 0
        first, *tree = ended.out.splitlines()
        assert first.endswith(": 5 done steps")
        assert tree == [
            "├── census (2)",
            "│   ├── asyncio",
            "│   └── json",
            "├── report (2, itself too)",
            "│   └── graph",
            "└── übung: 1",
        ]

    def test_shows_what_a_selector_selects(self, filled: str) -> None:
        ended = command("ls", filled, "report")
        assert ended.out.splitlines()[0].endswith(": 2 done steps under report")
        assert ended.out.splitlines()[1:] == ["└── report (2, itself too)", "    └── graph"]

    def test_rolls_large_groups_up(self, store: str) -> None:
        _fill(store, [f"census.m{number:02}" for number in range(40)])
        assert command("ls", store).out.splitlines()[1:] == ["└── census (40)"]
        assert len(command("ls", store, "census").out.splitlines()) == 2 + 40
        assert len(command("ls", store, "--depth", "2").out.splitlines()) == 2 + 40

    def test_tells_when_steps_were_marked(self, store: str) -> None:
        for number, name in enumerate(["a.x", "a.y", "b.c.z"]):
            _fill(store, [name], marked_at=f"2026-11-24T1{number}:00:00+01:00")
        _fill(store, ["b.d", "é"])  # as simpleflow marks, which tells no time
        _fill(store, ["z"], marked_at="yesterday")
        assert command("ls", store).out.splitlines()[1:] == [
            "├── a (2)      2026-11-24 10:00:00Z",
            "│   ├── x      2026-11-24 09:00:00Z",
            "│   └── y      2026-11-24 10:00:00Z",
            "├── b (2)",
            "│   ├── c (1)  2026-11-24 11:00:00Z",
            "│   │   └── z  2026-11-24 11:00:00Z",
            "│   └── d",
            "├── z",
            "└── é",
        ]

    def test_reads_few_marks_of_many_steps(self, store: str) -> None:
        _fill(store, ["few.x", *(f"many.s{number}" for number in range(101))], marked_at="2026-11-24T10:00:00Z")
        assert command("ls", store).out.splitlines()[1:] == [
            "├── few (1)  2026-11-24 10:00:00Z",
            "│   └── x    2026-11-24 10:00:00Z",
            "└── many (101)",
        ]

    def test_depth_limits_the_levels(self, filled: str) -> None:
        ended = command("ls", filled, "--depth", "1")
        assert ended.out.splitlines()[1:] == ["├── census (2)", "├── report (2, itself too)", "└── übung: 1"]

    def test_a_depth_of_nothing_is_refused(self, filled: str) -> None:
        ended = command("ls", filled, "--depth", "0")
        assert (ended.code, ended.out) == (2, "")
        assert "--depth 0" in ended.err

    @pytest.mark.parametrize("arguments", [["ls"], ["show", "a"], ["mark", "a"], ["forget", "a", "--yes"]])
    def test_a_store_that_lasts_no_longer_is_refused(self, arguments: list[str]) -> None:
        name, *rest = arguments
        ended = command(name, "memory:", *rest)
        assert (ended.code, ended.out) == (2, "")
        assert "'memory:' lasts no longer than this command" in ended.err

    def test_writes_plain_names(self, filled: str) -> None:
        assert command("ls", filled, "--names").out.splitlines() == NAMES

    def test_writes_json(self, filled: str) -> None:
        listed = command("ls", filled, "--json").json
        assert listed["steps"] == NAMES
        assert listed["count"] == 5
        assert listed["groups"] == {"census": 2, "report": 2, "übung: 1": 1}
        assert listed["foreign"] == []
        assert listed["selector"] == "*"

    def test_an_empty_store_is_no_error(self, store: str) -> None:
        ended = command("ls", store)
        assert ended.code == 0
        assert ended.out.endswith(": 0 done steps\n")
        assert f"there is no directory {store!r}" in ended.err
        Path(store).mkdir()
        ended = command("ls", store, "--names")
        assert (ended.code, ended.out, ended.err) == (0, "", "")

    def test_a_malformed_selector_is_refused(self, filled: str) -> None:
        ended = command("ls", filled, "a..b")
        assert (ended.code, ended.out) == (2, "")
        assert "'a..b'" in ended.err

    def test_reports_unrecognised_keys(self, moto_server: MotoServer, bucket: str) -> None:
        moto_server.put(bucket, "steps/a.b")
        moto_server.put(bucket, "steps/folder/")
        ended = command("ls", f"s3://{bucket}/steps", "--endpoint-url", moto_server.endpoint)
        assert ended.code == 0
        assert ended.out.splitlines()[1:] == ["└── a (1)", "    └── b"]
        assert "unrecognised key" in ended.err
        assert "'folder/'" in ended.err
        assert "perhaps" not in ended.err
        ended = command("ls", f"s3://{bucket}", "--endpoint-url", moto_server.endpoint, "--json")
        assert ended.json["foreign"] == ["steps/a.b", "steps/folder/"]
        assert f"a store is a complete prefix: s3://{bucket}/steps, perhaps?" in ended.err

    def test_an_empty_prefix_is_told_what_is_beside_it(self, moto_server: MotoServer, bucket: str) -> None:
        for key in ("x/steps/load.a", "x/.hidden/steps/a", "x/other/nested/b", "x/step-old/", "y/z/a", "top/a"):
            moto_server.put(bucket, key)

        def told(place: str, *more: str) -> str:
            return command("ls", f"s3://{bucket}/{place}", "--endpoint-url", moto_server.endpoint, *more).err

        near = f"did you mean s3://{bucket}/x/steps/ or s3://{bucket}/x/other/nested/?"
        assert f"no steps under s3://{bucket}/x/step/; {near}" in told("x/step")
        assert f"did you mean s3://{bucket}/top/" in told("tip")
        assert told("x/step", "load") == ""
        assert told("nothing/is/here") == ""

    def test_an_empty_directory_is_told_what_is_beside_it(self, tmp_path: Path) -> None:
        command("mark", str(tmp_path / "steps"), "a.b")
        (tmp_path / "other").mkdir()
        (tmp_path / "other" / "README").write_text("no mark", "utf-8")
        ended = command("ls", str(tmp_path / "step"))
        assert ended.code == 0
        assert ended.err.endswith(f"did you mean {(tmp_path / 'steps').as_uri()}?\n")
        (tmp_path / "steps" / "a.b").unlink()
        assert "did you mean" not in command("ls", str(tmp_path / "step")).err
        assert command("ls", str(tmp_path / "no" / "such" / "place")).code == 0

    def test_a_reader_that_stops_reading_is_no_error(self, filled: str) -> None:
        read, write = os.pipe()
        os.close(read)
        with os.fdopen(write, "wb") as out:
            ended = subprocess.run(
                [COMMAND, "ls", filled],
                stdout=out,
                stderr=subprocess.PIPE,
                env=environment(),
                check=False,
                timeout=60,
            )
        assert (ended.returncode, ended.stderr) == (0, b"")


class TestShow:
    def test_shows_the_record(self, store: str) -> None:
        _fill(store, ["a"], result={"lines": 3})
        ended = installed("show", store, "a")
        assert ended.code == 0
        assert ended.out.splitlines()[0] == "a"
        assert '  result       {"lines": 3}' in ended.out.splitlines()
        assert "  workflow_id  w" in ended.out.splitlines()

    def test_writes_json(self, store: str) -> None:
        _fill(store, ["a"])
        shown = command("show", store, "a", "--json").json
        assert shown["done"] is True
        assert shown["record"] == {"run_id": "r", "workflow_id": "w", "version": "1"}

    def test_a_step_that_is_not_done_ends_with_1(self, store: str) -> None:
        ended = installed("show", store, "a")
        assert (ended.code, ended.out) == (1, "")
        assert "a is not done" in ended.err
        ended = command("show", store, "a", "--json")
        assert (ended.code, ended.json["done"], ended.json["record"]) == (1, False, None)

    def test_a_bad_name_is_refused(self, store: str) -> None:
        ended = command("show", store, "a/b")
        assert ended.code == 2
        assert "'a/b'" in ended.err


class TestMark:
    def test_marks_and_says_by_whom(self, store: str) -> None:
        ended = installed("mark", store, "a.b", "c", "a.b", "--reason", "done by hand")
        assert ended.code == 0
        assert ended.out == "marked a.b\nmarked c\n"
        assert _done(store) == ["a.b", "c"]
        record = command("show", store, "c", "--json").json["record"]
        assert {"run_id", "workflow_id", "version"} <= record.keys()
        assert record["reason"] == "done by hand"
        assert "@" in record["marked_by"]
        assert record["workflow_id"] == "asyncsteps mark"

    def test_records_the_workflow_id(self, store: str) -> None:
        marked = command("mark", store, "a", "--workflow-id", "w-7", "--json").json
        assert marked["marked"] == ["a"]
        assert marked["record"]["workflow_id"] == "w-7"
        assert command("show", store, "a", "--json").json["record"] == marked["record"]

    def test_keeps_the_record_of_what_is_done(self, filled: str) -> None:
        marked = command("mark", filled, "new", "report", "--json").json
        assert (marked["marked"], marked["already_done"]) == (["new"], ["report"])
        assert command("show", filled, "report", "--json").json["record"]["run_id"] == "r"

    def test_replaces_it_when_asked(self, filled: str) -> None:
        ended = command("mark", filled, "report", "--replace")
        assert ended.out == "marked report\n"
        assert command("show", filled, "report", "--json").json["record"]["run_id"] != "r"

    def test_a_bad_name_marks_none(self, store: str) -> None:
        ended = command("mark", store, "good", "bad/name")
        assert (ended.code, ended.out) == (2, "")
        assert "'bad/name'" in ended.err
        assert _done(store) == []

    def test_needs_a_name(self, store: str) -> None:
        assert command("mark", store).code == 2


class TestForget:
    def test_withdraws_what_is_selected(self, filled: str) -> None:
        ended = installed("forget", filled, "report", "census.json", "--yes")
        assert ended.code == 0
        assert ended.out == "withdrawn census.json\nwithdrawn report\nwithdrawn report.graph\n"
        assert _done(filled) == ["census.asyncio", "übung: 1"]

    def test_a_dry_run_only_says(self, filled: str) -> None:
        ended = command("forget", filled, "report", "--dry-run")
        assert ended.code == 0
        assert "would withdraw 2 done marks" in ended.out
        assert "report (2, itself too)" in ended.out
        assert _done(filled) == NAMES
        told = command("forget", filled, "report", "--dry-run", "--json").json
        assert (told["matched"], told["withdrawn"]) == (["report", "report.graph"], [])

    def test_refuses_where_nobody_can_be_asked(self, filled: str) -> None:
        ended = installed("forget", filled, "*", stdin="y\n")
        assert (ended.code, ended.out) == (2, "")
        assert "5 done marks" in ended.err
        assert "--yes" in ended.err
        assert _done(filled) == NAMES

    @pytest.mark.parametrize(("answer", "code", "left"), [(b"y\n", 0, 3), (b"\n", 1, 5), (b"no\n", 1, 5)])
    def test_asks_on_a_terminal(self, filled: str, answer: bytes, code: int, left: int) -> None:
        assert _with_terminal(["forget", filled, "census"], answer).code == code
        assert len(_done(filled)) == left

    def test_an_interrupt_at_the_question_withdraws_nothing(self, filled: str) -> None:
        assert _with_terminal(["forget", filled, "census"], None).code == 130
        assert _done(filled) == NAMES

    def test_nothing_to_forget_is_said(self, filled: str) -> None:
        ended = command("forget", filled, "nothing", "--yes")
        assert (ended.code, ended.out) == (0, "")
        assert "'nothing' matches no done step" in ended.err

    def test_writes_json(self, filled: str) -> None:
        forgotten = command("forget", filled, "census", "--yes", "--json").json
        assert forgotten["withdrawn"] == ["census.asyncio", "census.json"]
        assert forgotten["selectors"] == ["census"]
        assert forgotten["dry_run"] is False

    def test_needs_a_selector(self, store: str) -> None:
        assert command("forget", store, "--yes").code == 2


def _with_terminal(arguments: list[str], answer: bytes | None) -> Ended:
    """Run the command with a terminal as its stdin, and answer as soon as it asks; None: interrupt it."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [COMMAND, *arguments],
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    )
    os.close(theirs)
    assert process.stderr is not None
    asked = b""
    while not asked.endswith(b"[y/N] "):
        byte = process.stderr.read(1)
        assert byte, asked
        asked += byte
    if answer:
        os.write(ours, answer)
    else:
        process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    os.close(ours)
    return Ended(process.returncode, out.decode(), (asked + err).decode())


class TestErrors:
    def test_a_missing_bucket_ends_with_3(self, moto_server: MotoServer) -> None:
        ended = installed("ls", "s3://no-such-bucket-here/x", "--endpoint-url", moto_server.endpoint)
        assert (ended.code, ended.out) == (3, "")
        assert "no-such-bucket-here" in ended.err
        assert len(ended.err.splitlines()) == 1

    def test_an_endpoint_out_of_reach_ends_with_3(self) -> None:
        environment = {"AWS_MAX_ATTEMPTS": "1", "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9"}
        ended = command("show", "s3://somewhere/x", "a", env=environment)
        assert ended.code == 3
        assert "127.0.0.1:9" in ended.err

    @pytest.mark.parametrize("url", ["ftp://host/x", "s3://", "s3:///x"])
    def test_a_bad_url_ends_with_2(self, url: str) -> None:
        ended = command("ls", url)
        assert ended.code == 2
        assert url in ended.err

    def test_an_endpoint_for_a_directory_is_refused(self, store: str) -> None:
        ended = command("ls", store, "--endpoint-url", "http://127.0.0.1:9")
        assert ended.code == 2
        assert "endpoint_url" in ended.err

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["nonsense"], 'Unknown command "nonsense"'),
            (["ls"], "ls needs STORE (see asyncsteps ls --help)"),
            (["ls", "a", "b", "c"], "'c'"),
            (["ls", "a", "--what"], "--what"),
            (["run", "a.py:b"], "run needs --workflow-id and its value (see asyncsteps run --help)"),
            (["run", "a.py:b", "--workflow-di", "w"], "did you mean --workflow-id instead of --workflow-di?"),
        ],
    )
    def test_bad_usage_ends_with_2_and_one_line(self, arguments: list[str], said: str) -> None:
        ended = command(*arguments)
        assert (ended.code, ended.out) == (2, "")
        assert len(ended.err.splitlines()) == 1
        assert ended.err.startswith("asyncsteps: error: ")
        assert said in ended.err

    def test_help_names_the_exit_codes(self) -> None:
        ended = command("--help")
        assert ended.code == 0
        assert "130 interrupted" in ended.out
        for name in ("run", "plan", "ls", "show", "mark", "forget"):
            assert command(name, "--help").code == 0

    def test_says_its_version(self) -> None:
        from importlib.metadata import version

        assert installed("--version").out.strip() == version("asyncsteps")


def test_records_are_what_simpleflow_reads(tmp_path: Path) -> None:
    """The keys of a mark by hand are those that simpleflow's own marks have."""
    store = tmp_path / "steps"
    command("mark", store, "a")
    record = json.loads((store / "a").read_text())
    assert {"run_id", "workflow_id", "version"} <= record.keys()
