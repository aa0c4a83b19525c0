"""Workflows for test_cli_grace: what does not end when it is cancelled, and a store that is written twice."""

import asyncio
import threading
import time
from pathlib import Path

from asyncsteps import Group, Step, StepRun


def work(value: int) -> int:
    return value


async def ignore(folder: Path) -> None:
    (folder / "started").touch()
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            continue


async def block_the_loop(folder: Path) -> None:
    (folder / "started").touch()
    time.sleep(600)  # noqa: ASYNC251 - as it ought not to be done


def hold_a_thread(folder: Path) -> None:
    (folder / "started").touch()
    time.sleep(60)


async def wait(folder: Path) -> None:
    (folder / "started").touch()
    await asyncio.Event().wait()


async def queued(folder: Path) -> None:
    (folder / "queued").touch()


async def stubborn(run: StepRun, *, what: str, folder: Path) -> None:
    """A step that is done, then one that does not end, one that is queued for its slot."""
    await run.submit(Step("first", (work, 1)))
    print("printed by the code")  # noqa: T201
    await run.submit(Group(Step("stubborn", (globals()[what], folder)), Step("queued", (queued, folder))))


async def with_thread(run: StepRun, *, folder: Path) -> None:
    """A thread of the user's own that goes on."""
    threading.Thread(target=time.sleep, args=(600,)).start()
    await run.submit(Step("waits", (wait, folder)))


async def short(run: StepRun) -> None:
    await run.submit(Step("first", (work, 1)))
    await run.submit(Step("second", (work, 2)))
