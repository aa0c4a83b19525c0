"""run: played, skipped, forced and failed steps, what is reported of them, and the exit codes; on a directory."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from commands import COMMAND, Ended, command, environment
from servers import MotoServer

FLOW = '''
import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path

from asyncsteps import Group, Step, StepRun, Workflow


def work(value):
    return value


def fail():
    raise ValueError("no luck")


def chatty():
    print("printed by the step")
    subprocess.run([sys.executable, "-c", "print('printed by its process')"], check=True)


async def main(run: StepRun, *, count: int = 2, factor: float = 1.0):
    """Loads side by side, then a report that depends on them."""
    loads = await run.submit(
        Group(
            *(
                Step(f"load.s{number}", (work, number), force_steps_if_executed=["report"], save_result=True)
                for number in range(count)
            )
        )
    )
    report = await run.submit(Step("report", (work, sum(load.result for load in loads)), save_result=True))
    return report.result * factor


async def failing(run):
    await run.submit(Step("good", (work, 1)))
    await run.submit(Step("bad", fail))
    await run.submit(Step("later", (work, 2)))


async def bubbling(run):
    await run.submit(Step("bad", fail, bubbles_exception_on_failure=True))


async def raising(run):
    raise RuntimeError("of my own")


async def printing(run):
    print("printed by main")
    await run.submit(Step("chatty", chatty))


class Wide:
    now = peak = 0

    async def execute(self):
        Wide.now += 1
        Wide.peak = max(Wide.peak, Wide.now)
        for _ in range(100):
            await asyncio.sleep(0)
        Wide.now -= 1


async def wide(run):
    """How many of ten steps were under way at once."""
    await run.submit(Group(*(Step(f"wide.s{number}", Wide) for number in range(10))))
    return Wide.peak


async def named(run):
    await run.submit(Step("day=1", (work, 1)))


async def bad_name(run):
    await run.submit(Step("a/b", (work, 1)))


async def stuck(run, *, folder: Path):
    """One step is done, two are under way until they are cancelled."""

    async def wait(name):
        (folder / f"{name}.started").touch()
        try:
            await asyncio.Event().wait()
        finally:
            (folder / f"{name}.cleaned").touch()

    await run.submit(Step("first", (work, 1)))
    await run.submit(Group(Step("second", (wait, "second")), Step("third", (wait, "third"))))


async def messy(run, *, folder: Path):
    """Fails while it is cancelled."""
    (folder / "messy.started").touch()
    try:
        await asyncio.Event().wait()
    finally:
        raise RuntimeError("while cleaning up")


async def hard(run, *, folder: Path):
    """A step that holds its thread and cannot be cancelled."""

    def hold():
        (folder / "hold.started").touch()
        while True:
            time.sleep(0.01)

    await run.submit(Step("hold", hold))


class Loads(Workflow):
    """A class whose run takes parameters; its store comes from the hooks unless one is given."""

    def get_step_bucket(self):
        return os.environ["FLOW_BUCKET"]

    async def run(self, count: int = 1):
        for number in range(count):
            await self.submit(Step(f"load.s{number}", (work, number)))
        return count
'''

Run = Callable[..., Ended]


@pytest.fixture
def flow(tmp_path: Path) -> Path:
    path = tmp_path / "flow.py"
    path.write_text(FLOW)
    return path


@pytest.fixture
def store(tmp_path: Path) -> str:
    return str(tmp_path / "steps")


@pytest.fixture
def run(flow: Path, store: str) -> Run:
    """Run a target of the flow on the store."""

    def run(name: str, *options: str, **kwargs: Any) -> Ended:
        return command("run", f"{flow}:{name}", "--store", store, "--workflow-id", "w", *options, **kwargs)

    return run


def done(store: str) -> list[str]:
    listed: list[str] = command("ls", store, "--names").out.splitlines()
    return listed


def steps(ended: Ended) -> dict[str, tuple[str, bool, list[str]]]:
    """Status, forced and reasons of each step, from the report."""
    return {step["step"]: (step["status"], step["forced"], step["reasons"]) for step in ended.json["steps"]}


class TestWhatIsPlayed:
    def test_first_run_then_second(self, run: Run, store: str) -> None:
        first = run("main", "--json")
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
        options = ["--store", f"s3://{bucket}/a", "--workflow-id", "w", "--json"]
        env = {"AWS_ENDPOINT_URL_S3": moto_server.endpoint}
        first = command("run", f"{flow}:main", *options, env=env)
        assert first.json["counts"]["played"] == 3
        assert moto_server.keys(bucket) == ["a/load.s0", "a/load.s1", "a/report"]
        assert command("run", f"{flow}:main", *options, env=env).json["counts"]["skipped"] == 3

    def test_a_missing_bucket_ends_with_3(self, flow: Path, moto_server: MotoServer) -> None:
        ended = command(
            "run",
            f"{flow}:main",
            *["--store", "s3://no-such-bucket-here/a", "--workflow-id", "w"],
            *["--endpoint-url", moto_server.endpoint],
        )
        assert ended.code == 3
        assert "no-such-bucket-here" in ended.err


class TestFailures:
    def test_a_failed_step_ends_with_1(self, run: Run, store: str) -> None:
        ended = run("failing", "--json")
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

    def test_a_bad_step_name_ends_with_2(self, run: Run) -> None:
        ended = run("bad_name")
        assert ended.code == 2
        assert "'a/b'" in ended.err

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            (["--force", "a..b"], "'a..b'"),
            (["--skip", "=why"], "''"),
            (["--param", "count=many"], "'many' is not an int"),
            (["--param", "cuont=1"], "count: int = 2"),
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
        assert "load.s1: new data" in ended.out
        assert "report: Dep of load.s1" in ended.out
        assert "Step was already played" in ended.out
        assert "result: 1.0" in ended.out

    def test_plain_lines_where_there_is_no_terminal(self, run: Run) -> None:
        ended = run("main", "--force", "load=again")
        assert "started load.s1 (forced: again)" in ended.err.splitlines()
        assert any(line.startswith("played load.s1 in ") for line in ended.err.splitlines())
        assert "\x1b" not in ended.err + ended.out
        ended = run("main")
        assert "skipped report: Step was already played" in ended.err.splitlines()

    def test_quiet_leaves_progress_out(self, run: Run) -> None:
        assert run("main", "--quiet").err == ""
        assert "no luck" in run("failing", "--quiet").err

    def test_stdout_is_the_report_alone_under_json(self, run: Run) -> None:
        ended = run("printing", "--json")
        assert ended.json["counts"]["played"] == 1
        for printed in ("printed by main", "printed by the step", "printed by its process"):
            assert printed in ended.err

    def test_stdout_is_the_targets_too_without_json(self, run: Run) -> None:
        assert "printed by main" in run("printing").out

    def test_live_on_a_terminal(self, flow: Path, store: str) -> None:
        process, written = _on_terminal(["run", f"{flow}:main", "--store", store, "--workflow-id", "w"])
        assert process.returncode == 0
        assert "played 3" in written
        assert "\x1b[" in written
        assert "started load" not in written


def _on_terminal(arguments: list[str]) -> tuple[subprocess.Popen[bytes], str]:
    """Run the command with a terminal as its stderr, to its end."""
    ours, theirs = os.openpty()
    process = subprocess.Popen(
        [COMMAND, *arguments], stdout=subprocess.DEVNULL, stderr=theirs, env={**environment(), "TERM": "xterm"}
    )
    os.close(theirs)
    written = b""
    while True:
        try:
            read = os.read(ours, 10_000)
        except OSError:  # Linux says so when the other side is closed
            break
        if not read:
            break
        written += read
    os.close(ours)
    process.wait(timeout=60)
    return process, written.decode(errors="replace")


class TestInterrupts:
    @pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
    def test_nothing_half_done_is_marked(
        self, flow: Path, store: str, tmp_path: Path, signum: signal.Signals, code: int
    ) -> None:
        process = _start(flow, "stuck", store, tmp_path, "--json")
        _wait_for(tmp_path / "second.started", tmp_path / "third.started")
        process.send_signal(signum)
        out, err = process.communicate(timeout=60)
        assert process.returncode == code, err
        assert "Traceback" not in err
        assert (tmp_path / "second.cleaned").exists()
        assert (tmp_path / "third.cleaned").exists()
        assert done(store) == ["first"]
        report = json.loads(out)
        assert report["exit_code"] == code
        status = {step["step"]: step["status"] for step in report["steps"]}
        assert status == {"first": "completed", "second": "cancelled", "third": "cancelled"}

    def test_a_failure_of_the_cleaning_up_is_told_and_changes_no_code(
        self, flow: Path, store: str, tmp_path: Path
    ) -> None:
        process = _start(flow, "messy", store, tmp_path)
        _wait_for(tmp_path / "messy.started")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
        assert process.returncode == 130
        assert "RuntimeError: while cleaning up" in err

    def test_a_second_interrupt_leaves_at_once(self, flow: Path, store: str, tmp_path: Path) -> None:
        process = _start(flow, "hard", store, tmp_path)
        _wait_for(tmp_path / "hold.started")
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        while "once more to leave at once" not in (line := process.stderr.readline()):
            assert line, "the first interrupt is not answered"
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
        assert process.returncode == 130
        assert done(store) == []

    def test_an_interrupt_while_the_target_is_imported(self, tmp_path: Path) -> None:
        (tmp_path / "slow.py").write_text(
            f"from pathlib import Path\nPath({str(tmp_path / 'importing')!r}).touch()\n"
            "import threading\nthreading.Event().wait()\n"
        )
        process = subprocess.Popen(
            [COMMAND, "run", f"{tmp_path / 'slow.py'}:main", "--store", "memory:", "--workflow-id", "w"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(),
        )
        _wait_for(tmp_path / "importing")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
        assert process.returncode == 130
        assert "Traceback" not in err


def _start(flow: Path, name: str, store: str, folder: Path, *options: str) -> subprocess.Popen[str]:
    target = ["run", f"{flow}:{name}", "--store", store, "--workflow-id", "w", "--param", f"folder={folder}"]
    return subprocess.Popen(
        [COMMAND, *target, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
    )


def _wait_for(*paths: Path, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not all(path.exists() for path in paths):
        assert time.monotonic() < deadline, f"none of {paths} came up"
        time.sleep(0.01)


class TestPlan:
    def _plan(self, flow: Path, store: str, *options: str) -> Ended:
        return command("plan", f"{flow}:main", "--store", store, "--workflow-id", "w", *options)

    def test_of_what_is_done(self, flow: Path, store: str, run: Run) -> None:
        run("main")
        before = _files(store)
        ended = self._plan(flow, store, "--json")
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
        assert "unknown result" in ended.json["incomplete_because"]
        assert [step["step"] for step in ended.json["steps"]] == ["load.s0", "load.s1"]
        assert done(store) == []
        text = self._plan(flow, store).out
        assert "incomplete" in text
        assert "run load.s1" in text

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

    def test_errors_end_as_those_of_runs(self, flow: Path, store: str) -> None:
        assert self._plan(flow, store, "--force", "a..b").code == 2
        assert command("plan", f"{flow}:raising", "--store", store, "--workflow-id", "w").code == 1


def _files(store: str) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in Path(store).rglob("*") if path.is_file()}


class TestTargets:
    def test_what_cannot_be_run_ends_with_2(self, run: Run) -> None:
        ended = run("work")
        assert (ended.code, ended.out) == (2, "")
        assert "a plain function" in ended.err

    def test_a_module_is_found_from_where_one_is(self, flow: Path, tmp_path: Path) -> None:
        assert flow.parent == tmp_path
        ended = command("run", "flow:main", "--store", "steps", "--workflow-id", "w", cwd=tmp_path)
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


def test_without_the_extra_one_line_says_so() -> None:
    """The console script's `main` without rich and cyclopts: one line, and 2."""
    code = (
        "import sys; sys.modules['cyclopts'] = None; from asyncsteps.cli import main; sys.exit(main(['--help']))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert (ended.returncode, ended.stdout) == (2, "")
    (line,) = ended.stderr.splitlines()
    assert line.startswith("asyncsteps: error: the command needs the extra 'cli'")
    assert line.endswith("pip install 'asyncsteps[cli]'")
