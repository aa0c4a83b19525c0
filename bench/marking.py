"""Marking many steps as done at once, and withdrawing them: ours beside other S3 clients."""

from collections.abc import Iterator
from itertools import product
from typing import Any

from bench._marking_peers import PEERS
from bench._measure import ChildError, median_by_wall, run_child
from bench._report import Chart, Column, Goal, Options, Result, Row, Table, say
from bench._seeding import own_place
from bench._shapes import digest, make_names
from bench._targets import Target, open_target

DEFAULTS: dict[str, object] = {"keys": (3_000,), "latencies_ms": (50.0,), "concurrency": 64}
QUICK = (
    "marking --keys 2000",
    "marking --keys 10000 --concurrency 256 --peers 'asyncsteps,obstore,bare aiohttp' --label marking-256",
)
OURS, BY_BOTOCORE, STOCK, RUST = "asyncsteps", "asyncsteps by botocore", "aioboto3", "obstore"
VERIFIER = "bench._listing_peers:boto3_paginator"

_COLUMNS = (
    Column("keys", "marks", ",d"),
    Column("latency_ms", "latency, ms", "g"),
    Column("peer", "who"),
    Column("per_second", "marks a second", ",.0f"),
    Column("ratio", "times stock aioboto3", ".2f"),
    Column("wall_s", "wall, s", ".2f"),
    Column("cpu_s", "client CPU, s", ".2f"),
    Column("cpu_ms_per_mark", "CPU ms a mark", ".2f"),
    Column("requests", "requests", ",d"),
    Column("peak_concurrency", "at once", "d"),
    Column("memory_mb", "peak memory, MB", ".0f"),
    Column("equal", "all stored"),
)
_WITHDRAWALS = (
    Column("keys", "marks", ",d"),
    Column("latency_ms", "latency, ms", "g"),
    Column("wall_s", "wall, s", ".2f"),
    Column("cpu_s", "client CPU, s", ".2f"),
    Column("delete_requests", "DeleteObjects requests", ",d"),
    Column("requests", "requests in all", ",d"),
)
_NOTES = (
    (
        "Each row is one process that writes one small object a mark; its clock starts with an open client that "
        "has sent one small request. As many workers as requests may be under way take one name after the other; "
        "where all wait, each name has a task from the beginning. All clients have as many connections as "
        "workers; a stock one would have 10. What was stored is listed afterwards by another client."
    ),
    "A withdrawal looks up what is there first, 1,000 names a request, as S3 does not tell what a deletion found.",
)


def run(options: Options) -> Result:
    """Mark once for each size, latency and peer; withdraw what ours has marked."""
    rows: list[dict[str, Any]] = []
    withdrawn: list[dict[str, Any]] = []
    with open_target(options) as target:
        latencies = options.latencies_ms if target.name == "model" else (None,)
        for keys, latency in product(options.keys, latencies):
            if latency is not None:
                target.set(latency_ms=latency, requests_per_second=options.requests_per_second)
            setting = {"keys": keys, "latency_ms": latency}
            for peer in target.peers_of(PEERS, options):
                say(f"  {peer}: {keys} marks")
                try:
                    row, withdrawal = _measure(target, options, peer, keys)
                except ChildError as error:
                    rows.append({**setting, "peer": peer, "error": str(error)})
                    continue
                rows.append({**setting, "peer": peer, **row})
                if peer == OURS:
                    withdrawn.append({**setting, **withdrawal})
    _add_ratios(rows)
    tables = [Table("Marking", _COLUMNS, rows)]
    if withdrawn:
        tables.append(Table("Withdrawing all of them again, with our store", _WITHDRAWALS, withdrawn))
    return Result(
        key="marking",
        title=f"Marking steps as done on {target.name}, {options.concurrency} requests at once",
        tables=tables,
        goals=_goals(options, rows, withdrawn),
        charts=_charts(rows),
        notes=_NOTES,
    )


