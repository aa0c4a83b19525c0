"""A program for test_run_crash: runs killed at every point, and what the next run makes of it.

Steps a, b and c each write a version of their own and the version of what they read; b depends on a, c on b.
Prints one line of JSON: for each point of a forced run at which the process is killed (SIGKILL), the steps that
are marked though stale, right after that and after one more run with nothing forced.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from asyncsteps import Step, StepRun, open_store

DEPENDENTS = {"a": ["b"], "b": ["c"], "c": []}
READS = {"a": None, "b": "a", "c": "b"}


def value(root: Path, name: str | None) -> list[int]:
    return json.loads((root / "out" / name).read_text()) if name else [0, 0]


async def play(root: Path, *, force: str, withdraw: bool, reached: Callable[[], None]) -> None:
    async def activity(name: str) -> None:
        reached()
        path = root / "out" / name
        version = value(root, name)[0] + 1 if path.exists() else 1
        path.write_text(json.dumps([version, value(root, READS[name])[0]]))
        reached()

    async with (
        open_store(root / "store") as store,
        StepRun(
            store,
            workflow_id="w",
            force=force,
            withdraw_invalidated=withdraw,
            on_marker=lambda _: reached(),
        ) as run,
    ):
        for name, dependents in DEPENDENTS.items():
            await run.submit(Step(name, (activity, name), force_steps_if_executed=dependents))


async def stale(root: Path) -> list[str]:
    async with open_store(root / "store") as store:
        return [
            name
            for name in await store.list_done()
            if READS[name] and value(root, name)[1] != value(root, READS[name])[0]
        ]


async def complete(root: Path) -> bool:
    async with open_store(root / "store") as store:
        return await store.list_done() == list(DEPENDENTS)


def killed_at(point: int, root: Path, *, withdraw: bool) -> bool:
    """Fork a forced run that is killed at its ``point``; whether it got there."""
    pid = os.fork()
    if not pid:
        left = iter(range(point))

        def reached() -> None:
            if next(left, None) is None:
                os.kill(os.getpid(), signal.SIGKILL)

        asyncio.run(play(root, force="a", withdraw=withdraw, reached=reached))
        os._exit(0)
    return os.WIFSIGNALED(os.waitpid(pid, 0)[1])


def main(base: Path, *, withdraw: bool) -> None:
    told: list[tuple[list[str], list[str]]] = []
    while True:
        root = base / str(len(told))
        (root / "out").mkdir(parents=True)
        asyncio.run(play(root, force="*", withdraw=withdraw, reached=lambda: None))
        if not killed_at(len(told), root, withdraw=withdraw):
            break
        at_once = asyncio.run(stale(root))
        asyncio.run(play(root, force="x", withdraw=withdraw, reached=lambda: None))
        assert asyncio.run(complete(root))
        told.append((at_once, asyncio.run(stale(root))))
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main(Path(sys.argv[1]), withdraw=sys.argv[2] == "withdraw")
