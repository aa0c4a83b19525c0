"""plan: what it says, and that it plays and writes nothing."""

from pathlib import Path

import pytest
from cli_flow import Run, done, runner, write_flow
from commands import Ended, command, installed
from servers import MotoServer


@pytest.fixture
def flow(tmp_path: Path) -> Path:
    return write_flow(tmp_path)


@pytest.fixture
def store(tmp_path: Path) -> str:
    return str(tmp_path / "steps")


@pytest.fixture
def run(flow: Path, store: str) -> Run:
    return runner(flow, store)


class TestPlan:
    def _plan(self, flow: Path, store: str, *options: str, by: Run = command) -> Ended:
        return by("plan", f"{flow}:main", "--store", store, "--workflow-id", "w", *options)

    def test_of_what_is_done(self, flow: Path, store: str, run: Run) -> None:
        run("main")
        before = _files(store)
        ended = self._plan(flow, store, "--json", by=installed)
        assert ended.code == 0
        assert ended.json["complete"] is True
        assert ended.json["incomplete_because"] is None
        assert ended.json["counts"] == {"run": 0, "skip": 3}
        assert {step["action"] for step in ended.json["steps"]} == {"skip"}
        assert _files(store) == before

    def test_that_needs_an_unknown_result_is_incomplete(self, flow: Path, store: str) -> None:
        ended = self._plan(flow, store, "--json")
        assert ended.code == 0
        assert ended.json["complete"] is False
        assert "the result of activity flow.work in step load.s" in ended.json["incomplete_because"]
        assert [step["step"] for step in ended.json["steps"]] == ["load.s0", "load.s1"]
        assert done(store) == []
        text = self._plan(flow, store).out
        assert "incomplete" in text
        assert "run load.s1" in text

    def test_stops_where_the_run_would(self, flow: Path, store: str) -> None:
        given = ("plan", f"{flow}:in_turn", "--store", store, "--workflow-id", "w", "--until")
        ended = command(*given, "load", "--json")
        assert [step["step"] for step in ended.json["steps"]] == ["load.a", "load.b"]
        assert (ended.json["stopped_after"], ended.json["complete"]) == ("load.b", True)
        assert "would stop after load.b" in command(*given, "load").out
        unmatched = command(*given, "lod")
        assert (unmatched.code, "'lod' matches no step" in unmatched.err) == (0, True)

    def test_says_why(self, flow: Path, store: str, run: Run) -> None:
        run("main")
        ended = self._plan(flow, store, "--force", "report=look again", "--skip", "load.s1=no", "--all")
        assert "report: look again" in ended.out
        assert "load.s1: no" in ended.out
        assert "Step was already played" in ended.out
        assert "would withdraw the marks of report" in ended.out

    def test_of_a_workflow_class(self, flow: Path, store: str) -> None:
        ended = command("plan", f"{flow}:Loads", "--store", store, "--workflow-id", "w", "--json")
        assert ended.json["counts"] == {"run": 1, "skip": 0}
        assert done(store) == []

    def test_the_hooks_are_asked_of_what_has_run(self, flow: Path, moto_server: MotoServer, bucket: str) -> None:
        options = [f"{flow}:Later", "--workflow-id", "w", "--param", f"prefix={bucket}/late"]
        options += ["--endpoint-url", moto_server.endpoint, "--force", "a=one", "--force", "a=two", "--json"]
        planned = command("plan", *options, env={"FLOW_BUCKET": bucket})
        assert planned.code == 0, planned.err
        assert planned.json["store"] == f"s3://{bucket}/{bucket}/late/"
        assert planned.json["steps"][0]["reasons"] == ["one", "two"]
        assert moto_server.keys(bucket) == []

    def test_errors_end_as_those_of_runs(self, flow: Path, store: str) -> None:
        assert self._plan(flow, store, "--force", "a..b").code == 2
        assert command("plan", f"{flow}:raising", "--store", store, "--workflow-id", "w").code == 1


def _files(store: str) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in Path(store).rglob("*") if path.is_file()}
