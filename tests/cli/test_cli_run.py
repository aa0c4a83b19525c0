"""run: what is played, on which store, and of which target; each exit code by the installed script too."""

import json
import os
import re
from pathlib import Path

import pytest
from cli_flow import Run, done, runner, steps, write_flow
from commands import command, installed
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


class TestWhatIsPlayed:
    def test_first_run_then_second(self, run: Run, store: str) -> None:
        first = run("main", "--json", by=installed)
        assert first.code == 0
        assert steps(first) == {
            "load.s0": ("completed", False, []),
            "load.s1": ("completed", False, []),
            "report": ("completed", True, ["Dep of load.s0", "Dep of load.s1"]),
        }
        assert first.json["result"] == 1.0
        assert done(store) == ["load.s0", "load.s1", "report"]
        second = run("main", "--json")
        assert second.code == 0
        already = ("skipped", False, ["Step was already played"])
        assert steps(second) == dict.fromkeys(("load.s0", "load.s1", "report"), already)
        assert second.json["result"] == 1.0
        assert second.json["counts"] == {"played": 0, "skipped": 3, "failed": 0, "cancelled": 0}

    def test_forced_with_a_reason_and_its_dependents(self, run: Run) -> None:
        run("main", "--quiet")
        ended = run("main", "--force", "load.s1=new data=here", "--json")
        assert steps(ended) == {
            "load.s0": ("skipped", False, ["Step was already played"]),
            "load.s1": ("completed", True, ["new data=here"]),
            "report": ("completed", True, ["Dep of load.s1"]),
        }

    def test_skipped_with_a_reason_unless_forced(self, run: Run, store: str) -> None:
        options = ["--skip", "good=not now", "--skip", "bad", "--skip", "later", "--force", "later=all the same"]
        ended = run("failing", *options, "--json")
        assert ended.code == 0
        assert steps(ended) == {
            "good": ("skipped", True, ["not now"]),
            "bad": ("skipped", True, []),
            "later": ("completed", True, ["all the same"]),
        }
        assert done(store) == ["later"]

    def test_an_escaped_equals_sign_belongs_to_the_selector(self, run: Run) -> None:
        run("named")
        ended = run("named", "--force", r"day\=1=again", "--json")
        assert steps(ended) == {"day=1": ("completed", True, ["again"])}

    def test_an_exact_selector_forces_one_name(self, run: Run) -> None:
        run("grouped")
        ended = run("grouped", "--force", "=report=again", "--skip", "=report", "--json")
        assert {name: told[0] for name, told in steps(ended).items()} == {
            "report": "completed",
            "report.std": "skipped",
        }
        assert steps(ended)["report"][2] == ["again"]
        assert ended.json["unmatched_selectors"] == []
        hinted = run("grouped", "--force", "=repor", "--force", "=report.s")
        assert hinted.err.count("is it misspelt?") == 2
        assert run("main", "--force", "=load").err.count("it selects 'load' alone") == 1

    def test_it_stops_after_the_steps_that_until_selects(self, run: Run, store: str) -> None:
        first = run("in_turn", "--until", "load", "--json", by=installed)
        assert first.code == 0
        assert list(steps(first)) == ["load.a", "load.b"]
        assert (first.json["stopped_after"], first.json["result"]) == ("load.b", None)
        second = run("in_turn", "--until", "=report")
        assert second.code == 0
        assert "stopped after report; what comes after was not begun" in second.out
        assert done(store) == ["load.a", "load.b", "report"]
        assert "completed, stopped after report" in command("runs", store).out
        told = command("why", store, "mail").out
        assert "the run stopped after report, before it came to it" in told

    def test_until_that_matches_no_step_stops_nothing_and_is_an_error(self, run: Run, store: str) -> None:
        ended = run("in_turn", "--until", "lod", "--json")
        assert ended.code == ended.json["exit_code"] == 2
        assert "--until 'lod' matched no step, so that nothing stopped the run" in ended.err
        assert (ended.json["stopped_after"], ended.json["unmatched_selectors"]) == (None, ["lod"])
        assert len(done(store)) == 4
        assert run("failing", "--until", "lod").code == 1
        assert run("in_turn", "--until", "mail").code == 0

    def test_what_the_code_logs_is_shown_from_the_level_that_is_asked_for(self, run: Run) -> None:
        at_info = run("logging_", "--log-level", "info", "--quiet", by=installed)
        assert at_info.code == 0
        assert re.search(
            r"^\d\d:\d\d:\d\d info flow\.load: read 3 rows of \\u001b\[31musers$", at_info.err, re.MULTILINE
        )
        assert "warning flow.load: '%d rows' cannot be formatted with its arguments" in at_info.err
        assert "counting" not in at_info.err
        assert "secret" not in at_info.err
        assert "scheduled" not in at_info.err
        again = ("--force", "*", "--quiet", "--log-level")
        assert "counting 3 rows" in run("logging_", *again, "debug").err
        assert run("logging_", *again, "error").err == ""
        assert "read 3 rows" not in run("logging_", "--force", "*").err
        assert run("logging_", "--log-level", "loud").code == 2

    def test_limits_hold_under_the_steps_that_they_select(self, run: Run) -> None:
        assert run("wide", "--limit", "wide=2", "--json").json["result"] == 2
        assert (
            run("wide", "--limit", r"=wide.s1=1", "--limit", "*=3", "--force", "*", "--json").json["result"] == 3
        )

    @pytest.mark.parametrize("given", ["load", "load=", "=2", "load=0", "load=-1", "load=two", "load=1.5"])
    def test_a_limit_without_a_number_is_refused(self, run: Run, given: str) -> None:
        ended = run("wide", "--limit", given)
        assert ended.code == 2
        assert f"--limit {given!r}" in ended.err
        assert "load.stripe=5" in ended.err

    def test_two_limits_for_one_selector_are_refused(self, run: Run) -> None:
        ended = run("wide", "--limit", "wide=1", "--limit", "wide=2")
        assert (ended.code, "given twice" in ended.err) == (2, True)

    def test_one_selector_twice_gives_both_reasons(self, run: Run) -> None:
        ended = run("named", "--force", "*=one", "--force", "*=two", "--json")
        assert steps(ended)["day=1"][2] == ["one", "two"]

    def test_a_selector_that_matches_nothing_is_warned_about(self, run: Run) -> None:
        ended = run("main", "--force", "lod.s1", "--json")
        assert ended.code == 0
        assert "'lod.s1'" in ended.err
        assert ended.json["unmatched_selectors"] == ["lod.s1"]

    def test_params_are_typed(self, run: Run) -> None:
        ended = run("main", "--param", "count=4", "--param", "factor=0.5", "--json")
        assert ended.json["result"] == 3.0
        assert len(ended.json["steps"]) == 5

    @pytest.mark.parametrize("bound", [1, 3])
    def test_so_many_at_once(self, run: Run, bound: int) -> None:
        assert run("wide", "--max-parallel", str(bound), "--json").json["result"] == bound

    def test_records_say_who_marked(self, run: Run, store: str) -> None:
        run("main", "--run-id", "r-1")
        record = command("show", store, "report", "--json").json["record"]
        assert (record["run_id"], record["workflow_id"], record["result"]) == ("r-1", "w", 1)
        assert "version" in record

    def test_markers_go_to_a_file(self, run: Run, tmp_path: Path) -> None:
        path = tmp_path / "markers.jsonl"
        run("main", "--markers", str(path))
        markers = [json.loads(line) for line in path.read_text().splitlines()]
        assert [marker["name"] for marker in markers] == ["log.step"] * 6
        assert {marker["details"]["status"] for marker in markers} == {"scheduled", "completed"}


