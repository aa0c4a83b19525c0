"""run: how long a signal may take to end it, with work that does not end, and a store that stalls."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from commands import COMMAND, command, environment
from programs import SUPPORT
from servers import FaultProxy, Hold, MotoServer, Request

FLOW = SUPPORT / "grace_flow.py"


def _start(target: str, *options: object) -> subprocess.Popen[str]:
    arguments = [str(COMMAND), "run", target, "--workflow-id", "w", *map(str, options)]
    return subprocess.Popen(
        arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
    )


def _wait_for(path: Path, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} did not come up"
        time.sleep(0.01)


def _statuses(report: Mapping[str, Any]) -> dict[str, str]:
    return {step["step"]: step["status"] for step in report["steps"]}


@pytest.mark.parametrize("what", ["ignore", "hold_a_thread", "block_the_loop"])
def test_what_does_not_end_is_left_when_the_grace_is_over(tmp_path: Path, what: str) -> None:
    store = tmp_path / "steps"
    process = _start(
        f"{FLOW}:stubborn", "--store", store, "--param", f"what={what}", "--param", f"folder={tmp_path}",
        "--max-parallel", 1, "--grace", 1, "--json",
    )  # fmt: skip
    _wait_for(tmp_path / "started")
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=50)  # a thread holds for 60 s, the others for ever
    assert process.returncode == 143, err
    report = json.loads(out)
    assert report["exit_code"] == 143
    assert report["workflow_id"] == "w"
    assert "ended by SIGTERM, 1 s after it" in report["errors"][-1]
    assert report["errors"][-1] in err
    assert "printed by the code" in err
    assert "Traceback" not in err
    statuses = _statuses(report)
    assert (statuses["first"], statuses["stubborn"]) == ("completed", "scheduled")
    stubborn = next(step for step in report["steps"] if step["step"] == "stubborn")
    assert (stubborn["finished"], stubborn["seconds"]) == (None, 0)  # it has not ended
    assert not (tmp_path / "queued").exists()
    assert command("ls", store, "--names").out == "first\n"


def test_the_report_for_people_is_written_too(tmp_path: Path) -> None:
    options = ("--param", "what=ignore", "--param", f"folder={tmp_path}", "--max-parallel", 1, "--grace", 0.5)
    process = _start(f"{FLOW}:stubborn", "--store", "memory:", *options)
    _wait_for(tmp_path / "started")
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=50)
    assert process.returncode == 130
    assert "played 1 · skipped 0 · failed 0 · cancelled 1 · still under way 1 in " in out
    assert "  cancelled queued\n  still under way stubborn\n" in out
    assert "ended by SIGINT, 0.5 s after it" in out


def test_threads_of_the_code_are_left_too(tmp_path: Path) -> None:
    options = ("--param", f"folder={tmp_path}", "--grace", 1, "--json")
    process = _start(f"{FLOW}:with_thread", "--store", "memory:", *options)
    _wait_for(tmp_path / "started")
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=50)
    assert process.returncode == 143
    assert _statuses(json.loads(out)) == {"waits": "cancelled"}  # the run itself has ended in order


@pytest.mark.parametrize("grace", ["-1", "nan", "inf"])
def test_a_grace_that_is_no_number_of_seconds_is_refused(grace: str) -> None:
    ended = command("run", f"{FLOW}:short", "--workflow-id", "w", "--store", "memory:", f"--grace={grace}")
    assert ended.code == 2
    assert f"--grace {grace} is refused" in ended.err


def test_a_command_without_a_report_writes_its_json(tmp_path: Path) -> None:
    program = """
import asyncio, os, signal
from asyncsteps.cli import _exit, _output

async def ignore():
    os.kill(os.getpid(), signal.SIGTERM)
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            pass

_output.prepare(["ls", "--json"])
with _output.data_only():
    _exit.run_async(ignore, grace=0.1)
"""
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=50, check=False
    )
    assert ended.returncode == 143
    told = json.loads(ended.stdout)
    assert told["exit_code"] == 143
    assert "ended by SIGTERM" in told["errors"][0]


def test_work_that_ends_while_the_end_of_the_grace_is_reported_reports_nothing_more() -> None:
    program = """
import asyncio, os, signal, threading, time
from asyncsteps.cli import _exit, _output

reporting, left = threading.Event(), threading.Event()

def report(interrupted, told):
    reporting.set()
    left.wait(10)
    time.sleep(0.2)
    print("reported", flush=True)

