"""run: what is said of failures, of bad options and of what was decided, and with which exit code it ends."""

import os
import re
from pathlib import Path

import pytest
from cli_flow import Run, done, runner, steps, write_flow
from commands import Ended, command, installed


@pytest.fixture
def flow(tmp_path: Path) -> Path:
    return write_flow(tmp_path)


@pytest.fixture
def store(tmp_path: Path) -> str:
    return str(tmp_path / "steps")


@pytest.fixture
def run(flow: Path, store: str) -> Run:
    return runner(flow, store)


class TestFailures:
    def test_a_failed_step_ends_with_1(self, run: Run, store: str) -> None:
        ended = run("failing", "--json", by=installed)
        assert ended.code == ended.json["exit_code"] == 1
        assert steps(ended) == {
            "good": ("completed", False, []),
            "bad": ("failed", False, []),
            "later": ("completed", False, []),
        }
        assert [step["error"] for step in ended.json["steps"]] == [None, "ValueError: no luck", None]
        assert "ValueError: no luck" in ended.err
        assert done(store) == ["good", "later"]

    def test_one_that_bubbles_too(self, run: Run) -> None:
        ended = run("bubbling", "--json")
        assert ended.code == 1
        assert ended.json["counts"]["failed"] == 1
        assert ended.json["errors"]

    def test_the_traceback_is_shown_when_asked_for(self, run: Run) -> None:
        ended = run("failing", "--traceback")
        assert ended.code == 1
        assert "Traceback" in ended.err
        assert "in fail" in ended.err

    def test_what_the_code_itself_raises_ends_with_1(self, run: Run) -> None:
        ended = run("raising", "--json")
        assert ended.code == 1
        assert ended.json["errors"] == ["RuntimeError: of my own"]
        assert "RuntimeError: of my own" in ended.err

    @pytest.mark.parametrize("name", ["outside_steps", "going_on"])
    def test_an_activity_that_fails_outside_of_steps_is_named(self, run: Run, name: str) -> None:
        ended = run(name)
        assert ended.code == 1
        (line,) = [line for line in ended.out.splitlines() if line.startswith("  error: ")]
        assert line == "  error: ValueError: no luck (in activity flow.fail)"
        assert "no luck" in ended.err

    @pytest.mark.parametrize("name", ["leaving", "leaving_itself"])
    def test_code_that_calls_exit_does_not_pass_for_a_success(self, run: Run, store: str, name: str) -> None:
        ended = run(name, "--json")
        assert ended.code == ended.json["exit_code"] == 1
        (error,) = ended.json["errors"]
        assert error.startswith("the workflow's code called sys.exit(0)")
        assert f"asyncsteps: error: {error}" in ended.err.splitlines()
        assert {step["status"] for step in ended.json["steps"]} <= {"cancelled"}
        assert done(store) == []

    def test_many_failures_are_rolled_up_and_each_is_one_line(self, run: Run) -> None:
        ended = run("failing_much", "--quiet")
        assert ended.code == 1
        assert len(ended.err.splitlines()) == 25
        assert "no luck with 24 at all" in ended.err
        summary, *lines = ended.out.splitlines()
        assert "failed 25" in summary
        assert lines[1].startswith("  failed bad.s0 after ")
        assert lines[2].startswith("    ValueError: no luck with 0 at all")
        assert lines[3].startswith("    in flow.fail_at_length(number=0)")
        assert re.search(r"flow\.py:\d+ in fail_at_length: raise ValueError\(", lines[4])
        assert lines[5:] == ["    24 more failed at the same line: bad (24)"]
        assert all(len(line) < 600 for line in lines)

    def test_no_selector_is_called_misspelt_when_the_code_broke_off(self, run: Run) -> None:
        assert "misspelt" not in run("raising", "--force", "later").err

    def test_a_bad_step_name_ends_with_2(self, run: Run) -> None:
        ended = run("bad_name", by=installed)
        assert ended.code == 2
        assert "'a/b'" in ended.err

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            (["--force", "a..b"], "'a..b'"),
            (["--skip", "=a/b=why"], "'=a/b'"),
            (["--skip", ""], "''"),
            (["--param", "count=many"], "'many' does not fit int"),
            (["--param", "cuont=1"], "takes (*, count: int = 2, factor: float = 1.0)"),
            (["--max-parallel", "0"], "max_parallel"),
            (["--markers", "/nowhere/at/all"], "/nowhere/at/all"),
            (["--workflow-id", ""], "workflow"),
        ],
    )
    def test_bad_options_end_with_2_and_play_nothing(
        self, run: Run, store: str, options: list[str], said: str
    ) -> None:
        ended = run("main", *options)
        assert (ended.code, ended.out) == (2, "")
        assert said in ended.err
        assert not Path(store).exists() or done(store) == []


