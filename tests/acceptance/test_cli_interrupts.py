"""run: SIGINT and SIGTERM, sent to the installed command at moments that are known."""

import json
import signal
import subprocess
import time
from pathlib import Path

import pytest
from cli_flow import done, write_flow
from commands import COMMAND, environment


@pytest.fixture
def flow(tmp_path: Path) -> Path:
    return write_flow(tmp_path)


@pytest.fixture
def store(tmp_path: Path) -> str:
    return str(tmp_path / "steps")


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
