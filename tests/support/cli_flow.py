"""A workflow file for the tests of run and plan, and how they run it."""

from collections.abc import Callable
from pathlib import Path

from commands import Ended, command

FLOW = '''
import asyncio
import logging
import os
import subprocess
import sys
import time
from pathlib import Path

from asyncsteps import Chain, Group, Step, StepRun, Workflow


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


async def in_turn(run):
    for name in ("load.a", "load.b", "report", "mail"):
        await run.submit(Step(name, (work, 1)))
    return "through"


def logs():
    log = logging.getLogger("flow.load")
    log.debug("counting %d rows", 3)
    log.info("read %d rows\\nof %s", 3, "\\x1b[31musers")
    log.warning("%d rows", "no number")
    logging.getLogger("botocore.auth").info("Authorization: secret")


async def logging_(run):
    await run.submit(Step("log", logs))


async def grouped(run):
    await run.submit(Step("report", (work, 1)))
    await run.submit(Step("report.std", (work, 2)))


async def failing(run):
    await run.submit(Step("good", (work, 1)))
    await run.submit(Step("bad", fail))
    await run.submit(Step("later", (work, 2)))


async def bubbling(run):
    await run.submit(Step("bad", fail, bubbles_exception_on_failure=True))


async def outside_steps(run):
    await run.submit(Chain(fail, Step("never", (work, 1))))


async def going_on(run):
    await run.submit(Chain(fail, Step("later", (work, 1)), break_on_failure=False))


async def raising(run):
    raise RuntimeError("of my own")


def leave():
    sys.exit(0)


async def leaving(run):
    await run.submit(Group(Step("leaves", leave), Step("waits", (asyncio.sleep, 60))))


async def leaving_itself(run):
    sys.exit(0)


def fail_at_length(number):
    raise ValueError(f"no luck\\n  with {number}\\n" + "at all " * 100)


async def failing_much(run):
    await run.submit(Group(*(Step(f"bad.s{number}", (fail_at_length, number)) for number in range(25))))


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


class Later(Loads):
    """Its run says where its store is."""

    def get_step_path_prefix(self):
        return self.prefix

    async def run(self, prefix: str):
        self.prefix = prefix
        await self.submit(Step("a", (work, 1)))
'''

Run = Callable[..., Ended]


def write_flow(folder: Path) -> Path:
    """Write the file; flow.py is its name."""
    path = folder / "flow.py"
    path.write_text(FLOW)
    return path


def runner(flow: Path, store: str) -> Run:
    """What runs a target of the flow on the store."""

    def run(name: str, *options: str, by: Run = command) -> Ended:
        return by("run", f"{flow}:{name}", "--store", store, "--workflow-id", "w", *options)

    return run


def done(store: str) -> list[str]:
    listed: list[str] = command("ls", store, "--names").out.splitlines()
    return listed


def steps(ended: Ended) -> dict[str, tuple[str, bool, list[str]]]:
    """Status, forced and reasons of each step, from the report."""
    return {step["step"]: (step["status"], step["forced"], step["reasons"]) for step in ended.json["steps"]}