class TestOutput:
    def test_a_summary_with_reasons(self, run: Run) -> None:
        run("main")
        ended = run("main", "--force", "load.s1=new data")
        assert ended.code == 0
        assert "played 2 · skipped 1 · failed 0" in ended.out
        assert re.search(r"^  played load.s1 in \d+\.\d\d s: new data$", ended.out, re.MULTILINE)
        assert re.search(r"^  played report in \d+\.\d\d s: Dep of load.s1$", ended.out, re.MULTILINE)
        assert "Step was already played" in ended.out
        assert "result: 1.0" in ended.out

    def test_a_decision_that_is_forced_for_no_reason_says_forced(self, run: Run, store: str) -> None:
        selection = ["--force", "good", "--skip", "bad", "--skip", "later"]
        command("mark", store, "good")
        ended = run("failing", *selection)
        assert ended.code == 0
        lines = re.sub(r" in \d+\.\d\d s", "", ended.out).splitlines()
        assert {"  played good (forced)", "  skipped bad, later (forced)"} <= set(lines)
        assert {"scheduled good (forced)", "skipped bad (forced)"} <= set(ended.err.splitlines())
        planned = run("failing", *selection, by=_planned).out.splitlines()
        assert {"  force good", "  skip bad, later (forced)"} <= set(planned)

    def test_plain_lines_where_there_is_no_terminal(self, run: Run) -> None:
        ended = run("main", "--force", "load=again")
        assert "scheduled load.s1 (forced: again)" in ended.err.splitlines()
        assert any(line.startswith("played load.s1 in ") for line in ended.err.splitlines())
        assert "\x1b" not in ended.err + ended.out
        ended = run("main")
        assert "skipped report: Step was already played" in ended.err.splitlines()

    def test_quiet_leaves_progress_out(self, run: Run) -> None:
        assert run("main", "--quiet").err == ""
        assert "no luck" in run("failing", "--quiet").err

    def test_stdout_is_the_report_alone_under_json(self, run: Run) -> None:
        ended = run("printing", "--json", by=installed)
        assert ended.json["counts"]["played"] == 1
        for printed in ("printed by main", "printed by the step", "printed by its process"):
            assert printed in ended.err

    def test_stdout_is_the_targets_too_without_json(self, run: Run) -> None:
        assert "printed by main" in run("printing").out


def _planned(_run: str, *arguments: str) -> Ended:
    return command("plan", *arguments)


class TestPage:
    """The page of the run just ended, by --report."""

    def test_it_is_written_though_steps_fail(self, run: Run, tmp_path: Path) -> None:
        ended = run("failing", "--force", "good=new data", "--report", tmp_path / "run.html", "--no-journal")
        assert ended.code == 1
        shown = (tmp_path / "run.html").read_text(encoding="utf-8")
        assert shown.startswith("<!DOCTYPE html>")
        assert '"outcome":"failed"' in shown
        assert '"names":[0,"bad",0,"good",0,"later"],"status":"100"' in shown
        assert "ValueError: no luck" in shown
        assert "new data" in shown

    def test_what_leaves_the_code_is_on_it(self, run: Run, tmp_path: Path) -> None:
        assert run("outside_steps", "--report", tmp_path / "run.html").code == 1
        assert '"notes":["ValueError: no luck' in (tmp_path / "run.html").read_text(encoding="utf-8")

    def test_it_is_refused_before_anything_is_played(self, run: Run, store: str, tmp_path: Path) -> None:
        for path in (tmp_path, tmp_path / "no" / "such" / "run.html"):
            ended = run("main", "--report", path)
            assert ended.code == 2
            assert f"--report '{path}' cannot be written: " in ended.err
        assert not Path(store).exists()

    def test_a_device_or_a_link_stays_what_it_is(self, run: Run, tmp_path: Path) -> None:
        (tmp_path / "link").symlink_to("run.html")
        assert run("main", "--report", tmp_path / "link").code == 0
        assert (tmp_path / "link").is_symlink()
        assert (tmp_path / "run.html").is_file()
        os.mkfifo(tmp_path / "pipe")
        reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
        try:
            assert run("main", "--report", tmp_path / "pipe").code == 0
            assert os.read(reader, 15) == b"<!DOCTYPE html>"
        finally:
            os.close(reader)
