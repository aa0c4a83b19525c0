"""Table 5 of the specification, where simpleflow 0.36 is wrong: our behaviour, row by row, in native runs."""

import os
import subprocess
import sys
from typing import Any

import anyio
import pytest
from run_support import RECORD, GatedStore, details, fails, noop, run_over, story

from asyncsteps import (
    Chain,
    MemoryStore,
    SelectorError,
    Step,
    StepDefinitionError,
    StepNameError,
    StepRun,
    Workflow,
    WorkflowIdError,
)


async def test_row_01_a_run_that_dies_between_a_step_and_its_dependent_still_replays_the_dependent() -> None:
    store = MemoryStore({"a": RECORD, "b": RECORD})
    dependent = Step("b", noop)
    async with store:
        async with StepRun(store, workflow_id="w", force=["a"]) as run:
            await run.submit(Step("a", noop, force_steps_if_executed=["b"]))
            # and here the process dies
        async with StepRun(store, workflow_id="w") as run:
            assert (await run.submit(Step("a", noop, force_steps_if_executed=["b"]))).status == "skipped"
            assert (await run.submit(dependent)).status == "completed"
        async with StepRun(store, workflow_id="w") as run:
            assert (await run.submit(dependent)).status == "skipped"


async def test_row_01_the_dependents_marks_go_before_the_activities_start() -> None:
    store = MemoryStore({"a": RECORD, "b.c": RECORD})
    seen: list[list[str]] = []
    async with run_over(store, force=["a"]) as run:
        await run.submit(Step("a", lambda: seen.append(list(store.records)), force_steps_if_executed=["b"]))
    assert seen == [[]]


async def test_row_01_withdrawal_can_be_switched_off() -> None:
    store = MemoryStore({"a": RECORD, "b": RECORD})
    async with run_over(store, force=["a"], withdraw_invalidated=False) as run:
        await run.submit(Step("a", fails, force_steps_if_executed=["b"]))
        assert list(store.records) == ["a", "b"]
        assert (await run.submit(Step("b", noop))).reasons == ("Dep of a",)


async def test_row_02_a_forced_step_that_fails_is_not_done_any_more() -> None:
    store = MemoryStore({"a": RECORD})
    async with store:
        async with StepRun(store, workflow_id="w", force=["a"]) as run:
            assert (await run.submit(Step("a", fails))).status == "failed"
        async with StepRun(store, workflow_id="w") as run:
            assert (await run.submit(Step("a", noop))).status == "completed"


async def test_row_02_what_forced_a_step_that_failed_forces_it_still() -> None:
    async with run_over(MemoryStore({"a": RECORD}), force={"a": "why"}) as run:
        assert (await run.submit(Step("a", fails))).status == "failed"
        assert (await run.submit(Step("a", noop))).reasons == ("why",)
        assert (await run.submit(Step("a", noop))).status == "skipped"


async def test_row_03_a_str_is_one_selector() -> None:
    async with run_over(MemoryStore(), force="abc") as run:
        run.add_forced_steps("de")
        run.add_skipped_steps("fg")
        assert run.get_forced_steps() == ["abc", "de"]
        assert run.get_skipped_steps() == ["fg"]
        assert Step("a", noop, force_steps_if_executed="hi").force_steps_if_executed == ("hi",)


async def test_row_04_foreign_keys_are_neither_steps_nor_withdrawn(s3_endpoint: str, bucket: str) -> None:
    import boto3

    from asyncsteps import open_store

    client: Any = boto3.client("s3", endpoint_url=s3_endpoint, region_name="us-east-1")
    for key in ("steps/a", "steps/a/evil", "steps/", "steps2/b", "steps-old/c"):
        client.put_object(Bucket=bucket, Key=key, Body=b"{}")
    async with (
        open_store(f"s3://{bucket}/steps", endpoint_url=s3_endpoint) as store,
        StepRun(store, workflow_id="w", journal=False) as run,
    ):
        outcomes = await run.submit(Chain(Step("a", noop), Step("b", noop), Step("c", noop)))
        assert [outcome.status for outcome in outcomes] == ["skipped", "completed", "completed"]
        await run.submit(Step("x", noop, force=True, force_steps_if_executed="*"))
    keys = [found["Key"] for found in client.list_objects_v2(Bucket=bucket)["Contents"]]
    assert keys == ["steps-old/c", "steps/", "steps/a/evil", "steps/b", "steps/c", "steps/x", "steps2/b"]


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("/evil", "'/'"),
        ("a..b", "empty segment"),
        ("", "at least one"),
        ("*", "selector"),
        ("x" * 1025, "1024 bytes"),
    ],
)
def test_row_05_a_bad_name_is_refused_when_the_step_is_made(name: str, rule: str) -> None:
    with pytest.raises(StepNameError, match=rule):
        Step(name, noop)


