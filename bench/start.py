"""What it takes to start: an import, and the command, beside Python's own start with asyncio."""

import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bench._measure import ROOT
from bench._report import Column, Goal, Options, Result, Table, say

DEFAULTS: dict[str, object] = {"repeat": 21}
QUICK = ("start",)

BASE = "import asyncio"
STARTS: Mapping[str, Sequence[str]] = {
    "nothing": ("-c", "pass"),
    BASE: ("-c", "import asyncio"),
    "import asyncsteps": ("-c", "import asyncsteps"),
    "from asyncsteps import *": ("-c", "from asyncsteps import *"),
    "asyncsteps --version": ("-m", "asyncsteps", "--version"),
    "asyncsteps --help": ("-m", "asyncsteps", "--help"),
    "asyncsteps run --help": ("-m", "asyncsteps", "run", "--help"),
}
"""The arguments of the interpreter, by what it starts."""

GOALS = {
    "import asyncsteps": 1.0,
    "from asyncsteps import *": 3.0,
    "asyncsteps --version": 4.0,
    "asyncsteps --help": 4.0,
}
"""The most CPU time that a start may take, as a multiple of Python's with asyncio.

Where that takes 0.05 s, 4 is 0.15 s over it.
"""

_COLUMNS = (
    Column("start", "start of Python"),
    Column("wall_s", "wall, s", ".3f"),
    Column("cpu_s", "CPU, s", ".3f"),
    Column("ratio", "CPU, beside asyncio's", ".2f"),
    Column("over_s", "CPU over asyncio's, s", ".3f"),
)
_NOTES = (
    "Medians of starts that take turns, from files in the system's cache, end of the interpreter included.",
    "Importing asyncsteps imports each of its names at its first use; the star uses them all.",
)


def run(options: Options) -> Result:
    """Start each of them as often as asked, by turns."""
    say(f"  {len(STARTS)} starts, {options.repeat} times by turns")
    measured: dict[str, list[tuple[float, float]]] = {start: [] for start in STARTS}
    failed: dict[str, str] = {}
    for _ in range(options.repeat):
        for start, arguments in STARTS.items():
            if start not in failed:
                try:
                    measured[start].append(_times(arguments))
                except subprocess.CalledProcessError as error:
                    failed[start] = f"it ends with {error.returncode}: {error.stderr.strip()[-300:]}"
    rows = [_row(start, times) for start, times in measured.items() if times]
    base = next(row["cpu_s"] for row in rows if row["start"] == BASE)
    for row in rows:
        row |= {"ratio": row["cpu_s"] / base, "over_s": row["cpu_s"] - base}
    return Result(
        key="start",
        title="Starting Python",
        tables=[
            Table("What is started", _COLUMNS, [*rows, *({"start": s, "error": e} for s, e in failed.items())])
        ],
        goals=list(_goals(rows)),
        notes=_NOTES,
    )


def _times(arguments: Sequence[str]) -> tuple[float, float]:
    """The wall and the CPU time of one start, in seconds."""
    wall, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - wall, cpu


def _row(start: str, times: list[tuple[float, float]]) -> dict[str, Any]:
    walls, cpus = zip(*times, strict=True)
    return {"start": start, "wall_s": statistics.median(walls), "cpu_s": statistics.median(cpus)}


def _goals(rows: list[dict[str, Any]]) -> Iterator[Goal]:
    for row in rows:
        if row["start"] in GOALS:
            limit = GOALS[row["start"]]
            yield Goal(
                f"{row['start']}: at most {limit:g} times the CPU time of a start with asyncio",
                f"{row['ratio']:.2f} times, which is {row['over_s']:+.3f} s",
                row["ratio"] <= limit,
            )
