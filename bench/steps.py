"""What a step costs in a run: beside bare tasks of asyncio, over the number of steps, and beside other engines."""

from collections.abc import Iterator
from itertools import product
from typing import Any

from bench._measure import ChildError, run_child
from bench._report import Chart, Column, Goal, Options, Result, Table, say
from bench._step_costs import GROUPED, SEQUENTIAL, WAYS
from bench._step_peers import PEERS

DEFAULTS: dict[str, object] = {"keys": (300, 3_000, 30_000)}
QUICK = ("steps",)

_PLAYED, _SKIPPED, _MEMORY = 6, 2, 1.2
"""The promises: tasks' worth of CPU time for a step that is played, and for one that is skipped; KiB of memory."""

_PEERS_AT_MOST = 200
"""So many steps of each peer, unless peers are named."""

_MEMORY_OF = range(1_000, 10_001)
"""With fewer steps memory is that of the run, with more it takes long to trace."""

_COSTS = (
    Column("keys", "steps", ",d"),
    Column("way", "submitted"),
    Column("bare_us", "a bare task, µs", ".1f"),
    Column("played_us", "played, µs", ".1f"),
    Column("played_tasks", "played, tasks", ".1f"),
    Column("skipped_us", "skipped, µs", ".1f"),
    Column("skipped_tasks", "skipped, tasks", ".1f"),
    Column("kib_per_step", "peak memory a played step, KiB", ".2f"),
)
_PEERS = (
    Column("keys", "steps", ",d"),
    Column("peer", "who"),
    Column("keeps", "what it keeps of a done step"),
    Column("first_us_per_step", "first run, µs a step", ",.0f"),
    Column("second_us_per_step", "second run, all done, µs a step", ",.0f"),
    Column("memory_mb", "peak memory, MB", ".0f"),
)
_NOTES = (
    (
        "CPU time of the whole process, done steps and markers in memory, the least of several rounds in which "
        "bare tasks, played and skipped steps take turns. A bare task is made, played and awaited by asyncio, and "
        "has the same activity. A played step includes its mark, which is a task of its own, so that no "
        "cancellation cuts it short. Memory is the most that steps played one after the other hold."
    ),
    (
        "Other engines: wall time of no-op steps one after the other, each engine in a process of its own. "
        "simpleflow's storage calls are replaced by a dictionary. In the second run nothing is played: DBOS forks "
        "the workflow after its last step, Luigi finds the files."
    ),
)


def run(options: Options) -> Result:
    """Measure the engine for each size and way, unless only peers are asked for; then the peers."""
    costs = [] if options.peers else [_cost(keys, way) for way, keys in product(WAYS, options.keys)]
    wanted = {name: peer for name, peer in PEERS.items() if not options.peers or name in options.peers}
    missing = [name for name, peer in wanted.items() if not peer.installed]
    sizes = options.keys if options.peers else (min(_PEERS_AT_MOST, *options.keys),)
    peers = [_peer(name, keys) for keys, name in product(sizes, wanted) if name not in missing]
    tables = [Table("CPU time of the engine", _COSTS, costs)] if costs else []
    charts = [_chart(costs)] if len(options.keys) > 1 and costs else []
    skipped = f"Not installed, and so not measured: {', '.join(missing)}." if missing else ""
    return Result(
        key="steps",
        title="No-op steps in one run",
        tables=[*tables, Table("Beside other engines", _PEERS, peers)],
        goals=list(_goals(costs)),
        charts=charts,
        notes=(*_NOTES, skipped) if skipped else _NOTES,
    )


def _measured(function: str, **job: Any) -> dict[str, Any]:
    try:
        return run_child(f"bench.{function}", job)
    except ChildError as error:
        return {"error": str(error)}


def _cost(keys: int, way: str) -> dict[str, Any]:
    say(f"  {keys:,} steps, {way}")
    row = _measured("_step_costs:engine", count=keys, way=way)
    if way == SEQUENTIAL and keys in _MEMORY_OF:
        held = _measured("_step_costs:memory", count=keys)
        if "bytes_per_step" in held:
            row["kib_per_step"] = held["bytes_per_step"] / 1024
    return {"keys": keys, "way": way, **row}


def _peer(name: str, keys: int) -> dict[str, Any]:
    say(f"  {name}: {keys:,} steps, twice")
    row = _measured(f"_step_peers:{PEERS[name].function}", count=keys)
    for which in ("first", "second"):
        if f"{which}_s" in row:
            row[f"{which}_us_per_step"] = row[f"{which}_s"] * 1e6 / keys
    return {"keys": keys, "peer": name, "keeps": PEERS[name].keeps, **row}


def _goals(costs: list[dict[str, Any]]) -> Iterator[Goal]:
    """The worst row decides."""
    measured = [row for row in costs if "error" not in row]
    if not measured:
        return
    for what, figure, spec, most in (
        ("a played step costs at most {} bare tasks", "played_tasks", ".1f", _PLAYED),
        ("a skipped step costs at most {} bare tasks", "skipped_tasks", ".1f", _SKIPPED),
        ("a played step holds at most {} KiB", "kib_per_step", ".2f", _MEMORY),
    ):
        rows = [row for row in measured if figure in row]
        if rows:
            worst = max(rows, key=lambda row: row[figure])
            told = f"{format(worst[figure], spec)} ({worst['keys']:,} steps, {worst['way']})"
            yield Goal(what.format(most), told, worst[figure] <= most)


def _chart(costs: list[dict[str, Any]]) -> Chart:
    lines = {
        f"{status}, {'side by side' if way == GROUPED else way}": [
            (row["keys"], row[f"{status}_us"]) for row in costs if row["way"] == way and "error" not in row
        ]
        for way, status in product(WAYS, ("played", "skipped"))
    }
    return Chart(title="No-op steps: CPU time of a step over steps", x="steps", y="CPU time, µs", lines=lines)
