"""The plugin for pytest in a user's project: with pytest-asyncio in both modes, with anyio's plugin, and alone."""

import importlib.metadata
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from run_support import noop

from asyncsteps import MemoryStore, Step
from asyncsteps.testing import MotoServer, VirtualClock

STEPS = """
import asyncio
import time

import pytest

import asyncsteps
from asyncsteps import ActivityTimeoutError, MemoryStore, Step, StepStore, activity
from asyncsteps.testing import FaultyStore, VirtualClock, run_virtually

MARK


async def load() -> None:
    await asyncio.sleep(1)


@activity(start_to_close_timeout=60)
async def hangs() -> None:
    await asyncio.Event().wait()


async def test_a_run_over_the_store(step_store: MemoryStore, step_run) -> None:
    async with step_run(force={"load": "new rates"}) as run:
        await run.submit(Step("load", load))
    run.assert_because("load", "new rates")
    assert await step_store.list_done() == ["load"]
    async with step_run() as run:
        await run.submit(Step("load", load))
    run.assert_skipped("load")


async def test_the_store_is_empty_again(step_store: MemoryStore) -> None:
    assert await step_store.list_done() == []


@pytest.mark.parametrize("table", ["users", "orders"])
async def test_a_minute_takes_no_time(virtual_time: VirtualClock, step_run, table: str) -> None:
    began = time.monotonic()
    async with step_run() as run:
        outcome = await run.submit(Step(f"load.{table}", hangs))
    assert isinstance(outcome.error, ActivityTimeoutError)
    assert 60 <= virtual_time.elapsed < 61
    assert time.monotonic() - began < 30


class TestMethods:
    async def test_methods_too(self, virtual_time: VirtualClock) -> None:
        await asyncio.sleep(86_400)
        assert virtual_time.elapsed == pytest.approx(86_400)


async def test_real_time_is_back() -> None:
    assert "_VirtualSelector" not in repr(asyncio.get_running_loop()._selector)
"""

S3 = """
async def test_an_s3_store(s3_step_store, moto_aws) -> None:
    async with s3_step_store as store:
        await store.mark_done("a", {})
        assert await store.list_done() == ["a"]
    assert moto_aws.keys("steps") == ["steps/a"]
"""

ANYIO_BACKEND = """
@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
"""

MODULES = """
import sys


def pytest_unconfigure() -> None:
    names = sorted(name for name in sys.modules if name.partition(".")[0] in {"asyncsteps", "aioboto3", "moto"})
    print("MODULES", *names)
"""

ASYNCIO = ("-Werror", "-oasyncio_default_fixture_loop_scope=function")


def run_pytest(folder: Path, *arguments: str, **files: str) -> "subprocess.CompletedProcess[str]":
    """Run pytest in a folder with these modules."""
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text, encoding="utf-8")
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": ""},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def marked(mark: str) -> str:
    return STEPS.replace("MARK", f"pytestmark = pytest.mark.{mark}")


def test_under_pytest_asyncio_and_anyio_in_one_session(tmp_path: Path) -> None:
    ended = run_pytest(
        tmp_path,
        *ASYNCIO,
        "-oasyncio_mode=strict",
        test_asyncio=marked("asyncio"),
        test_anyio=marked("anyio") + ANYIO_BACKEND,
    )
    assert " 12 passed" in ended.stdout, ended.stdout + ended.stderr


@pytest.mark.long
def test_under_pytest_asyncio_in_auto_mode_with_s3(tmp_path: Path) -> None:
    steps = STEPS.replace("MARK", "") + S3
    ended = run_pytest(tmp_path, *ASYNCIO, "-oasyncio_mode=auto", test_auto=steps)
    assert " 7 passed" in ended.stdout, ended.stdout + ended.stderr


@pytest.mark.long
def test_one_loop_for_a_session_of_virtual_and_real_tests(tmp_path: Path) -> None:
    ended = run_pytest(
        tmp_path,
        *ASYNCIO,
        "-oasyncio_mode=auto",
        "-oasyncio_default_test_loop_scope=session",
        test_auto=STEPS.replace("MARK", ""),
    )
    assert " 6 passed" in ended.stdout, ended.stdout + ended.stderr


@pytest.mark.long
def test_alone_it_loads_next_to_nothing_and_sync_tests_are_told_what_to_use(tmp_path: Path) -> None:
    text = "def test_sync(virtual_time):\n    pass\n\n\ndef test_other():\n    pass\n"
    ended = run_pytest(tmp_path, "-pno:anyio", "-pno:asyncio", "-q", conftest=MODULES, test_sync=text)
    assert "asks for virtual_time and is no async test: use asyncsteps.testing.run_virtually" in ended.stdout
    assert "1 passed, 1 error" in ended.stdout
    (line,) = [line for line in ended.stdout.splitlines() if line.startswith("MODULES")]
    of_the_error = {"asyncsteps.testing._virtual_time", "asyncsteps.testing._virtual_threads"}
    assert {*line.split()[1:]} - of_the_error == {
        "asyncsteps",
        "asyncsteps._errors",
        "asyncsteps.testing",
        "asyncsteps.testing.plugin",
    }


def test_it_is_installed_under_its_name() -> None:
    (entry,) = importlib.metadata.entry_points(group="pytest11", name="asyncsteps")
    assert entry.value == "asyncsteps.testing.plugin"


async def test_the_fixtures_here(step_store: MemoryStore, step_run: Any, virtual_time: VirtualClock) -> None:
    async with step_run(done=["a"]) as run:
        await run.submit(Step("a", noop))
    run.assert_skipped("a")
    assert step_store.records["a"]["workflow_id"] == "test"
    assert virtual_time.elapsed < 10


async def test_an_s3_store_in_an_empty_bucket(s3_step_store: Any, moto_aws: MotoServer) -> None:
    async with s3_step_store as store:
        await store.mark_done("a", {})
        assert moto_aws.keys("steps") == ["steps/a"]
        assert store.url == "s3://steps/steps/"