class TestWorkflowClasses:
    def test_on_a_given_store(self, run: Run, store: str) -> None:
        ended = run("Loads", "--param", "count=2", "--json")
        assert (ended.code, ended.json["result"]) == (0, 2)
        assert done(store) == ["load.s0", "load.s1"]

    def test_its_hooks_make_the_store(self, flow: Path, moto_server: MotoServer, bucket: str) -> None:
        ended = command(
            "run",
            f"{flow}:Loads",
            "--workflow-id",
            "w-1",
            "--endpoint-url",
            moto_server.endpoint,
            "--json",
            "--no-journal",
            env={"FLOW_BUCKET": bucket},
        )
        assert ended.code == 0, ended.err
        assert moto_server.keys(bucket) == ["w-1/steps/load.s0"]
        assert ended.json["store"] == f"s3://{bucket}/w-1/steps/"

    def test_a_function_needs_a_store(self, flow: Path) -> None:
        ended = command("run", f"{flow}:main", "--workflow-id", "w")
        assert (ended.code, ended.out) == (2, "")
        assert "--store" in ended.err


class TestOnS3:
    def test_runs_and_skips(self, flow: Path, moto_server: MotoServer, bucket: str) -> None:
        options = ["--store", f"s3://{bucket}/a", "--workflow-id", "w", "--json", "--no-journal"]
        env = {"AWS_ENDPOINT_URL_S3": moto_server.endpoint}
        first = command("run", f"{flow}:main", *options, env=env)
        assert first.json["counts"]["played"] == 3
        assert moto_server.keys(bucket) == ["a/load.s0", "a/load.s1", "a/report"]
        assert command("run", f"{flow}:main", *options, env=env).json["counts"]["skipped"] == 3

    def test_a_missing_bucket_ends_with_3(self, flow: Path, moto_server: MotoServer) -> None:
        ended = installed(
            "run",
            f"{flow}:main",
            *["--store", "s3://no-such-bucket-here/a", "--workflow-id", "w"],
            *["--endpoint-url", moto_server.endpoint],
        )
        assert ended.code == 3
        assert "no-such-bucket-here" in ended.err


class TestTargets:
    def test_what_cannot_be_run_ends_with_2(self, run: Run) -> None:
        ended = run("work")
        assert (ended.code, ended.out) == (2, "")
        assert "a plain function" in ended.err

    def test_a_module_is_found_from_where_one_is(self, flow: Path, tmp_path: Path) -> None:
        assert flow.parent == tmp_path
        ended = installed("run", "flow:main", "--store", "steps", "--workflow-id", "w", cwd=tmp_path)
        assert ended.code == 0, ended.err
        assert (tmp_path / "steps" / "report").exists()

    def test_a_file_finds_its_neighbours(self, tmp_path: Path) -> None:
        folder = tmp_path / "flows"
        folder.mkdir()
        (folder / "neighbour.py").write_text("def work(): return 5\n")
        (folder / "my-flow.py").write_text(
            "from asyncsteps import Step\nfrom neighbour import work\n\n"
            "async def main(run):\n    return (await run.submit(Step('a', work))).result\n"
        )
        ended = command(
            "run", "flows/my-flow.py:main", "--store", "s", "--workflow-id", "w", "--json", cwd=tmp_path
        )
        assert ended.json["result"] == 5


def test_a_fifo_as_the_markers_file_is_refused_at_once(flow: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "markers")
    ended = command(
        "run", f"{flow}:main", "--store", tmp_path / "s", "--workflow-id", "w", "--markers", tmp_path / "markers"
    )
    assert ended.code == 2
    assert f"--markers '{tmp_path / 'markers'}' cannot be written" in ended.err
