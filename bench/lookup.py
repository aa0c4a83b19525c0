"""Asking "is this step done?" in a run: requests for the steps that it touches, whatever lies under the prefix."""

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

from bench._measure import ChildError, Meter, run_child
from bench._report import Column, Goal, Options, Result, Table, say
from bench._shapes import make_names
from bench._targets import Target, TargetError, open_target

DEFAULTS: dict[str, object] = {
    "keys": (10_000, 1_000_000),
    "shapes": ("flat-padded",),
    "latencies_ms": (10.0,),
}
QUICK = ("lookup",)

ACCESSES = (("sequential", 1_000), ("sequential", 3_000), ("scattered", 10), ("scattered", 200))
"""How a run touches the steps of a prefix, and how many of them."""

_COLUMNS = (
    Column("shape", "shape"),
    Column("keys", "done steps under the prefix", ",d"),
    Column("access", "touched"),
    Column("touched", "steps", ",d"),
    Column("submitted", "submitted"),
    Column("requests", "requests", ",d"),
    Column("listing_requests", "a full listing's requests", ",d"),
    Column("wall_s", "wall, s", ".2f"),
    Column("cpu_s", "client CPU, s", ".2f"),
    Column("skipped", "skipped", ",d"),
)
_NOTES = (
    (
        "A native run submits steps that are all done: neighbours from the middle of the prefix, or some that lie "
        "far apart. simpleflow's decider lists the whole prefix for the same answer."
    ),
)


def run(options: Options) -> Result:
    """Touch steps in each way, one after the other and all at once, for each size."""
    if options.target not in {"model", "moto"}:
        raise TargetError("lookup counts a server's requests: it runs on model or moto only")
    rows: list[dict[str, Any]] = []
    with open_target(options) as target:
        for shape, keys in product(options.shapes, options.keys):
            target.seed(shape, keys)
            names = make_names(shape, keys)
            if target.name == "model":
                target.set(latency_ms=options.latencies_ms[0], requests_per_second=options.requests_per_second)
            for access, touched in ACCESSES:
                if touched <= keys:
                    setting = {"shape": shape, "keys": keys, "access": access, "touched": touched}
                    rows += _measure(target, options, setting, _chosen(names, access, touched))
    return Result(
        key="lookup",
        title=f"Looking up done steps on {target.name}",
        tables=[Table("One run a row", _COLUMNS, rows)],
        goals=list(_goals(rows)),
        notes=_NOTES,
    )


def _measure(
    target: Target, options: Options, setting: Mapping[str, Any], names: list[str]
) -> Iterator[dict[str, Any]]:
    for together in (False, True):
        how = "all at once" if together else "one by one"
        say(f"  {setting['touched']} {setting['access']} of {setting['keys']}, {how}")
        row = {**setting, "submitted": how, "listing_requests": -(-setting["keys"] // 1000)}
        target.reset()
        job = {**target.place.job(), "names": names, "together": together, "concurrency": options.concurrency}
        try:
            row |= run_child("bench.lookup:touch", job, env=target.env) | target.counters()
        except ChildError as error:
            row["error"] = str(error)
        yield row


def _goals(rows: list[dict[str, Any]]) -> Iterator[Goal]:
    """A promise for each way of touching; the most requests that any size of prefix took."""
    for access, touched in ACCESSES:
        measured = [
            row for row in rows if (row["access"], row["touched"]) == (access, touched) and "error" not in row
        ]
        if not measured:
            continue
        # A page starts where the first question falls, so k names reach over at most one page more.
        limit = touched if access == "scattered" else -(-touched // 1000) + 1
        most = max(row["requests"] for row in measured)
        skipped = all(row["skipped"] == touched for row in measured)
        yield Goal(
            f"{touched:,} {access}: at most {limit} requests, whatever lies there, and all are skipped",
            f"{most} requests" + ("" if skipped else ", not all were skipped"),
            most <= limit and skipped,
        )


def _chosen(names: list[str], access: str, touched: int) -> list[str]:
    if access == "sequential":
        start = (len(names) - touched) // 2
        return names[start : start + touched]
    return names[:: len(names) // touched][:touched]


async def touch(job: Mapping[str, Any], meter: Meter) -> dict[str, Any]:
    """Submit steps that are done; how many were skipped, as all should be."""
    import asyncsteps

    async def work() -> None:
        raise AssertionError("a done step was played")

    steps = [asyncsteps.Step(name, work) for name in job["names"]]
    async with (
        asyncsteps.open_store(
            job["url"], endpoint_url=job["endpoint_url"], concurrency=job["concurrency"]
        ) as store,
        asyncsteps.StepRun(store, workflow_id="bench", journal=False) as run_,
    ):
        with meter:
            if job["together"]:
                await run_.submit(asyncsteps.Group(*steps))
            else:
                for step in steps:
                    await run_.submit(step)
        skipped = sum(marker.details["status"] == "skipped" for marker in run_.markers)
    return {"skipped": skipped}
