"""Measuring: a function in a process of its own, timed from inside, with its CPU time and its memory.

``python -m bench._measure MODULE:FUNCTION`` is that process: a job in JSON on stdin, a row in JSON as the last
line of stdout.
"""

import asyncio
import importlib
import inspect
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).resolve().parent.parent
TIMEOUT = 900.0
"""Seconds after which a measured process is given up."""


class ChildError(Exception):
    """A measured process failed; the message ends with what it said on stderr."""


def peak_memory_mb() -> float:
    """The most memory that this process has held so far, in MB."""
    try:
        status = Path("/proc/self/status").read_text()
        # Not ru_maxrss: on Linux a process inherits it from the one that started it.
        return round(int(status.split("VmHWM:")[1].split()[0]) / 1024, 1)
    except (OSError, IndexError):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return round(peak / (1024 * 1024 if sys.platform == "darwin" else 1024), 1)


class Meter:
    """``with meter:`` around what is measured, once.

    Attributes:
        row: After the block: ``wall_s``, ``cpu_s`` (all threads of this process), ``memory_mb`` (its peak), and
            ``cpu_before_s`` and ``memory_before_mb``: the same before the block (interpreter, imports, client).
    """

    def __init__(self) -> None:
        self.row: dict[str, float] = {}

    def __enter__(self) -> Self:
        self.row["memory_before_mb"] = peak_memory_mb()
        self.row["cpu_before_s"] = round(time.process_time(), 4)
        self._cpu = time.process_time()
        self._wall = time.perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        wall, cpu = time.perf_counter() - self._wall, time.process_time() - self._cpu
        self.row |= {"wall_s": round(wall, 4), "cpu_s": round(cpu, 4), "memory_mb": peak_memory_mb()}


def run_child(
    function: str, job: Mapping[str, Any], *, env: Mapping[str, str] | None = None, timeout: float = TIMEOUT
) -> dict[str, Any]:
    """Measure a function in a process of its own.

    Args:
        function: ``package.module:name``; it is called with ``(job, meter)``, may be ``async def``, and returns a
            mapping of JSON values that joins the meter's row.
        job: JSON values.
        env: Environment variables for the process, over this one's.
        timeout: Seconds after which it is killed.

    Raises:
        ChildError: When it fails.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-m", "bench._measure", function],
            input=json.dumps(job),
            env={**os.environ, **(env or {})},
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ChildError(f"{function} took more than {timeout:g} s") from error
    if done.returncode:
        said = "\n".join(done.stderr.strip().splitlines()[-15:])
        raise ChildError(f"{function} ended with status {done.returncode}: {said}")
    row: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return row


def median_by_wall(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The row whose wall time is the (lower) median."""
    middle = statistics.median_low(row["wall_s"] for row in rows)
    return next(row for row in rows if row["wall_s"] == middle)


def _main() -> None:
    module, _, name = sys.argv[1].partition(":")
    function = getattr(importlib.import_module(module), name)
    job, meter = json.load(sys.stdin), Meter()
    found = function(job, meter)
    if inspect.isawaitable(found):

        async def wait() -> Any:
            return await found

        found = asyncio.run(wait())
    print(json.dumps({**meter.row, **found}), flush=True)
    os._exit(0)  # what a peer's threads do while the interpreter ends is not measured: obstore's may abort it


if __name__ == "__main__":
    _main()
