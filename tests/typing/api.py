"""Valid uses of the public names, for type checkers to read; nobody runs them."""

from typing import Any, assert_type

import asyncsteps
from asyncsteps import (
    Activity,
    ActivityTask,
    Chain,
    CurrentStep,
    Group,
    Marker,
    MarkerTask,
    Plan,
    RunHandle,
    Runs,
    RunState,
    Signal,
    SignalTask,
    Status,
    Step,
    StepOutcome,
    StepRun,
    StepStore,
    WaitForSignal,
    Workflow,
    activity,
    current_step,
    events,
)


@activity(retry=3, start_to_close_timeout=60, schedule_to_close_timeout="600")
async def load(table: str) -> int:
    return len(table)


@activity
def count(table: str, *, least: int = 0) -> float:
    return len(table) + least


@activity
async def bare(table: str) -> bytes:
    return table.encode()


class Report:
    def __init__(self, title: str) -> None:
        self.title = title

    def execute(self) -> list[str]:
        return [self.title]


class AsyncReport:
    def __init__(self, title: str) -> None:
        self.title = title

    async def execute(self) -> dict[str, str]:
        return {"title": self.title}


# As functions: mypy takes a decorated class for the class itself, whatever the decorator gives.
report = activity(task_list="other", raises_on_failure=False, meta={"a": 1})(Report)
async_report = activity(AsyncReport)

assert_type(load("users"), ActivityTask[int])
assert_type(count("users", least=2), ActivityTask[float])
assert_type(bare("users"), ActivityTask[bytes])
assert_type(report("title"), ActivityTask[list[str]])
assert_type(async_report("title"), ActivityTask[dict[str, str]])
made: Activity[[str], int] = load


async def alone() -> None:
    assert_type(await load("users"), int)
    assert_type(await count("users"), float)
    assert_type(await async_report("title"), dict[str, str])
    assert_type(load("users").execute(), int)


def on_marker(marker: Marker) -> None: ...


async def main(url: str) -> None:
    async with asyncsteps.open_store(url, concurrency=32) as store:
        assert_type(store, StepStore)
        async with StepRun(
            store,
            workflow_id="w",
            force={"a.b": "why", "c": None},
            skip=["d"],
            on_marker=on_marker,
            max_parallel=9,
        ) as run:
            step = Step("a.b", load("users"), True, count("users"), True, ["c"], True, save_result=True)
            assert_type(await run.submit(step), StepOutcome[int | float])
            assert_type((await run.submit(step)).status, Status)
            assert_type(await run.submit(load("users")), int)
            assert_type(await run.submit(load, "users"), int)
            assert_type(await run.submit(Group(load("a"), (load, "b"), step, max_parallel=2)), list[Any])
            assert_type(
                await run.submit(Chain(load("a"), bare, send_result=True, break_on_failure=True)), list[Any]
            )
            assert_type(await run.submit(len, "abc"), int)
            assert_type(await run.wait_signal("step.a.b"), Signal)
            await run.signal("mine", 1, key="value")
            await run.submit(Chain(SignalTask("s", 1), WaitForSignal("s"), MarkerTask("m", {"a": 1})))
            assert_type(run.record_marker("mine", {"a": [1, None]}), Marker)
            assert_type(run.markers, list[Marker])
            assert_type(run.failures, list[Exception])
            assert_type(await run.plan([step, load("a")]), Plan)
            assert_type(await run.plan(lambda planned: planned.submit(step)), Plan)
            run.add_forced_steps("a", reason="because")
            run.add_skipped_steps(["b", "c"])
            await run.refresh()
            run.raise_for_failures()


class People(Workflow):
    name = "people"
    version = "1.0"
    task_list = "people"

    async def run(self, people_id: int, *, force_steps: list[str] | None = None) -> int:
        self.add_forced_steps(force_steps or [], reason="workflow_init")
        outcome = await self.submit(self.step("load", load("users"), emit_signal=True))
        assert_type(outcome, StepOutcome[int])
        assert_type(await self.submit(load(str(people_id))), int)
        return people_id

    def get_step_path_prefix(self) -> str:
        return "people/42/steps"

    def get_step_activity_params(self) -> dict[str, Any]:
        return {"task_list": "elsewhere"}


async def workflows(store: StepStore) -> None:
    outcome = await People.start(store, workflow_id="w", params={"people_id": 42}, max_parallel=3, skip="mail")
    outcome.raise_for_failures()
    assert_type(await People.plan(workflow_id="w", params={"people_id": 42}), Plan)
    async with People.opened(store, workflow_id="w") as workflow:
        assert_type(workflow, People)
        assert_type(await workflow.run(42), int)


@activity(heartbeat_timeout=60)
def beats(rows: int) -> int:
    current: CurrentStep = current_step()
    assert_type(current.name, str | None)
    assert_type(current.attempt, int)
    current.heartbeat()
    current.note(rows=rows, of={"table": "users"})
    current.logger.info("%d rows", rows)
    return rows


async def in_the_background(store: StepStore) -> None:
    def on_event(event: events.Event) -> None:
        if isinstance(event, events.StepFailed):
            assert_type(event.error, str)

    async with Runs(store, max_running=2, drain_timeout=10, on_event=on_event) as runs:
        handle = runs.start(People, workflow_id="w", params={"people_id": 42}, force="*")
        assert_type(handle, RunHandle)
        async for number, event in handle.follow(after=3):
            assert_type(number, int)
            assert_type(event, events.Event)
        assert_type(await handle.wait(), RunState)
        assert_type(runs.of("w"), RunHandle | None)
