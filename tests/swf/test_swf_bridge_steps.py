"""Steps through a bridge: their markers, marks and order, beside a plain local executor and under stress."""

import asyncio
import json
import random
from collections.abc import Iterator
from typing import Any

import pytest
from servers import MotoServer
from simpleflow import task
from simpleflow.local.executor import Executor as LocalExecutor
from swf_bridge_support import (
    Steps,
    details,
    fail_async,
    hold,
    log,
    loop_id,
    note,
    note_async,
    reset,
    until_held,
    wait_held,
)

import asyncsteps
from asyncsteps import Chain, Marker, Step
from asyncsteps.swf import SimpleflowBridge, to_simpleflow
from asyncsteps.swf import Step as SwfStep
from asyncsteps.swf._sync import loop as sync_loop


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    reset()
    yield
    hold.set()


@pytest.fixture
def steps(bucket: str, s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> type[Steps]:
    """A workflow whose done marks go to a fresh bucket."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_endpoint)
    return type("Steps", (Steps,), {"bucket": bucket})


async def test_steps_are_played_marked_and_skipped(steps: type[Steps], moto_server: MotoServer) -> None:
    for expected in (["scheduled", "completed"], ["skipped"]):
        async with SimpleflowBridge(steps, workflow_id="people-42") as bridge:
            await (await bridge.submit(Step("load.users", note_async("users"))))
            assert [each["status"] for each in details(bridge.markers)] == expected
    assert log == ["users"]
    assert moto_server.keys(steps.bucket) == ["people-42/steps/load.users"]
    record = json.loads(moto_server.get(steps.bucket, "people-42/steps/load.users"))
    assert record["workflow_id"] == "people-42"
    assert record["run_id"] not in {"local", "unknown"}


async def test_stores_and_async_activities_use_the_callers_loop_alone(
    steps: type[Steps], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> Any:
        raise AssertionError("the process's own loop was asked for")

    monkeypatch.setattr(sync_loop._process, "target", refuse)
    async with SimpleflowBridge(steps, workflow_id="w") as bridge:
        await (await bridge.submit(Step("a", loop_id())))
        await (await bridge.submit(Step("a", loop_id(), force=True)))
    assert [each["status"] for each in details(bridge.markers)] == ["scheduled", "completed"] * 2


async def test_selectors_force_and_skip(steps: type[Steps]) -> None:
    async with SimpleflowBridge(steps, workflow_id="w") as bridge:
        await (await bridge.submit(Step("a", note("a"))))
    async with SimpleflowBridge(steps, workflow_id="w", force={"a": "new data"}, skip=["b"]) as bridge:
        await bridge.submit(Chain(Step("a", note("a again")), Step("b", note("b"))))
    assert log == ["a", "a again"]
    assert details(bridge.markers) == [
        {"step": "a", "status": "scheduled", "forced": True, "reasons": ["new data"]},
        {"step": "a", "status": "completed", "forced": True, "reasons": ["new data"]},
        {"step": "b", "status": "skipped", "forced": True, "reasons": []},
    ]


async def test_without_an_id_the_shared_prefix_is_warned_about(
    steps: type[Steps], moto_server: MotoServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with SimpleflowBridge(steps) as bridge:
        await (await bridge.submit(Step("a", note("a"))))
    assert moto_server.keys(steps.bucket) == ["local/steps/a"]
    assert "local/steps/" in caplog.text


async def test_markers_are_followed_as_they_come_and_to_the_end(steps: type[Steps]) -> None:
    follower: asyncio.Task[list[Marker]]

    async def follow(bridge: SimpleflowBridge) -> list[Marker]:
        return [marker async for marker in bridge.follow_markers()]

    async with SimpleflowBridge(steps, workflow_id="w") as bridge:
        follower = asyncio.create_task(follow(bridge))
        live = bridge.follow_markers()
        await bridge.submit(Step("a", wait_held("a")))
        first = await anext(live)
        assert (first.name, first.details["step"], first.details["status"]) == ("log.step", "a", "scheduled")
        await until_held()
        hold.set()
        assert (await anext(live)).details["status"] == "completed"
        await bridge.submit(Chain(asyncsteps.MarkerTask("seen", {"n": 1}), Step("b", note("b"))))
    assert await follower == bridge.markers
    assert [marker.name for marker in bridge.markers] == ["log.step", "log.step", "seen", "log.step", "log.step"]
    assert [marker async for marker in bridge.follow_markers()] == bridge.markers
    assert [marker async for marker in live] == bridge.markers[2:]


async def test_a_step_that_fails_has_no_mark_and_the_next_are_played(
    steps: type[Steps], moto_server: MotoServer
) -> None:
    async with SimpleflowBridge(steps, workflow_id="w") as bridge:
        kept = await bridge.submit(Step("a", fail_async()))
        bubbles = await bridge.submit(Step("b", fail_async(), bubbles_exception_on_failure=True))
        await bridge.submit(Step("c", note("c")))
        await kept
        with pytest.raises(Exception, match="async"):
            await bubbles
    assert [(each["step"], each["status"]) for each in details(bridge.markers)] == [
        ("a", "scheduled"),
        ("b", "scheduled"),
        ("c", "scheduled"),
        ("c", "completed"),
    ]
    assert moto_server.keys(steps.bucket) == ["w/steps/c"]


def chains() -> list[Any]:
    """The same work each time: steps in chains and groups, forced, skipped, dependent, failing, twice."""
    return [
        to_simpleflow(each)
        for each in (
            Step("load.a", note("a"), force_steps_if_executed=["report"]),
            Chain(Step("load.b", note_async("b")), Step("load.b", note("never"))),
            Step("report", Chain(note("r1"), note_async("r2"))),
            asyncsteps.Group(Step("mail.x", note("x")), Step("mail.y", fail_async()), Step("z", note("z"))),
            Step("load.a", note("again"), force=True, activities_if_step_already_done=note("done")),
            Step("report", note("never"), activities_if_step_already_done=note("already")),
        )
    ]


async def test_markers_are_those_of_a_plain_local_executor_in_the_same_order(steps: type[Steps]) -> None:
    """The sync program and the bridge each play all chains twice, each in its own prefix."""
    prefix = {"prefix": ""}
    ran: dict[str, list[Any]] = {}
    markers: dict[str, list[Any]] = {"sync": [], "bridge": []}

    class Parity(steps):  # type: ignore[valid-type, misc]
        def get_step_path_prefix(self) -> str:
            return prefix["prefix"]

        def run(self) -> None:
            self.add_skipped_steps(["mail.x"], "no mail")
            for chain in chains():
                self.submit(chain)

    class Recording(LocalExecutor):  # type: ignore[misc]
        def submit(self, func: Any, *args: Any, **kwargs: Any) -> Any:
            future = super().submit(func, *args, **kwargs)
            if isinstance(func, task.MarkerTask):
                markers["sync"].append((func.name, func.details))
            return future

    prefix["prefix"] = "sync"
    for _ in range(2):
        await asyncio.to_thread(Recording(Parity).run)
    ran["sync"] = log[:]
    log.clear()
    prefix["prefix"] = "bridge"
    for _ in range(2):
        async with SimpleflowBridge(Parity, workflow_id="w", skip={"mail.x": "no mail"}) as bridge:
            for chain in chains():
                await bridge.submit(chain)
        markers["bridge"] += [(marker.name, marker.details) for marker in bridge.markers]
    ran["bridge"] = log[:]
    assert ran["bridge"] == ran["sync"]
    assert markers["bridge"] == markers["sync"]
    assert len(markers["sync"]) > 20


async def test_200_tasks_submit_1000_steps_and_markers_keep_their_order(steps: type[Steps]) -> None:
    submitted: list[str] = []
    shuffle = random.Random(42)

    async def submit_five(bridge: SimpleflowBridge, number: int) -> None:
        for part in range(5):
            for _ in range(shuffle.randrange(3)):
                await asyncio.sleep(0)
            # Some are played and marked in S3; most are skipped, which costs no request.
            name = f"{'played' if part == 0 and number % 4 == 0 else 'skipped'}.{number}.{part}"
            submitted.append(name)
            future = await bridge.submit(SwfStep(name, to_simpleflow(note_async(name))))
            if part % 2:
                await future

    followed: list[str] = []

    async def follow(bridge: SimpleflowBridge) -> None:
        followed.extend(
            [
                marker.details["step"]
                async for marker in bridge.follow_markers()
                if marker.details["status"] != "completed"
            ]
        )

    async with SimpleflowBridge(steps, workflow_id="stress", skip=["skipped"]) as bridge:
        follower = asyncio.create_task(follow(bridge))
        async with asyncio.TaskGroup() as tasks:
            for number in range(200):
                tasks.create_task(submit_five(bridge, number))
    await follower
    assert len(submitted) == 1000
    assert followed == submitted
    assert log == [name for name in submitted if name.startswith("played")]
    expected = [
        (name, status)
        for name in submitted
        for status in (("scheduled", "completed") if name.startswith("played") else ("skipped",))
    ]
    assert [(each["step"], each["status"]) for each in details(bridge.markers)] == expected


async def test_a_bridge_under_load_leaves_the_loop_responsive(steps: type[Steps]) -> None:
    """While chains run, another task of the loop gets its turns: at least one for every chain."""
    turns = 0
    over = asyncio.Event()

    async def take_turns() -> None:
        nonlocal turns
        while not over.is_set():
            turns += 1
            await asyncio.sleep(0)

    async with SimpleflowBridge(steps, workflow_id="w", skip="*") as bridge:
        taker = asyncio.create_task(take_turns())
        for number in range(50):
            before = turns
            await (await bridge.submit(Step(f"s{number}", note(number))))
            assert turns > before
        over.set()
        await taker
