"""Listing all done steps under a prefix: ours beside the listings that others use, each in its own process."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import product
from typing import Any

from bench._listing_peers import PEERS
from bench._measure import ChildError, median_by_wall, run_child
from bench._report import Chart, Column, Goal, Options, Result, Row, Table, say
from bench._seeding import filled
from bench._shapes import SHAPES
from bench._targets import Target, open_target

DEFAULTS: dict[str, object] = {"shapes": ("flat-padded",), "latencies_ms": (50.0,), "concurrency": 32}
OURS, BY_BOTOCORE, BARE, RUST = "asyncsteps", "asyncsteps by botocore", "bare aiohttp", "obstore"
_CPU_PEERS = f"{OURS},{BY_BOTOCORE},{BARE}"
QUICK = (
    "listing --keys 1000,10000,100000 --label listing-sizes",
    "listing --keys 100000 --shape all --peers asyncsteps --label listing-shapes",
    f"listing --keys 100000 --shape flat-padded,uuid,unicode --peers '{_CPU_PEERS}' --label listing-cpu",
    "listing --keys 1000000 --concurrency 64 --peers asyncsteps --label listing-million",
    "listing --keys 10000 --latency-ms 1,20,100 --label listing-latencies",
    "listing --target moto --keys 2000 --label listing-moto",
)
FLAT = ("flat-padded", "flat-unpadded")

_COLUMNS = (
    Column("shape", "shape"),
    Column("keys", "keys", ",d"),
    Column("latency_ms", "latency, ms", "g"),
    Column("peer", "who"),
    Column("wall_s", "wall, s", ".2f"),
    Column("ratio", "times ours", ".1f"),
    Column("cpu_s", "client CPU, s", ".2f"),
    Column("cpu_ms_per_page", "CPU ms a page fetched", ".2f"),
    Column("requests", "requests", ",d"),
    Column("requests_per_page", "requests a page", ".2f"),
    Column("throttled", "throttled", ",d"),
    Column("peak_concurrency", "at once", "d"),
    Column("cpu_before_s", "CPU of the start, s", ".2f"),
    Column("memory_mb", "peak memory, MB", ".0f"),
    Column("equal", "same names"),
)
_NOTES = (
    (
        "Each row is one process; its clock starts with an open client that has sent one small request, and stops "
        "with the names in a list; what the start took of CPU stands apart. Requests and requests at "
        "once are the server's count (for a URL: the client's own, where it keeps one). CPU is that of the whole "
        "client, for each page that it fetched. Memory is the peak of the whole process, libraries included."
    ),
)


def run(options: Options) -> Result:
    """List once for each shape, size, latency and peer."""
    shapes = tuple(SHAPES) if "all" in options.shapes else options.shapes
    rows: list[Row] = []
    with open_target(options) as target:
        for shape, keys in product(shapes, _sizes(options, target)):
            with _seeded(target, options, shape, keys) as (expected, place):
                latencies = options.latencies_ms if target.name == "model" else (None,)
                for latency in latencies:
                    setting = {"shape": shape if expected else None, "keys": keys, "latency_ms": latency}
                    rows += _compare(target, options, place, setting, expected)
    return Result(
        key="listing",
        title=f"Listing done steps on {target.name}, {options.concurrency} requests at once",
        tables=[Table("One listing a row", _COLUMNS, rows)],
        goals=goals_of(options, rows),
        charts=_charts(rows),
        notes=_NOTES,
    )


def _sizes(options: Options, target: Target) -> tuple[int, ...]:
    if options.keys:
        return options.keys
    # What lies under a URL is listed as it is; moto takes 0.4 s a page, whoever asks.
    return {"model": (100_000,), "moto": (2_000,)}.get(target.name, (0,))


@contextmanager
def _seeded(
    target: Target, options: Options, shape: str, keys: int
) -> Iterator[tuple[str | None, dict[str, Any]]]:
    """Fill the target; the digest of what it holds (None: whatever it holds), and where."""
    if target.ours:
        yield target.seed(shape, keys), target.place.job()
    elif keys:
        with filled(target, options, shape, keys) as (expected, place):
            yield expected, place.job()
    else:
        yield None, target.place.job()


def _compare(
    target: Target, options: Options, place: dict[str, Any], setting: Row, expected: str | None
) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for peer in target.peers_of(PEERS, options):
        say(f"  {peer}: " + ", ".join(f"{key} {value}" for key, value in setting.items() if value is not None))
        try:
            taken = [_measure(target, options, place, peer, setting) for _ in range(options.repeat)]
        except ChildError as error:
            rows.append({**setting, "peer": peer, "error": str(error)})
            continue
        row = {**setting, "peer": peer, **median_by_wall(taken)}
        expected = expected or row["digest"]
        row["keys"] = row["count"]
        pages = max(1, -(-row["count"] // 1000))
        row["equal"] = all(one["digest"] == expected for one in taken)
        row["cpu_ms_per_page"] = row["cpu_s"] * 1000 / (row.get("requests") or pages)
        if row.get("requests") is not None:
            row["requests_per_page"] = row["requests"] / pages
        rows.append(row)
    ours = next((row["wall_s"] for row in rows if row["peer"] == OURS and "wall_s" in row), None)
    for row in rows:
        if ours and "wall_s" in row:
            row["ratio"] = row["wall_s"] / ours
    cpu = {row["peer"]: row["cpu_ms_per_page"] for row in rows if "cpu_ms_per_page" in row}
    if {OURS, BY_BOTOCORE} <= cpu.keys():
        ours_row = next(row for row in rows if row["peer"] == OURS)
        ours_row["cpu_ratio"] = cpu[OURS] / cpu[BY_BOTOCORE]
    return rows


def _measure(
    target: Target, options: Options, place: Mapping[str, Any], peer: str, setting: Row
) -> dict[str, Any]:
    if target.name == "model":
        target.set(latency_ms=setting["latency_ms"], requests_per_second=options.requests_per_second)
    target.reset()
    job = {**place, "concurrency": options.concurrency}
    row = run_child(f"bench._listing_peers:{PEERS[peer]}", job, env=target.env)
    counted = target.counters()
    if counted:
        if not options.requests_per_second:
            del counted["throttled"]
        row |= counted | {"requests": counted["by_operation"].get("LIST", 0)}  # without the client's warm-up
    return row


def goals_of(options: Options, rows: Sequence[Row]) -> list[Goal]:
    """What was promised for ours, where it was measured as promised: a model server, 50 ms, 32 or 64 at once."""
    goals = [
        Goal(f"{row['peer']}: the same names as the others", "other names", False)
        for row in rows
        if row.get("equal") is False
    ]
    if options.target != "model" or options.concurrency not in {32, 64} or options.requests_per_second:
        return goals
    promised: dict[tuple[str, str, str], list[tuple[float, float, str]]] = {}
    for row in rows:
        if row["peer"] == OURS and "error" not in row and row["latency_ms"] == 50:
            for promise, column, limit, unit in _promises(row):
                what = (f"{row['keys']:,} keys", promise, unit)
                promised.setdefault(what, []).append((row[column] - limit, row[column], row["shape"]))
    goals += [
        Goal(
            f"{row['keys']:,} keys at 1 ms: at least 3 times the speed of obstore",
            f"{row['ratio']:.2g} times",
            row["ratio"] >= 3,
        )
        for row in rows
        if row["peer"] == RUST and row["keys"] == 10_000 and row["latency_ms"] == 1 and "ratio" in row
    ]
    for (keys, promise, unit), measured in promised.items():
        over, worst, shape = max(measured)
        missed = [shape for excess, _, shape in measured if excess > 0]
        told = f"{worst:.3g} {unit} at the worst, {shape}" + (f"; missed by {', '.join(missed)}" if missed else "")
        goals.append(Goal(f"{keys}: {promise}", told, over <= 0))
    return goals


def _promises(row: Row) -> Iterator[tuple[str, str, float, str]]:
    """Promise, column, limit and unit."""
    keys = row["keys"]
    if keys <= 1000:
        yield "one request", "requests", 1, "requests"
    if keys in {100_000, 1_000_000}:
        seconds = 0.7 if keys == 100_000 else 1.2
        yield f"under {seconds:g} s", "wall_s", seconds, "s"
        share = 1.1 if keys == 1_000_000 else 1.4 if row["shape"] in FLAT else 1.6
        flat = " on a flat shape" if share == 1.4 else ""
        yield f"at most {share:g} requests a page{flat}", "requests_per_page", share, "a page"
        if "cpu_ratio" in row:
            yield "at most 0.35 times the CPU a page of botocore", "cpu_ratio", 0.35, "times"


def _charts(rows: list[Row]) -> list[Chart]:
    charts = []
    measured = [row for row in rows if "wall_s" in row]
    for key, label in (("keys", "keys"), ("latency_ms", "latency of a request, ms")):
        if len({row[key] for row in measured}) < 2:
            continue
        lines: dict[str, list[tuple[float, float]]] = {}
        for row in measured:
            lines.setdefault(row["peer"], []).append((row[key], row["wall_s"]))
        for points in lines.values():
            points.sort()
        charts.append(
            Chart(title=f"Listing: time over {label.split(',')[0]}", x=label, y="wall time, s", lines=lines)
        )
    return charts
