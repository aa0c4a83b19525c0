"""Six prepared nights, each explained by the command alone; and what it says where it cannot know."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from commands import COMMAND, Ended, command, environment
from night_flow import write_night_flow
from servers import MotoServer

Night = Callable[..., Ended]


@pytest.fixture(params=["directory", "s3"])
def store(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "directory":
        path: Path = request.getfixturevalue("tmp_path")
        return str(path / "steps")
    server: MotoServer = request.getfixturevalue("moto_server")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", server.endpoint)
    return f"s3://{request.getfixturevalue('bucket')}/nightly/steps"


@pytest.fixture
def flow(tmp_path: Path) -> Path:
    return write_night_flow(tmp_path)


@pytest.fixture
def night(flow: Path, store: str) -> Night:
    def run(run_id: str, *options: str, target: str = "nightly") -> Ended:
        given = ["--store", store, "--workflow-id", "w", "--run-id", run_id, "--quiet"]
        return command("run", f"{flow}:{target}", *given, *options)

    return run


def why(store: str, step: str, *options: str) -> str:
    ended = command("why", store, step, *options)
    assert ended.code == 0, ended.err
    return ended.out


def in_order(text: str, *parts: str) -> bool:
    """Whether the parts are in the text, one after the other."""
    at = 0
    for part in parts:
        at = text.find(part, at)
        if at < 0:
            return False
    return True


class TestNights:
    def test_skipped_as_done(self, night: Night, store: str) -> None:
        night("monday")
        night("tuesday")
        text = why(store, "report.users")
        assert text.startswith("report.users: done\n  it is done since ")
        assert in_order(text, "run tuesday", "completed: skipped", "it was done already: played by run monday")
        assert in_order(text, "run monday", "completed: played in", "as a dependent of transform.users")
        assert "a run that began now would skip it" in text

    def test_skipped_by_a_selector(self, night: Night, store: str) -> None:
        night("monday", "--skip", "report=the printer is broken")
        text = why(store, "report.users")
        # Forcing beats skipping: it is a dependent of what was played.
        assert in_order(text, "run monday", "played in", "as a dependent of transform.users, which was played")
        command("forget", store, "report", "--yes")
        night("tuesday", "--skip", "report=the printer is broken")
        text = why(store, "report.users")
        assert text.startswith("report.users: not done\n")
        assert in_order(text, "it is not done", "forgotten by hand by ", "not played again since")
        assert in_order(
            text, "run tuesday", "skipped", "skipped by the selector 'report', because: the printer is broken"
        )
        assert "a run that began now would play it" in text

    def test_forced_by_a_chain_of_three(self, night: Night, store: str) -> None:
        night("monday")
        night("tuesday", "--force", "extract=new data")
        assert in_order(
            why(store, "report.users", "--runs", "1"),
            "run tuesday",
            "played in",
            "\n  as a dependent of transform.users, which was played",
            "\n    as a dependent of extract.users, which was played",
            "\n      forced by the selector 'extract', because: new data",
        )

    def test_withdrawn_and_the_process_killed(self, night: Night, flow: Path, store: str, tmp_path: Path) -> None:
        night("monday")
        options = ["--store", store, "--workflow-id", "w", "--run-id", "tuesday", "--force", "extract=why"]
        kill(
            [f"{flow}:stuck", *options, "--param", f"folder={tmp_path}"],
            when=lambda: (
                (tmp_path / "started").exists() and "withdrawing" in command("runs", store, "tuesday").out
            ),
        )
        listed = command("runs", store, "--json").json["runs"]
        assert [(run["run_id"], run["outcome"], run["certain"]) for run in listed] == [
            ("tuesday", "killed", True),
            ("monday", "completed", True),
        ]
        assert "killed (its process has ended, " in command("runs", store).out
        text = why(store, "transform.users")
        assert text.startswith("transform.users: not done\n")
        assert in_order(
            text,
            "withdrawn by extract.users of run tuesday (",
            ", killed), and not played again since",
            "forced by the selector 'extract', because: why",
            "run tuesday",
            "killed (its process has ended",
            "not decided: the run was killed before it came to it",
            "its mark was withdrawn by extract.users, whose dependent it is",
            "a run that began now would play it",
        )
        assert "under way when the run was killed" in why(store, "extract.users")
        night("wednesday")
        assert in_order(why(store, "transform.users"), "transform.users: done", "run wednesday", "played in")

    def test_failed(self, night: Night, store: str) -> None:
        assert night("monday", target="failing").code == 1
        text = why(store, "report.users")
        assert in_order(
            text,
            "report.users: not done",
            "it is not done: it failed in run monday",
            "ValueError: the disk ***@host/ is full",
            "run monday",
            "failed: ValueError",
            "as a dependent of transform.users",
            "a run that began now would play it",
        )
        assert "hidden" not in text

    def test_marked_by_hand(self, night: Night, store: str) -> None:
        command("mark", store, "report.users", "--reason", "printed it myself")
        text = why(store, "report.users")
        assert in_order(text, "report.users: done", "marked by hand by ", "because: printed it myself")
        assert "no journal of a run is kept here" in text
        night("monday", target="without_report")
        text = why(store, "report.users")
        assert in_order(text, "run monday", "not decided: the code did not submit it")
        assert "would skip it" in text
        assert in_order(command("runs", store, "--by-hand").out, "run monday", "by hand, by ")


class TestNow:
    def test_selectors_that_are_asked_about(self, night: Night, store: str) -> None:
        night("monday")
        text = why(store, "report.users", "--force", "report=again")
        assert in_order(text, "would force it", "forced by the selector 'report', because: again")
        text = why(store, "report.users", "--skip", "report.users")
        assert in_order(text, "would skip it", "skipped by the selector 'report.users'")
        assert command("why", store, "report.users", "--force", "a..b").code == 2
        assert command("why", store, "a..b").code == 2
        assert command("why", store, "a", "--runs", "-1").code == 2

    def test_what_may_force_it(self, night: Night, store: str) -> None:
        night("monday")
        command("forget", store, "transform", "--yes")
        assert in_order(why(store, "report.users"), "would skip it", "unless transform.users, which is not done")

    def test_a_step_that_nobody_knows(self, night: Night, store: str) -> None:
        night("monday")
        text = why(store, "reprot.users")
        assert in_order(text, "not done: no journal that is kept tells of a run that played it", "would play it")

    def test_json(self, night: Night, store: str) -> None:
        night("monday", "--force", "extract=new data")
        told: Any = command("why", store, "report.users", "--json").json
        assert told["done"] is True
        assert told["mark"]["run_id"] == "monday"
        assert told["now"]["action"] == "skip"
        (run,) = told["runs"]
        assert run["run"]["run_id"] == "monday"
        assert run["because"][0]["text"].startswith("as a dependent of transform.users")
        assert run["because"][0]["because"][0]["because"][0]["text"].endswith("because: new data")
        (submission,) = run["submissions"]
        assert submission["status"] == "completed"
        assert submission["attempts"] == 1


class TestRuns:
    def test_that_ran(self, night: Night, store: str) -> None:
        assert command("runs", store).out.endswith(": 0 runs\n")
        night("monday")
        night("tuesday", target="failing")
        text = command("runs", store).out
        assert in_order(
            text, ": 2 runs", "completed  skipped 3", "run tuesday", "completed  played 3", "run monday"
        )
        assert command("runs", store, "--last", "1", "--json").json["runs"][0]["run_id"] == "tuesday"
        assert command("runs", store, "--last", "0").code == 2

    def test_all_of_one(self, night: Night, store: str) -> None:
        night("monday")
        text = command("runs", store, "monday").out
        assert in_order(
            text, "started", "forces", "completed   extract.users", "completed   report.users", "ended"
        )
        told = command("runs", store, "monday", "--json").json
        assert [event["event"] for event in told["events"]].count("completed") == 3
        ended = command("runs", store, "sunday")
        assert ended.code == 3
        assert "no journal of a run 'sunday' is kept" in ended.err

    def test_it_may_be_switched_off(self, night: Night, store: str) -> None:
        night("monday", "--no-journal")
        assert command("runs", store, "--json").json["runs"] == []

    def test_what_it_was_about(self, night: Night, flow: Path, store: str) -> None:
        night("monday", "--keep-runs", "1")
        night("tuesday", "--keep-runs", "1")
        told = command("runs", store, "--json").json["runs"]
        assert told[0]["about"] == {"target": f"{flow}:nightly", "parameters": {}}
        assert len(told) == (1 if not store.startswith("s3:") else len(told))


class TestShow:
    def test_a_step(self, night: Night, store: str) -> None:
        night("monday", "--force", "extract=new data")
        text = command("show", store, "extract.users").out
        assert in_order(text, "run_id", "monday", "attempts", "forced", "true", "new data", "activity", "took")

    def test_a_group(self, night: Night, store: str) -> None:
        night("monday")
        command("mark", store, "report.groups")
        ended = command("show", store, "report")
        assert ended.code == 0
        assert in_order(
            ended.out, "report: 2 done steps", "by runs   monday (1)", "by hand   1", "slowest   report.users"
        )
        group = command("show", store, "report", "--json").json
        assert (group["done"], group["record"]) == (False, None)
        assert group["group"]["done"] == 2
        assert group["group"]["slowest"][0]["step"] == "report.users"
        assert command("show", store, "nothing").code == 1


def kill(arguments: list[str], *, when: Callable[[], bool]) -> None:
    """Run the command, and kill it with SIGKILL once a condition holds."""
    process = subprocess.Popen(
        [COMMAND, "run", *arguments], env=environment(), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + 60
        while not when():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
