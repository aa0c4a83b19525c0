"""What the engine spends on a step: CPU time beside bare tasks of asyncio, in one process, and memory."""

import asyncio
import gc
import logging
import time
import tracemalloc
from collections.abc import Coroutine, Mapping
from typing import Any

from bench._measure import Meter

SIDE_BY_SIDE = 500
SELECTORS = 1_000

SEQUENTIAL = "one after the other"
GROUPED = f"{SIDE_BY_SIDE} side by side"
SELECTED = f"one after the other, {SELECTORS:,} selectors"
WAYS = (SEQUENTIAL, GROUPED, SELECTED)
"""How the steps are submitted."""

_STEPS_A_WAY = 9_000
"""How many steps are measured at least, in as many rounds as that takes; the fastest round counts."""


async def _work() -> None:
    """The activity of each step, and of each bare task."""


def _names(count: int) -> list[str]:
    return [f"load.part-{number % 97}.step-{number}" for number in range(count)]


async def _timed(work: Coroutine[Any, Any, None], count: int) -> float:
    """The CPU time of ``work`` in microseconds for each of so many steps."""
    gc.collect()
    began = time.process_time()
    await work
    return (time.process_time() - began) * 1e6 / count


async def _bare(names: list[str], way: str) -> None:
    """A task for each name, with the activity and nothing else."""
    queue = iter(names)

    async def lane() -> None:
        for _ in queue:
            await asyncio.create_task(_work())

    await asyncio.gather(*(lane() for _ in range(SIDE_BY_SIDE if way == GROUPED else 1)))


async def _play(run_: Any, names: list[str], way: str) -> None:
    from asyncsteps import Group, Step

    if way == GROUPED:
        await run_.submit(Group(*(Step(name, _work) for name in names), max_parallel=SIDE_BY_SIDE))
    else:
        for name in names:
            await run_.submit(Step(name, _work))


def _run(store: Any, way: str) -> Any:
    from asyncsteps import StepRun

    selectors = [f"other.step-{number}" for number in range(SELECTORS)] if way == SELECTED else []
    return StepRun(store, workflow_id="bench", max_parallel=SIDE_BY_SIDE, force=selectors)


async def engine(job: Mapping[str, Any], meter: Meter) -> dict[str, Any]:
    """Play bare tasks, play steps, skip steps, in turns; the least of several rounds counts."""
    from asyncsteps import MemoryStore

    logging.getLogger("asyncsteps").addHandler(logging.NullHandler())  # the selectors match nothing
    names, way = _names(job["count"]), job["way"]
    costs: dict[str, list[float]] = {"bare_us": [], "played_us": [], "skipped_us": []}
    with meter:
        for _ in range(max(1, _STEPS_A_WAY // len(names))):
            costs["bare_us"].append(await _timed(_bare(names, way), len(names)))
            async with MemoryStore() as store:
                for cost, status in (("played_us", "completed"), ("skipped_us", "skipped")):
                    async with _run(store, way) as run_:
                        costs[cost].append(await _timed(_play(run_, names, way), len(names)))
                    recorded = sum(marker.details["status"] == status for marker in run_.markers)
                    assert recorded == len(names), f"{recorded} steps were {status}"
    least = {name: min(values) for name, values in costs.items()}
    return {
        **least,
        "played_tasks": least["played_us"] / least["bare_us"],
        "skipped_tasks": least["skipped_us"] / least["bare_us"],
    }


async def memory(job: Mapping[str, Any], meter: Meter) -> dict[str, Any]:
    """The most memory held for each step while steps are played, with their markers and their marks in memory."""
    from asyncsteps import MemoryStore

    names = _names(job["count"])
    with meter:
        async with MemoryStore() as store, _run(store, SEQUENTIAL) as run_:
            await _play(run_, ["warm-up"], SEQUENTIAL)
            gc.collect()
            tracemalloc.start()
            await _play(run_, names, SEQUENTIAL)
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
    return {"bytes_per_step": peak / len(names)}
