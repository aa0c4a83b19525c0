"""What a step costs in a run: no-op steps one after the other, ours beside simpleflow's local executor."""

import logging
from collections.abc import Mapping
from typing import Any

from bench._measure import ChildError, Meter, run_child
from bench._report import Chart, Column, Options, Result, Table, say

DEFAULTS: dict[str, object] = {"keys": (300, 1_000, 3_000)}
QUICK = ("overhead",)
PEERS = {"asyncsteps": "native", "simpleflow": "simpleflow_local"}
"""The function of each peer."""

_COLUMNS = (
    Column("keys", "steps", ",d"),
    Column("peer", "who"),
    Column("first_s", "first run, s", ".3f"),
    Column("second_s", "second run, all done, s", ".3f"),
    Column("first_us_per_step", "first, microseconds a step", ",.0f"),
    Column("second_us_per_step", "second, microseconds a step", ",.0f"),
    Column("memory_mb", "peak memory, MB", ".0f"),
)
_NOTES = (
    (
        "Both keep what is done in memory: ours in its memory store; simpleflow's storage calls are replaced by a "
        "dictionary. Both record markers, and neither waits for a network."
    ),
)


def run(options: Options) -> Result:
    """Play n steps twice, for each n and peer."""
    rows: list[dict[str, Any]] = []
    for keys in options.keys:
        for peer in [name for name in PEERS if not options.peers or name in options.peers]:
            say(f"  {peer}: {keys} steps, twice")
            try:
                row = run_child(f"bench.overhead:{PEERS[peer]}", {"count": keys})
            except ChildError as error:
                rows.append({"keys": keys, "peer": peer, "error": str(error)})
                continue
            for which in ("first", "second"):
                row[f"{which}_us_per_step"] = row[f"{which}_s"] * 1e6 / keys
            rows.append({"keys": keys, "peer": peer, **row})
    lines = {
        f"{peer}, {which} run": [
            (row["keys"], row[f"{which}_s"]) for row in rows if row["peer"] == peer and "wall_s" in row
        ]
        for peer in PEERS
        for which in ("first", "second")
    }
    chart = Chart(title="No-op steps: time over steps", x="steps", y="wall time, s", lines=lines)
    return Result(
        key="overhead",
        title="No-op steps in one run, sequential, done steps in memory",
        tables=[Table("Two runs a row", _COLUMNS, rows)],
        charts=[chart] if len(options.keys) > 1 else [],
        notes=_NOTES,
    )


async def native(job: Mapping[str, Any], meter: Meter) -> dict[str, Any]:
    """Two native runs on one memory store."""
    import asyncsteps

    played = 0

    async def work() -> None:
        nonlocal played
        played += 1

    meters = (Meter(), Meter())
    with meter:
        async with asyncsteps.open_store("memory:") as store:
            for one in meters:
                async with asyncsteps.StepRun(store, workflow_id="bench") as run_:
                    with one:
                        for number in range(job["count"]):
                            await run_.submit(asyncsteps.Step(f"load.step-{number}", work))
    assert played == job["count"], f"{played} steps were played"
    return {"first_s": meters[0].row["wall_s"], "second_s": meters[1].row["wall_s"]}


def simpleflow_local(job: Mapping[str, Any], meter: Meter) -> dict[str, Any]:
    """Two runs of one workflow class on simpleflow's local executor."""
    from types import SimpleNamespace

    from simpleflow import Workflow, activity, futures, storage
    from simpleflow.local import Executor
    from simpleflow.step.submittable import Step
    from simpleflow.step.workflow import WorkflowStepMixin
    from simpleflow.task import ActivityTask

    logging.disable()  # importing it sets up handlers
    stored: dict[str, Any] = {}
    played = 0

    def list_keys(bucket: str, path: str | None = None) -> list[Any]:
        del bucket, path  # there is but one bucket, and one prefix
        return list(stored.values())

    def push_content(bucket: str, path: str, content: str) -> None:
        del bucket
        stored[path] = SimpleNamespace(key=path, content=content)

    storage.list_keys, storage.push_content = list_keys, push_content

    @activity.with_attributes(task_list="bench", version="1")
    def work() -> None:
        nonlocal played
        played += 1

    class NoOps(Workflow, WorkflowStepMixin):
        name, version, task_list = "no-ops", "1", "bench"

        def run(self, count: int) -> None:
            for number in range(count):
                futures.wait(self.submit(Step(f"load.step-{number}", ActivityTask(work))))

    meters = (Meter(), Meter())
    with meter:
        for one in meters:
            with one:
                Executor(NoOps).run({"args": [job["count"]]})
    assert played == job["count"], f"{played} steps were played"
    return {"first_s": meters[0].row["wall_s"], "second_s": meters[1].row["wall_s"]}
