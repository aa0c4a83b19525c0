"""Steps on SWF, ours beside simpleflow's: events and decisions a step, and replay time over number of steps."""

from dataclasses import replace
from typing import Any

from bench._measure import ChildError, run_child
from bench._report import Chart, Column, Goal, Options, Result, Table, say
from bench._targets import open_target

DEFAULTS: dict[str, object] = {"keys": (300, 1_000, 4_000)}
QUICK = ("swf",)
PEERS = ("asyncsteps", "simpleflow")
BARE = "no steps"
"""The same activities and history with no steps: what simpleflow's canvas and history cost by themselves."""

FEW, MORE = 5, 25

_COST_COLUMNS = (
    Column("peer", "who"),
    Column("played_events", "events a played step", ".2f"),
    Column("played_decisions", "decisions a played step", ".2f"),
    Column("skipped_events", "events a skipped step", ".2f"),
    Column("skipped_decisions", "decisions a skipped step", ".2f"),
)
_REPLAY_COLUMNS = (
    Column("keys", "steps", ",d"),
    Column("peer", "who"),
    Column("played_s", "replay, all played, CPU s", ".3f"),
    Column("played_own_us", "of it the steps' share, microseconds a step", ",.0f"),
    Column("skipped_s", "replay, all skipped, CPU s", ".3f"),
    Column("played_parse_s", "parsing the history alone, CPU s", ".3f"),
)
_NOTES = (
    (
        f"Events and decisions: executions of {FEW} and of {MORE} sequential steps of one activity on a moto "
        "server's SWF, decided and worked by simpleflow's own decider and worker; the difference, by step. SWF "
        "ends an execution at 25,000 events."
    ),
    (
        "Replay: one replay of a history in which all steps have ended, the shortest of up to seven; a decider "
        "makes one at every decision. "
        f"{BARE!r} is the same workflow with the same activities in chains, without steps: simpleflow's canvas "
        "and history. The steps' share is what is above that."
    ),
)


def run(options: Options) -> Result:
    """Count on moto, then replay made histories."""
    peers = [peer for peer in PEERS if not options.peers or peer in options.peers]
    costs = [_costs(options, peer) for peer in peers]
    replays = [row for count in options.keys for row in _replays(count, peers)]
    charts = [
        Chart(
            title="One replay: CPU time over steps",
            x="steps",
            y="CPU, s",
            lines={
                f"{peer}, {kind}": points
                for peer in (*peers, BARE)
                for kind in ("played", "skipped")
                if (points := [(row["keys"], row[f"{kind}_s"]) for row in replays if _has(row, peer, kind)])
            },
        )
    ]
    return Result(
        key="swf",
        title="Steps on SWF through simpleflow: history and replays",
        tables=[
            Table("Events and decisions a step", _COST_COLUMNS, costs),
            Table("One replay", _REPLAY_COLUMNS, replays),
        ],
        goals=_goals(costs, replays),
        charts=charts if len(options.keys) > 1 else [],
        notes=_NOTES,
    )


def _has(row: dict[str, Any], peer: str, kind: str) -> bool:
    return row["peer"] == peer and f"{kind}_s" in row


def _costs(options: Options, peer: str) -> dict[str, Any]:
    say(f"  {peer}: executions of {FEW} and {MORE} steps on moto")
    with open_target(replace(options, target="moto")) as target:
        try:
            row = run_child("bench._swf_costs:measure", {"peer": peer, "counts": [FEW, MORE]}, env=target.env)
        except ChildError as error:
            return {"peer": peer, "error": str(error)}
    return {"peer": peer, **row}


def _replays(count: int, peers: list[str]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for peer in (BARE, *peers):
        say(f"  {peer}: a replay of {count} steps")
        try:
            row = run_child("bench._swf_replay:measure", {"peer": peer, "count": count})
        except ChildError as error:
            row = {"error": str(error)}
        rows.append({"keys": count, "peer": peer, **row})
    bare = rows[0].get("played_s")
    for row in rows[1:]:
        if bare is not None and "played_s" in row:
            row["played_own_us"] = round((row["played_s"] - bare) * 1e6 / count, 1)
    return rows


def _goals(costs: list[dict[str, Any]], replays: list[dict[str, Any]]) -> list[Goal]:
    goals: list[Goal] = []
    for row in costs:
        if row["peer"] == "asyncsteps" and "played_events" in row:
            events, decisions, skipped = row["played_events"], row["played_decisions"], row["skipped_events"]
            goals += [
                Goal("at most 16 events a played step", f"{events:.2f}", events <= 16),
                Goal("at most 2 decisions a played step", f"{decisions:.2f}", decisions <= 2),
                Goal("at most 1.5 events a skipped step", f"{skipped:.2f}", skipped <= 1.5),
            ]
    ours = {row["keys"]: row["played_s"] / row["keys"] for row in replays if _has(row, "asyncsteps", "played")}
    if len(ours) > 1:
        growth = ours[max(ours)] / ours[min(ours)]
        what = f"a replay's time by step at {max(ours):,} steps at most twice that at {min(ours):,}"
        goals.append(Goal(what, f"{growth:.2f} times", growth <= 2))
    return goals
