"""A run under load, and what it cost: ``python load_run.py --steps 20000 --shape flat ENDPOINT``.

Prints one line of JSON: the steps that were played, marked and failed, the most side by side, the seconds, the
memory of each step, the longest block of the event loop, and what was left over after the run.
"""

import argparse
import asyncio
import gc
import json
import os
import selectors
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

from asyncsteps import Group, Step, StepRun, open_store

PARALLEL = 500
SECONDS = 0.05


class TimedSelector(selectors.DefaultSelector):
    """Measures how long the loop's callbacks keep it from waiting for events: a block, in wall and CPU time."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks: list[tuple[float, float]] = []
        self._since: tuple[float, float] | None = None

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if self._since is not None:
            self.blocks.append((time.perf_counter() - self._since[0], time.thread_time() - self._since[1]))
        try:
            return super().select(timeout)
        finally:
            self._since = (time.perf_counter(), time.thread_time())


def rss() -> int:
    """Return the resident memory of this process, in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class TimedCollector:
    """Measures the collections of cyclic garbage, which block the loop for as long as they take."""

    def __init__(self) -> None:
        self.seconds: list[float] = [0.0]
        self._since = 0.0
        gc.callbacks.append(self._note)

    def _note(self, phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            self._since = time.thread_time()
        else:
            self.seconds.append(time.thread_time() - self._since)


class Load:
    """The workflow: steps that each play an activity of 50 ms.

    Args:
        steps: How many.
        shape: ``flat``: all in one group. ``windowed``: likewise, a group that plays 500 members at a time.
            ``nested``: each fifth submits the next four from its activity, and has a dependent.
    """

    def __init__(self, steps: int, shape: str) -> None:
        self.steps = steps
        self.shape = shape
        self.played: Counter[str] = Counter()
        self.running = self.peak = self.most_rss = 0
        self.run: StepRun

    async def work(self, name: str) -> None:
        self.running += 1
        self.peak = max(self.peak, self.running)
        await asyncio.sleep(SECONDS)
        self.running -= 1
        self.played[name] += 1
        if len(self.played) % 100 == 0:
            self.most_rss = max(self.most_rss, rss())

    async def parent(self, name: str) -> None:
        await self.work(name)
        await self.run.submit(Group(*(Step(f"{name}.part{n}", (self.work, f"{name}.part{n}")) for n in range(4))))

    def group(self) -> Group:
        if self.shape != "nested":
            steps = (Step(name, (self.work, name)) for name in (f"s{n:05}" for n in range(self.steps)))
            return Group(*steps, max_parallel=PARALLEL if self.shape == "windowed" else None)
        names = [f"s{n:05}" for n in range(self.steps // 5)]
        return Group(
            *(
                Step(name, (self.parent, name), force_steps_if_executed=[names[(n + 1) % len(names)] + ".part0"])
                for n, name in enumerate(names)
            )
        )


def left_over() -> dict[str, int]:
    gc.collect()
    return {
        "tasks": len(asyncio.all_tasks()),
        "files": len(list(Path("/proc/self/fd").iterdir())),
        "threads": threading.active_count(),
    }


async def play(load: Load, endpoint: str, selector: TimedSelector) -> dict[str, Any]:
    async with open_store("s3://load/warm", endpoint_url=endpoint) as store:
        await store.is_done("up")  # the libraries are loaded
    before, base = left_over(), rss()
    group, collector = load.group(), TimedCollector()
    await asyncio.sleep(0)
    selector.blocks.clear()
    start = time.perf_counter()
    async with (
        open_store("s3://load/p", endpoint_url=endpoint) as store,
        StepRun(store, workflow_id="load", max_parallel=PARALLEL) as load.run,
    ):
        await load.run.submit(group)
        failures = [str(failure) for failure in load.run.failures]
    seconds = time.perf_counter() - start
    blocks = list(selector.blocks)
    async with open_store("s3://load/p", endpoint_url=endpoint) as store:
        marked = len(await store.list_done())
    await asyncio.sleep(0.2)  # the sockets of a closed client are closed by the loop's next turns
    return {
        "played": len(load.played),
        "most_played": max(load.played.values(), default=0),
        "marked": marked,
        "failures": failures[:5],
        "side_by_side": load.peak,
        "seconds": round(seconds, 1),
        "bytes_per_step": (load.most_rss - base) // load.steps,
        "longest_block_ms": round(max(wall for wall, _ in blocks) * 1000),
        "longest_block_cpu_ms": round(max(cpu for _, cpu in blocks) * 1000),
        "longest_collection_ms": round(max(collector.seconds) * 1000),
        "blocks_over_50_ms": sum(wall > 0.05 for wall, _ in blocks),
        "before": before,
        "after": left_over(),
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("endpoint")
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument("--shape", choices=["flat", "windowed", "nested"], default="flat")
    parser.add_argument("--no-collector", action="store_true", help="collect no cyclic garbage")
    given = parser.parse_args()
    if given.no_collector:
        gc.disable()
    selector = TimedSelector()
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selector)) as runner:
        report = runner.run(play(Load(given.steps, given.shape), given.endpoint, selector))
    sys.stdout.write(json.dumps(report) + "\n")


if __name__ == "__main__":
    main()