def _measure(target: Target, options: Options, peer: str, keys: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Mark in a place of its own each time; the median row, and for ours the last withdrawal."""
    expected = digest(make_names("flat-padded", keys))
    taken: list[dict[str, Any]] = []
    withdrawal: dict[str, Any] = {}
    for _ in range(options.repeat):
        with own_place(target, options) as place:
            job = {**place.job(), "count": keys, "concurrency": options.concurrency}
            target.reset()
            row = run_child(f"bench._marking_peers:{PEERS[peer]}", job, env=target.env)
            counted = target.counters()
            row |= counted
            if counted:
                row["requests"] = counted["by_operation"]["PUT"]  # without the client's warm-up
            row["equal"] = run_child(VERIFIER, job, env=target.env)["digest"] == expected
            row["per_second"] = keys / row["wall_s"]
            row["cpu_ms_per_mark"] = row["cpu_s"] * 1000 / keys
            taken.append(row)
            if peer == OURS:
                target.reset()
                withdrawal = run_child("bench._seeding:withdraw", job, env=target.env) | target.counters()
                withdrawal["delete_requests"] = withdrawal.get("by_operation", {}).get("DELETE_OBJECTS")
    return {**median_by_wall(taken), "equal": all(row["equal"] for row in taken)}, withdrawal


def _add_ratios(rows: list[dict[str, Any]]) -> None:
    stock = {
        (row["keys"], row["latency_ms"]): row["wall_s"] for row in rows if row["peer"] == STOCK and "wall_s" in row
    }
    for row in rows:
        base = stock.get((row["keys"], row["latency_ms"]))
        if base and "wall_s" in row:
            row["ratio"] = base / row["wall_s"]


def _goals(options: Options, rows: list[dict[str, Any]], withdrawn: list[dict[str, Any]]) -> list[Goal]:
    goals = [
        Goal(f"{row['peer']}: all marks are stored", "some are not", False)
        for row in rows
        if not row.get("equal", True)
    ]
    for row in withdrawn:
        batches = -(-row["keys"] // 1000)
        if (sent := row.get("requests")) is not None and row["count"] == row["keys"]:
            most = 2 * batches  # a page and a deletion for each thousand
            goals.append(Goal(f"{row['keys']:,} withdrawals in {most} requests", f"{sent}", sent <= most))
    if options.target == "model" and not options.requests_per_second:
        goals += _promises(options, rows)
    return goals


def _promises(options: Options, rows: list[dict[str, Any]]) -> Iterator[Goal]:
    """What was promised beside the peers at 50 ms, 64 or 256 requests at once."""
    measured = {(row["keys"], row["peer"]): row for row in rows if row["latency_ms"] == 50 and "wall_s" in row}
    promised = {
        64: ((STOCK, "per_second", ">=", 3.0), (RUST, "per_second", ">=", 0.95)),
        256: ((RUST, "per_second", ">=", 0.75),),
    }.get(options.concurrency, ())
    cpu = ((BY_BOTOCORE, "cpu_ms_per_mark", "<=", 0.35), (RUST, "cpu_ms_per_mark", "<=", 1.2))
    for keys, peer in list(measured):
        if peer != OURS:
            continue
        for other, column, sign, limit in (*promised, *cpu):
            if (keys, other) in measured:
                ratio = measured[keys, OURS][column] / measured[keys, other][column]
                what = "marks a second" if column == "per_second" else "CPU of a mark"
                yield Goal(
                    f"{keys:,} marks, {options.concurrency} at once: {what} {sign} {limit:g} times {other}'s",
                    f"{ratio:.2f} times",
                    ratio >= limit if sign == ">=" else ratio <= limit,
                )


def _charts(rows: list[dict[str, Any]]) -> list[Chart]:
    charts = []
    measured: list[Row] = [row for row in rows if "wall_s" in row]
    for key, label in (("keys", "marks"), ("latency_ms", "latency of a request, ms")):
        if len({row[key] for row in measured}) < 2:
            continue
        lines: dict[str, list[tuple[float, float]]] = {}
        for row in measured:
            lines.setdefault(row["peer"], []).append((row[key], row["wall_s"]))
        charts.append(
            Chart(title=f"Marking: time over {label.split(',')[0]}", x=label, y="wall time, s", lines=lines)
        )
    return charts
