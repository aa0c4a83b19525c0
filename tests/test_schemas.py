"""docs/schemas: what runs write is as the schemas say, in all members, and each kind of record is seen.

The table of docs/events.md has the same members.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from copy import deepcopy
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from commands import command
from journals import journals
from jsonschema import Draft202012Validator

from asyncsteps import (
    Chain,
    Group,
    MarkerTask,
    MemoryStore,
    SignalTask,
    Step,
    StepRun,
    activity,
    current_step,
    events,
)
from asyncsteps._run import journal as writing
from asyncsteps.journal import record_by_hand

SCHEMAS = Path(__file__).parents[1] / "docs" / "schemas"


@pytest.fixture
async def store() -> AsyncIterator[MemoryStore]:
    async with MemoryStore() as opened:
        yield opened


def schema_of(name: str) -> dict[str, Any]:
    schema: dict[str, Any] = json.loads((SCHEMAS / f"{name}.json").read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    return schema


def variants(schema: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = schema.get("oneOf", schema.get("anyOf", [schema]))
    return found


def strict(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema, refusing members that it does not describe; users' copies let later versions add some."""
    own = deepcopy(schema)
    for variant in variants(own):
        variant["additionalProperties"] = False
    return own


def kinds(schema: dict[str, Any]) -> set[str]:
    """The values of ``event`` that a schema describes."""
    members = [variant["properties"]["event"] for variant in variants(schema)]
    return {kind for member in members for kind in member.get("enum", [member.get("const")])}


def check(name: str, records: list[dict[str, Any]]) -> None:
    schema = strict(schema_of(name))
    for record in records:
        problems = [error.message for error in Draft202012Validator(schema).iter_errors(record)]
        assert not problems, f"{record}: {problems}"


@activity(retry=1, retry_wait=0.0)
async def load(table: str) -> str:
    if current_step().attempt == 1:
        raise ValueError("the first attempt")
    current_step().note(rows=3)
    return table


async def breaks() -> None:
    raise ValueError("broken")


async def hangs(began: asyncio.Event) -> None:
    began.set()
    await asyncio.Event().wait()


async def everything(run: StepRun) -> None:
    many = [Step(f"part.{number}", (len, "x"), force_steps_if_executed=["report"]) for number in range(7)]
    await run.submit(Group(*many))
    await run.submit(
        Chain(Step("load.users", load("users"), emit_signal=True, save_result=True), SignalTask("go"))
    )
    await run.submit(Group(Step("report", (len, "x")), Step("broken", breaks), MarkerTask("mine", {"a": 1})))
    run.add_skipped_steps(["left"], "not today")
    run.add_forced_steps(["part.1"], None)
    await run.submit(Step("left", (len, "x")))
    await run.submit(Group(Step("left", (len, "x")), Step("part.0", (len, "x")), Step("load.users", (len, "x"))))
    await run.submit(load("outside"))
    began = asyncio.Event()
    task = asyncio.ensure_future(run.submit(Step("stuck", (hangs, began))))
    await began.wait()
    task.cancel()
    await asyncio.wait([task])


async def played(store: MemoryStore, markers_file: Path | None = None) -> list[events.Event]:
    """Play all kinds of things twice; the second run skips what it can."""
    told: list[events.Event] = []
    for number in range(2):
        async with StepRun(
            store,
            workflow_id="w",
            run_id=f"run-{number}",
            force={"part.2": "again"},
            skip=["nothing"],
            limits={"part": 3},
            until=["last"],
            version="1",
            on_event=told.append,
            markers_file=markers_file,
            about={"target": "x"},
        ) as run:
            await everything(run)
            await run.submit(Step("last", (len, "x")))
    return told


async def test_events(store: MemoryStore) -> None:
    told = await played(store)
    dropped = events.EventsDropped(run_id="r", workflow_id="w", at=told[0].at, number=1)
    records = [event.as_dict() for event in (*told, dropped)]
    check("event", json.loads(json.dumps(records)))
    assert {record["event"] for record in records} == kinds(schema_of("event"))


def test_the_schema_of_events_is_that_of_the_records() -> None:
    described = {kind: variant for variant in variants(schema_of("event")) for kind in kinds({"oneOf": [variant]})}
    records = {each.kind: each for name in events.__all__ if (each := getattr(events, name)).kind}
    assert described.keys() == records.keys()
    for kind, record in records.items():
        members = {"event", *(field.name for field in fields(record))}
        assert set(described[kind]["properties"]) == set(described[kind]["required"]) == members, kind


async def test_journal_lines(store: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(writing, "_MANY", 1)  # a batch whenever something happens
        patched.setattr(writing, "_LEAST", 0.0)
        await played(store)
    with monkeypatch.context() as patched:
        patched.setattr(writing, "_AT_MOST", 5)  # what is more is lost
        await played(store)
    await record_by_hand(store, "marked", ["load.users"], by="me@here", reason="why not")
    await record_by_hand(store, "forgotten", ["load.users"], by="me@here")
    lines = [line for journal in await journals(store) for line in journal]
    check("journal-line", lines)
    assert {line["event"] for line in lines} == kinds(schema_of("journal-line"))


async def test_markers(store: MemoryStore, tmp_path: Path) -> None:
    await played(store, tmp_path / "markers.jsonl")
    lines = (tmp_path / "markers.jsonl").read_text(encoding="utf-8").splitlines()
    markers = [json.loads(line) for line in lines]
    check("marker", markers)
    of_steps = [marker["details"]["status"] for marker in markers if marker["name"] == "log.step"]
    assert set(of_steps) == set(schema_of("marker")["$defs"]["status"]["enum"])
    assert len(of_steps) < len(markers)


@pytest.fixture
def by_hand(tmp_path: Path) -> dict[str, Any]:
    """The mark that the command makes."""
    assert command("mark", tmp_path / "steps", "a", "--reason", "why not").code == 0
    record: dict[str, Any] = command("show", tmp_path / "steps", "a", "--json").json["record"]
    return record


async def test_done_marks(store: MemoryStore, by_hand: dict[str, Any]) -> None:
    await played(store)
    marks = [dict(record) for record in store.records.values()]
    simpleflows = {"run_id": "r", "workflow_id": "w", "version": "1"}
    check("done-mark", [*marks, by_hand, simpleflows])
    assert {member for mark in (*marks, by_hand) for member in mark} == set(schema_of("done-mark")["properties"])


def test_the_table_of_events_is_whole() -> None:
    """Each kind of event stands beside its record, with the members that it has beyond those of all."""
    page = (SCHEMAS.parent / "events.md").read_text(encoding="utf-8")
    rows = [[set(re.findall(r"`([\w.]+)`", cell)) for cell in line.split("|")[1:-1]] for line in page.splitlines()]
    told = {record: (row[0], row[2]) for row in rows if len(row) == 3 for record in row[1]}
    records = {name: getattr(events, name) for name in events.__all__ if getattr(events, name).kind}
    assert told.keys() == records.keys()
    for name, record in records.items():
        kinds, members = told[name]
        assert record.kind in kinds
        own = {each for each in record.__dataclass_fields__ if each not in events.Event.__dataclass_fields__}
        assert own <= members or (own - {"error"} <= told["StepScheduled"][1] and "step.scheduled" in members), (
            name
        )