def test_row_06_reasons_come_in_one_order_in_every_process() -> None:
    code = (
        "import asyncio, asyncsteps\n"
        "async def main():\n"
        "    async with asyncsteps.MemoryStore() as store:\n"
        "        async with asyncsteps.StepRun(store, workflow_id='w', force={'a': 'one', '*': 'two'}) as run:\n"
        "            for reason in ('three', 'one', 'four', 'five'):\n"
        "                run.add_forced_steps('a.b', reason)\n"
        "            print((await run.submit(asyncsteps.Step('a.b', print, force=True))).reasons)\n"
        "asyncio.run(main())\n"
    )
    expected = "('one', 'two', 'three', 'four', 'five', 'Step is forced')"
    for seed in ("0", "1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
        )
        assert done.stdout.split("\n")[-2] == expected


async def test_row_07_a_step_forced_by_itself_says_so() -> None:
    async with run_over(MemoryStore()) as run:
        await run.submit(Step("a", noop, force=True))
        assert [(found["forced"], found["reasons"]) for found in details(run, "a")] == [
            (True, ["Step is forced"])
        ] * 2


async def test_row_08_one_name_submitted_twice_waits_and_sees_it_done() -> None:
    gate = anyio.Event()
    played: list[int] = []

    async def activity(number: int) -> None:
        await gate.wait()
        played.append(number)

    async with run_over(MemoryStore()) as run, anyio.create_task_group() as tasks:
        for number in range(3):
            tasks.start_soon(run.submit, Step("a", (activity, number)))
        await anyio.wait_all_tasks_blocked()
        assert story(run) == [("a", "scheduled")]
        gate.set()
    assert played == [0]
    assert story(run) == [("a", "scheduled"), ("a", "completed"), ("a", "skipped"), ("a", "skipped")]


async def test_row_08_when_the_first_failed_the_second_plays() -> None:
    gate = anyio.Event()

    async def fails_late() -> None:
        await gate.wait()
        raise ValueError("no luck")

    async with run_over(MemoryStore()) as run, anyio.create_task_group() as tasks:
        tasks.start_soon(run.submit, Step("a", fails_late))
        await anyio.wait_all_tasks_blocked()
        tasks.start_soon(run.submit, Step("a", noop))
        await anyio.wait_all_tasks_blocked()
        gate.set()
    assert [status for _, status in story(run)] == ["scheduled", "failed", "scheduled", "completed"]


def test_row_09_a_list_as_activities_is_refused_when_the_step_is_made() -> None:
    with pytest.raises(StepDefinitionError, match=r"Chain.*Group"):
        Step("a", [noop, noop])  # type: ignore[call-overload]
    with pytest.raises(StepDefinitionError, match=r"Chain.*Group"):
        Step("a", noop, activities_if_step_already_done=[noop])  # type: ignore[call-overload]


async def test_row_10_a_skip_gives_the_saved_result_back() -> None:
    store = MemoryStore()
    async with store:
        for status in ("completed", "skipped"):
            async with StepRun(store, workflow_id="w") as run:
                outcome = await run.submit(Step("a", lambda: {"rows": 3}, save_result=True))
                assert (outcome.status, outcome.result) == (status, {"rows": 3})


async def test_row_14_a_missing_workflow_id_is_refused_with_the_remedy() -> None:
    class Local(Workflow):
        async def run(self) -> None: ...

    with pytest.raises(WorkflowIdError, match=r"workflow_id=.*a store.*get_step_path_prefix"):
        await Local.start()


async def test_row_15_malformed_selectors_are_errors_and_unmatched_ones_are_warned_about(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with run_over(MemoryStore(), force=["a", "typo.b"], skip=["c"]) as run:
        for malformed in ("a.*", "a.", ""):
            with pytest.raises(SelectorError):
                run.add_forced_steps(malformed)
            with pytest.raises(SelectorError):
                Step("a", noop, force_steps_if_executed=[malformed])
        await run.submit(Step("a.b", noop))
        assert run.unmatched_selectors == ["typo.b", "c"]
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert [warning.split("'")[1] for warning in warnings] == ["typo.b", "c"]


async def test_row_16_a_selector_added_while_a_step_is_under_way_does_not_change_its_decision() -> None:
    async with run_over(GatedStore(["a"])) as run:

        async def forces_itself() -> None:
            run.add_forced_steps("a", "too late")

        await run.submit(Step("a", noop, activities_if_step_already_done=forces_itself))
        assert story(run) == [("a", "skipped")]
        assert (await run.submit(Step("a", noop))).reasons == ("too late",)


async def test_row_17_deciding_does_not_depend_on_how_much_is_done_or_forced() -> None:
    """Counted, not timed: one page answers for all."""
    store = GatedStore(f"s.{number:05}" for number in range(900))
    async with run_over(store, force=[f"t.{number}" for number in range(10_000)]) as run:
        for number in range(900):
            assert (await run.submit(Step(f"s.{number:05}", noop))).status == "skipped"
        assert store.calls == ["done_page"]
