"""A workflow file for the tests of why: extract, transform, report, each a dependent of the one before."""

from pathlib import Path

FLOW = '''
import asyncio
import os
import sys
from pathlib import Path

from asyncsteps import Step, StepRun


async def work():
    pass


async def fail():
    raise ValueError("the disk http://user:hidden@host/ is full")


async def wait(folder):
    (folder / "started").touch()
    await asyncio.Event().wait()


def chain(*, extract=work, transform=work, report=work):
    return [
        Step("extract.users", extract, force_steps_if_executed=["transform"]),
        Step("transform.users", transform, force_steps_if_executed=["report"]),
        Step("report.users", report),
    ]


async def nightly(run: StepRun):
    for step in chain():
        await run.submit(step)


async def failing(run: StepRun):
    for step in chain(report=fail):
        await run.submit(step)


async def stuck(run: StepRun, *, folder: Path):
    """Extracting never ends; what depends on it is withdrawn by then."""
    for step in chain(extract=(wait, folder)):
        await run.submit(step)


async def without_report(run: StepRun):
    await run.submit(chain()[0])
'''


def write_night_flow(folder: Path) -> Path:
    """Write the file."""
    path = folder / "nights.py"
    path.write_text(FLOW)
    return path
