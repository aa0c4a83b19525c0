"""What a run leaves in its journal, and in its marks; on every store."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from journals import STORES, FailingStore, journals, of, open_by, told
from run_support import fails, noop

import asyncsteps
from asyncsteps import (
    Chain,
    Group,
    MemoryStore,
    SignalTask,
    Step,
    StepDefinitionError,
    StepRun,
    StepStore,
    StoreError,
    activity,
    journal,
)
from asyncsteps._journal.texts import collapsed


@pytest.fixture(params=STORES)
async def store(request: pytest.FixtureRequest) -> AsyncIterator[StepStore]:
    async with open_by(request) as opened:
        yield opened


async def test_the_story_of_a_run(store: StepStore) -> None:
    tried: list[int] = []

    @activity(retry=2, retry_wait=0.001)
    async def flaky(secret: str) -> str:
        tried.append(1)
        if len(tried) < 3:
            raise OSError("at http://user:hidden@host/ no luck")
        return secret

    await store.mark_done("report", {"run_id": "earlier"})
    async with StepRun(
        store,
        workflow_id="nightly",
        run_id="r 1/x",
        version="7",
        force={"load": "new data"},
        skip=["old"],
        about={"target": "flow:main", "parameters": {"day": "today", "api_token": "hidden"}},
    ) as run:
        await run.submit(Step("load", (flaky, "hidden argument"), force_steps_if_executed=["report"]))
        await run.submit(Step("report", noop, emit_signal=True))
        await run.submit(Step("old.table", noop))
        run.add_skipped_steps("late", "too late")
        await run.submit(Step("late", noop))
        await run.submit(Step("bad", fails))
        await run.submit(Chain(SignalTask("go", "hidden payload")))
        run.record_marker("mine", {"note": "hidden details"})
    (events,) = await journals(store)
    events = [event for event in events if not (event["event"] == "started" and event["segment"] > 1)]
    events = [event for event in events if event["event"] != "alive"]
    early = ("scheduled", "load") in told(
        events
    )  # the withdrawal has it written at once, if there is time for that
    assert told(events) == [
        ("started", None),
        ("forces", "load"),
        *([("scheduled", "load")] if early else []),
        ("withdrawing", "load"),
        ("retrying", "load"),
        ("retrying", "load"),
        ("completed", "load"),
        ("completed", "report"),
        ("signal", "report"),
        ("skipped", "old.table"),
        ("selector", None),
        ("skipped", "late"),
        ("failed", "bad"),
        ("signal", None),
        ("marker", None),
        ("ended", None),
    ]
    assert {(event["run"], event["workflow"]) for event in events} == {("r 1/x", "nightly")}
    assert events[0]["version"] == "7"
    assert events[0]["force"] == [["load", "new data"]]
    assert events[0]["skip"] == [["old", None]]
    assert events[0]["about"] == {"target": "flow:main", "parameters": {"day": "today", "api_token": "***"}}
    assert events[0]["asyncsteps"] == asyncsteps.__version__
    (withdrawing,), retrying = of(events, "withdrawing"), of(events, "retrying")
    assert withdrawing["names"] == ["report"]
    assert [(event["attempt"], event["of"]) for event in retrying] == [(1, 3), (2, 3)]
    load, report = of(events, "completed")
    assert (load["attempts"], load["forced"], load["reasons"]) == (3, True, ["new data"])
    assert load["us"] > 0
    assert ("scheduled_us" in load) is not early
    assert 0 < report["us"] <= report["scheduled_us"]
    assert report["reasons"] == ["Dep of load"]
    assert [event["reasons"] for event in of(events, "skipped")] == [[], ["too late"]]
    assert of(events, "failed")[0]["error"] == "ValueError: no luck"
    assert events[-1]["outcome"] == "failed"
    assert events[-1]["counts"] == {"scheduled": 3, "completed": 2, "skipped": 2, "failed": 1}
    assert "hidden" not in repr(events)
    (summary,) = await journal.runs(store)
    assert (summary.run_id, summary.outcome, summary.failures) == ("r 1/x", "failed", 1)
    assert summary.about["target"] == "flow:main"
    assert summary.problems == ()
    story, _ = await journal.story(store, "r 1/x")
    assert replace(story, heard=0.0) == replace(summary, heard=0.0)


async def test_a_mark_says_who_and_how(store: StepStore) -> None:
    async with StepRun(store, workflow_id="w", force={"a": "x" * 1_000}) as run:
        await run.submit(Step("a", Chain(noop, noop, Group(noop))))
        await run.submit(Step("b", (noop,)))
    record = await store.read_done("a")
    assert record is not None
    assert list(record)[:4] == ["run_id", "workflow_id", "version", "marked_at"]
    assert (record["run_id"], record["workflow_id"], record["version"]) == (run.run_id, "w", None)
    assert record["queued"] <= record["started"] <= record["ended"] == record["marked_at"]
    assert record["attempts"] == 1
    assert record["forced"] is True
    assert record["reasons"] == [f"{'x' * 299}…"]
    assert record["activity"] == "chain of 3 (run_support.noop, run_support.noop, …)"
    assert record["host"]
    other = await store.read_done("b")
    assert other is not None
    assert other["activity"] == "run_support.noop"


async def test_it_is_switched_off() -> None:
    async with MemoryStore() as store, StepRun(store, workflow_id="w", journal=False) as run:
        await run.submit(Step("a", noop))
    assert await store.journal_files.names() == []


async def test_a_run_that_only_plans_leaves_none() -> None:
    async with MemoryStore() as store:
        async with StepRun(store, workflow_id="w") as run:
            await run.plan([Step("a", noop)])
        assert await store.journal_files.names() == []
        async with StepRun(store, workflow_id="w") as run:
            await run.plan([Step("a", noop)])
            await run.submit(Step("a", noop))
        assert len(await journal.runs(store)) == 1


@pytest.mark.parametrize("given", [["a"], {"a": object()}, "text"])
def test_what_it_is_about_is_checked(given: Any) -> None:
    with pytest.raises(StepDefinitionError, match="a mapping of JSON values"):
        StepRun(MemoryStore(), workflow_id="w", about=given)


async def test_the_whole_list_of_reasons_is_there_once() -> None:
    names = [f"load.s{number}" for number in range(40)]
    async with MemoryStore() as store, StepRun(store, workflow_id="w", run_id="r") as run:
        await run.submit(Chain(*(Step(name, noop, force_steps_if_executed=["report"]) for name in names)))
        outcomes = await run.submit(Chain(*(Step(f"report.s{number}", noop) for number in range(5))))
    whole = [f"Dep of {name}" for name in names]
    assert [list(outcome.reasons) for outcome in outcomes] == [whole] * 5
    (events,) = await journals(store)
    assert [event["reasons"] for event in events if event["event"] == "reasons"] == [whole]
    short = [event["reasons"] for event in events if str(event.get("step")).startswith("report")]
    assert short == [["Dep of load.s0 and 39 more"]] * 5
    _, story = await journal.story(store, "r")
    assert [event["reasons"] for event in story if event.get("step") == "report.s4"] == [whole]
    assert store.records["report.s0"]["reasons"] == ["Dep of load.s0 and 39 more"]


@pytest.mark.parametrize(
    ("reasons", "short"),
    [
        ([], []),
        (["Dep of a", "Dep of b", "Dep of c"], ["Dep of a", "Dep of b", "Dep of c"]),
        (["x", *(f"Dep of {n}" for n in "abcd"), "y"], ["x", "Dep of a and 3 more", "y"]),
        ([*"vwxyz"], [*"vwxyz"]),
    ],
)
def test_reasons_are_collapsed(reasons: list[str], short: list[str]) -> None:
    assert collapsed(reasons) == short


def test_the_reasons_of_dependents_begin_as_the_planner_has_it() -> None:
    from asyncsteps._journal.texts import DEPENDENT_OF
    from asyncsteps._plan.model import ForceDependents, StepRules
    from asyncsteps._plan.planner import Planner

    rules = StepRules("a.b", force_steps_if_executed=("c",))
    planner = Planner()
    phases = planner.phases(rules, planner.decide(rules, done=False), done=False)
    assert [phase.reason for phase in phases if isinstance(phase, ForceDependents)] == [f"{DEPENDENT_OF}a.b"]


async def test_a_change_by_hand_that_cannot_be_told_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    async with FailingStore() as store:
        store.journal_files.error = StoreError("out of order")
        await journal.record_by_hand(store, "marked", ["a"], by="me")
        assert [record.getMessage() for record in caplog.records] == [
            "the journal does not tell of this change (out of order)"
        ]
        store.journal_files.error = None
        await journal.record_by_hand(store, "forgotten", [], by="me")
        assert await journal.runs(store, by_hand=True) == []


@pytest.mark.parametrize("raised", [RuntimeError("of my own"), SystemExit(3)])
async def test_what_leaves_the_block_is_told(raised: BaseException) -> None:
    async with MemoryStore() as store:
        with pytest.raises(type(raised)):
            async with StepRun(store, workflow_id="w"):
                raise raised
        (run,) = await journal.runs(store)
    assert run.outcome == ("failed" if isinstance(raised, Exception) else "cancelled")
    assert run.error == f"{type(raised).__name__}: {raised}"


async def test_reasons_are_short_and_without_credentials() -> None:
    reason = f"see http://user:hidden@host/ {'x' * 100_000}"
    async with MemoryStore() as store:
        async with StepRun(store, workflow_id="w", run_id="r", force={"a": reason}) as run:
            await run.submit(Step("a", noop))
            run.add_skipped_steps("b", reason)
            await run.submit(Step("b", noop))
        _, events = await journal.story(store, "r")
        answer = await journal.why(store, "a")
    assert "hidden" not in repr(events)
    assert max(map(len, map(repr, events))) < 2_000
    assert answer.state.because[0].text.startswith("forced by the selector 'a', because: see ***@host/ xx")


async def test_lists_of_reasons_that_grow_are_told_without_repetition() -> None:
    async with MemoryStore() as store:
        async with StepRun(store, workflow_id="w", run_id="r") as run:
            for number in range(100):
                await run.submit(Step(f"load.s{number}", noop, force_steps_if_executed=["report"]))
                await run.submit(Step(f"report.s{number}", noop))
        (events,) = await journals(store)
        assert sum(len(event["reasons"]) for event in of(events, "reasons")) == 100
        _, told = await journal.story(store, "r")
    (last,) = [event for event in told if event.get("step") == "report.s99" and event["event"] == "completed"]
    assert last["reasons"] == [f"Dep of load.s{number}" for number in range(100)]
