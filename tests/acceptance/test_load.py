"""A run under load: thousands of steps, 500 side by side, over a server that takes 50 ms and fails now and then.

``python tests/acceptance/test_load.py [--shape nested] [--no-collector]`` prints what one run with 20,000 steps
costs, the longest block of the event loop among it.
"""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from asyncsteps import Group, MemoryStore, StepRun

SUPPORT = Path(__file__).parents[1] / "support"
SHARE_OF_FAULTS = 0.01
LATENCY_MS = 50


def under_load(
    *arguments: str, seed: int, share: float = SHARE_OF_FAULTS
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Play a run in a process of its own; return its report, and that of the server."""
    server = subprocess.Popen(
        [sys.executable, SUPPORT / "faulty_server.py", str(seed), str(share), str(LATENCY_MS)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with server:
        assert server.stdout is not None
        port = json.loads(server.stdout.readline())["port"]
        endpoint = f"http://127.0.0.1:{port}"
        run = subprocess.run(
            [sys.executable, SUPPORT / "load_run.py", endpoint, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            check=True,
            text=True,
        )
        said, _ = server.communicate()
    return json.loads(run.stdout), json.loads(said)


def of_steps(counted: dict[str, int]) -> dict[str, int]:
    """What is counted of marks, without the files of the run's journal."""
    return {key: count for key, count in counted.items() if not key.startswith(".asyncsteps-journal/")}


def check(steps: int, report: dict[str, Any], server: dict[str, Any]) -> None:
    assert report["failures"] == []
    assert (report["played"], report["most_played"], report["marked"]) == (steps, 1, steps)
    applied, acknowledged = of_steps(server["applied"]), of_steps(server["acknowledged"])
    assert len(applied) == steps
    # The server's 200 reached the run once; what took effect beyond that is the same mark, whose reply was cut.
    assert set(acknowledged.values()) == {1}
    assert sum(applied.values()) - steps <= server["faults"]["cut after"]
    assert set(server["faults"]) == {"throttled", "cut before", "cut after"}
    # How many of a few steps meet is a matter of how busy the machine is.
    assert (1 if steps <= 500 else 100) < report["side_by_side"] <= 500
    assert report["after"] == report["before"]


async def test_a_group_of_many_lets_other_tasks_have_their_turns_while_it_starts() -> None:
    started = 0
    turns: list[int] = []
    go_on = asyncio.Event()

    async def work() -> None:
        nonlocal started
        started += 1
        await go_on.wait()

    async def count() -> None:
        while sum(turns) < 2000:
            before = started
            await asyncio.sleep(0)
            turns.append(started - before)
        go_on.set()

    async with MemoryStore() as store, StepRun(store, workflow_id="w", max_parallel=2000) as run:
        counting = asyncio.create_task(count())
        await run.submit(Group(*((work,) for _ in range(2000))))
        await counting
    assert max(turns) <= 200


@pytest.mark.parametrize("shape", [pytest.param("flat", marks=pytest.mark.long), "nested"])
def test_each_of_500_steps_is_marked_once(shape: str) -> None:
    report, server = under_load("--steps", "500", "--shape", shape, seed=5, share=0.05)
    check(500, report, server)


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("shape", ["flat", "windowed", "nested"])
def test_each_of_20_000_steps_is_marked_once_and_nothing_is_left_over(shape: str) -> None:
    report, server = under_load("--steps", "20000", "--shape", shape, seed=1)
    check(20_000, report, server)
    # A step that waits for its turn is a task: some 15 kB. A group that plays 500 at a time has as many tasks.
    assert report["bytes_per_step"] < (10_000 if shape == "windowed" else 50_000)


if __name__ == "__main__":
    os.environ |= {"AWS_ACCESS_KEY_ID": "load", "AWS_SECRET_ACCESS_KEY": "load", "AWS_DEFAULT_REGION": "us-east-1"}
    measured, counted = under_load("--steps", "20000", *sys.argv[1:], seed=1)
    counts = {name: counted[name] for name in ("requests", "peak", "faults")}
    sys.stdout.write(json.dumps({"run": measured, "server": counts}, indent=1) + "\n")