async def ignore():
    os.kill(os.getpid(), signal.SIGTERM)
    while not reporting.is_set():
        try:
            await asyncio.sleep(0.01)
        except asyncio.CancelledError:
            pass
    left.set()

try:
    _exit.run_async(ignore, grace=0.1, report=report)
except _exit.Interrupted:
    print("reported too", flush=True)
"""
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=50, check=False
    )
    assert ended.returncode == 143
    assert ended.stdout == "reported\n"


def test_a_reader_that_does_not_read_is_not_waited_for(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    while True:
        try:
            os.write(writing, b"x" * 4096)
        except BlockingIOError:
            break
    os.set_blocking(writing, True)
    options = ("--param", "what=ignore", "--param", f"folder={tmp_path}", "--grace", "0.1", "--json")
    process = subprocess.Popen(
        [COMMAND, "run", f"{FLOW}:stubborn", "--workflow-id", "w", "--store", "memory:", *options],
        stdout=writing,
        stderr=subprocess.DEVNULL,
        env=environment(),
    )
    _wait_for(tmp_path / "started")
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=50) == 143
    os.close(reading)
    os.close(writing)


async def _start_on_s3(proxy: FaultProxy, bucket: str, *options: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        COMMAND, "run", f"{FLOW}:short", "--workflow-id", "w", "--store", f"s3://{bucket}/steps", "--json",
        "--endpoint-url", proxy.endpoint, *options,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env=environment(),
    )  # fmt: skip


def _held_mark(proxy: FaultProxy, name: str) -> asyncio.Event:
    """Hold the request that marks a step, until the event is set."""
    release = asyncio.Event()

    def rule(request: Request) -> Hold | None:
        return Hold(release) if request.method == "PUT" and request.path.endswith(f"/{name}") else None

    proxy.rule = rule
    return release


async def test_a_store_that_stalls(fault_proxy: FaultProxy, moto_server: MotoServer, bucket: str) -> None:
    _held_mark(fault_proxy, "second")
    process = await _start_on_s3(fault_proxy, bucket, "--grace", "1")
    await fault_proxy.wait_for(lambda proxy: any(each.path.endswith("/second") for each in proxy.requests))
    process.send_signal(signal.SIGTERM)
    out, err = await asyncio.wait_for(process.communicate(), 50)
    assert process.returncode == 143, err
    report = json.loads(out)
    assert _statuses(report) == {"first": "completed", "second": "failed"}
    assert "not known to be stored after 0.8 s" in report["steps"][1]["error"]
    assert [key for key in moto_server.keys(bucket) if not key.startswith(".asyncsteps-journal/")] == [
        "steps/first"
    ]


async def test_a_mark_that_has_begun_is_finished(
    fault_proxy: FaultProxy, moto_server: MotoServer, bucket: str
) -> None:
    release = _held_mark(fault_proxy, "first")
    process = await _start_on_s3(fault_proxy, bucket)
    await fault_proxy.wait_for(lambda proxy: any(each.path.endswith("/first") for each in proxy.requests))
    process.send_signal(signal.SIGTERM)
    assert process.stderr is not None
    while b"stopping what is under way" not in (line := await process.stderr.readline()):
        assert line, "the signal is not answered"
    release.set()
    out, err = await asyncio.wait_for(process.communicate(), 50)
    assert process.returncode == 143, err
    assert _statuses(json.loads(out)) == {"first": "completed"}  # and the second never begins
    assert [key for key in moto_server.keys(bucket) if not key.startswith(".asyncsteps-journal/")] == [
        "steps/first"
    ]


EMBEDDED = """
import asyncio, signal, sys
from pathlib import Path
from asyncsteps import Group, Step, StepRun, open_store

def work(value):
    return value

async def wait(folder):
    (folder / "started").touch()
    try:
        await asyncio.Event().wait()
    finally:
        (folder / "cleaned").touch()

async def main(folder):
    task = asyncio.current_task()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    async with open_store(folder / "steps") as store, StepRun(store, workflow_id="w") as run:
        await run.submit(Step("first", (work, 1)))
        await run.submit(Step("second", (wait, folder)))

try:
    asyncio.run(main(Path(sys.argv[1])))
except asyncio.CancelledError:
    sys.exit(143)
"""


def test_a_program_of_ones_own(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", EMBEDDED, tmp_path])
    _wait_for(tmp_path / "started")
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=50) == 143
    assert (tmp_path / "cleaned").exists()
    assert command("ls", tmp_path / "steps", "--names").out == "first\n"
