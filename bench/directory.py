"""Marks in a directory, side by side and each with a commit of its own; and a listing of many files."""

import asyncio
import os
import stat
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench._measure import ChildError, Meter, run_child
from bench._report import Column, Goal, Options, Result, Table, say

DEFAULTS: dict[str, object] = {"keys": (640, 100_000), "concurrency": 64, "repeat": 3}
QUICK = ("directory",)
MEMORY = Path("/dev/shm")
TOGETHER, ALONE, ONE_BY_ONE = "asyncsteps", "a commit for each", "one by one"
PEERS = {TOGETHER: (1, None), ALONE: (16, 16), ONE_BY_ONE: (1, 1)}
"""How many stores mark, and how many marks are under way at once (None: as many as the options say)."""

_MARKS = (
    Column("place", "directory on"),
    Column("peer", "who"),
    Column("at_once", "at once", "d"),
    Column("ms_per_mark", "ms a mark", ".3f"),
    Column("cpu_ms_per_mark", "CPU ms a mark", ".3f"),
    Column("file_fsyncs", "fsyncs of files a mark", ".2f"),
    Column("directory_fsyncs", "of directories", ".3f"),
    Column("ratio", "times as fast as a commit for each", ".2f"),
)
_LISTING = (
    Column("place", "directory on"),
    Column("files", "files", ",d"),
    Column("wall_s", "listing, s", ".3f"),
    Column("cpu_s", "CPU, s", ".3f"),
)
_NOTES = (
    (
        "Each row is the quickest of several rounds, in which all take turns, each in a process of its own. A "
        "commit for each is what marking was before marks shared one: 16 threads, two fsyncs a mark. In memory "
        "fsync costs nothing, so those rows show the cost of everything else."
    ),
)


def run(options: Options) -> Result:
    """Mark in turns, on disk and in memory; list once a directory of many files."""
    marks: list[dict[str, Any]] = []
    listings: list[dict[str, Any]] = []
    count, files = options.keys
    places = {"disk": Path(tempfile.gettempdir())} | ({"memory": MEMORY} if MEMORY.is_dir() else {})
    peers = [name for name in PEERS if not options.peers or name in options.peers]
    for place, parent in places.items():
        with tempfile.TemporaryDirectory(dir=parent, prefix="asyncsteps-bench-") as folder:
            marks += [{"place": place, **row} for row in _measure_marks(options, Path(folder), count, peers)]
            listings.append({"place": place, **_measure_listing(Path(folder), files, options.repeat)})
    _add_ratios(marks)
    return Result(
        key="directory",
        title=f"A directory store: {count:,} marks, up to {options.concurrency} at once",
        tables=[Table("Marking", _MARKS, marks), Table("Listing", _LISTING, listings)],
        goals=_goals(options, marks, listings),
        notes=_NOTES,
    )


def _measure_marks(options: Options, folder: Path, count: int, peers: list[str]) -> list[dict[str, Any]]:
    taken: dict[str, list[dict[str, Any]]] = {peer: [] for peer in peers}
    for number in range(options.repeat):
        for peer in peers:
            say(f"  {peer}: {count} marks, round {number + 1}")
            stores, at_once = PEERS[peer]
            path = str(folder / f"{peer}-{number}")
            job = {"path": path, "count": count, "stores": stores, "at_once": at_once or options.concurrency}
            try:
                row = run_child("bench.directory:mark", job)
            except ChildError as error:
                row = {"error": str(error)}
            taken[peer].append({"peer": peer, "at_once": job["at_once"], **row})
    return [min(rows, key=lambda row: row.get("wall_s", float("inf"))) for rows in taken.values()]


def _measure_listing(folder: Path, files: int, repeat: int) -> dict[str, Any]:
    say(f"  listing of {files:,} files")
    path = folder / "many"
    path.mkdir()
    for number in range(files):
        (path / f"load.step-{number:06d}").touch()
    job = {"path": str(path), "count": files}
    try:
        rows = [run_child("bench.directory:list_files", job) for _ in range(repeat)]
    except ChildError as error:
        return {"files": files, "error": str(error)}
    return {"files": files, **min(rows, key=lambda row: row["wall_s"])}


def _add_ratios(rows: list[dict[str, Any]]) -> None:
    alone = {row["place"]: row["wall_s"] for row in rows if row["peer"] == ALONE and "wall_s" in row}
    for row in rows:
        if row["place"] in alone and "wall_s" in row:
            row["ratio"] = alone[row["place"]] / row["wall_s"]


def _goals(options: Options, marks: list[dict[str, Any]], listings: list[dict[str, Any]]) -> list[Goal]:
    goals = []
    for row in marks:
        if row["peer"] != TOGETHER or "wall_s" not in row:
            continue
        where = f"{row['place']}, {options.concurrency} at once"
        if "ratio" in row:
            ratio = row["ratio"]
            goals.append(
                Goal(f"{where}: >= 4 times the marks of a commit for each", f"{ratio:.2f} times", ratio >= 4)
            )
        shared = row["directory_fsyncs"] * min(options.concurrency, 64)
        goals.append(Goal(f"{where}: one fsync of the directory for all", f"{shared:.2f}", shared <= 1))
    goals += [
        Goal(
            f"{row['place']}: {row['files']:,} files listed within 0.3 s",
            f"{row['wall_s']:.2f} s",
            row["wall_s"] <= 0.3,
        )
        for row in listings
        if "wall_s" in row
    ]
    return goals


async def mark(job: Mapping[str, Any], meter: Meter) -> dict[str, Any]:
    """Mark ``count`` steps, ``at_once`` at a time, by turns in each of the ``stores`` on one directory."""
    from contextlib import AsyncExitStack

    from asyncsteps import DirectoryStore

    synchronised: Counter[bool] = Counter()
    fsync = os.fsync

    def counted(descriptor: int) -> None:
        synchronised[stat.S_ISDIR(os.fstat(descriptor).st_mode)] += 1
        fsync(descriptor)

    record = {"run_id": "bench", "workflow_id": "bench", "version": "1", "marked_at": "2026-01-01T00:00:00+00:00"}
    names = iter([f"load.step-{number:06d}" for number in range(job["count"])])
    async with AsyncExitStack() as stack:
        stores = [await stack.enter_async_context(DirectoryStore(job["path"])) for _ in range(job["stores"])]
        for store in stores:
            await asyncio.gather(*(store.mark_done(f"first-{number}", record) for number in range(16)))
        os.fsync = counted  # type: ignore[assignment]  # the store gives it descriptors only

        async def work(store: DirectoryStore) -> None:
            for name in names:
                await store.mark_done(name, record)

        with meter:
            await asyncio.gather(*(work(stores[number % len(stores)]) for number in range(job["at_once"])))
    return {
        "ms_per_mark": meter.row["wall_s"] * 1000 / job["count"],
        "cpu_ms_per_mark": meter.row["cpu_s"] * 1000 / job["count"],
        "file_fsyncs": synchronised[False] / job["count"],
        "directory_fsyncs": synchronised[True] / job["count"],
    }


async def list_files(job: Mapping[str, Any], meter: Meter) -> dict[str, Any]:
    """List a directory that holds ``count`` steps."""
    from asyncsteps import DirectoryStore

    async with DirectoryStore(job["path"]) as store:
        with meter:
            names = await store.list_done()
    assert len(names) == job["count"], f"{len(names)} names were listed"
    return {}
