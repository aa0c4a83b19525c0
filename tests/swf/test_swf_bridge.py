"""`SimpleflowBridge`: what async code submits to simpleflow's local executor, and what comes back."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from simpleflow import canvas, task
from simpleflow.activity import Activity as SfActivity
from simpleflow.exceptions import TaskFailed
from swf_bridge_support import (
    Plain,
    cancel,
    fail_async,
    fail_loudly,
    hold,
    leave,
    log,
    loop_id,
    note,
    note_async,
    reset,
    thread_name,
    until_held,
    wait_held,
    workflow_id,
)

from asyncsteps import Chain
from asyncsteps._errors import StepDefinitionError
from asyncsteps.swf import SimpleflowBridge, to_simpleflow
from asyncsteps.swf._errors import NotConvertibleError


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    reset()
    yield
    hold.set()


async def test_results_come_back_and_run_elsewhere() -> None:
    async with SimpleflowBridge(Plain, workflow_id="people-42") as bridge:
        assert bridge.workflow_id == "people-42"
        future = await bridge.submit(note(1))
        assert await future == 1
        assert await (await bridge.submit((to_simpleflow(note), 2))) == 2
        assert await (await bridge.submit(Chain(note(3), note_async(4)))) == [3, 4]
        assert await (await bridge.submit(canvas.Group((to_simpleflow(note), 5)))) == [5]
        assert await (await bridge.submit((note, 6))) == 6
        names = {await (await bridge.submit(thread_name())) for _ in range(3)}
        assert await (await bridge.submit(loop_id())) == id(asyncio.get_running_loop())
        assert await (await bridge.submit(workflow_id())) == "people-42"
    assert names == {"asyncsteps-bridge-people-42"}
    assert log == [1, 2, 3, 4, 5, 6]


async def test_a_slow_chain_does_not_block_the_loop() -> None:
    async with SimpleflowBridge(Plain) as bridge:
        slow = await bridge.submit(wait_held("slow"))
        await until_held()
        await asyncio.wait_for(asyncio.sleep(0), 10)
        assert not slow.done()
        hold.set()
        assert await slow == "slow"


async def test_chains_of_many_tasks_run_one_after_the_other_in_order_of_submission() -> None:
    submitted: list[int] = []
    running = 0
    overlaps: list[int] = []

    def play(number: int) -> int:
        nonlocal running
        running += 1
        overlaps.append(running)
        log.append(number)
        running -= 1
        return number

    async def submit_some(bridge: SimpleflowBridge, numbers: range) -> None:
        for number in numbers:
            submitted.append(number)
            future = await bridge.submit(task.ActivityTask(SfActivity(play, "tests.play"), number))
            if number % 3 == 0:
                assert await future == number
            else:
                await asyncio.sleep(0)

    async with SimpleflowBridge(Plain) as bridge, asyncio.TaskGroup() as tasks:
        for first in range(0, 400, 10):
            tasks.create_task(submit_some(bridge, range(first, first + 10)))
    assert log == submitted
    assert sorted(log) == list(range(400))
    assert set(overlaps) == {1}


async def test_exceptions_go_to_their_own_future_and_the_bridge_survives() -> None:
    async with SimpleflowBridge(Plain) as bridge:
        futures = [
            await bridge.submit(each)
            for each in (
                fail_loudly(),
                fail_async(),
                Chain(note(1), fail_async(), note(2)),
                leave(),
                cancel(),
                note(3),
            )
        ]
        loud, quiet, chain, left, cancelled, fine = await asyncio.gather(*futures, return_exceptions=True)
        assert isinstance(loud, TaskFailed)
        assert "LookupError: loudly" in str(loud)
        assert isinstance(quiet, TaskFailed)
        assert json.loads(quiet.details)["error"] == "LookupError"
        assert "async" in str(chain)
        assert isinstance(left, SystemExit)
        assert isinstance(cancelled, asyncio.CancelledError)
        assert fine == 3
    assert log == [1, 3]


async def test_what_cannot_be_played_is_refused_when_it_is_submitted() -> None:
    async def undecorated() -> None: ...

    async with SimpleflowBridge(Plain) as bridge:
        with pytest.raises(NotConvertibleError, match="undecorated"):
            await bridge.submit(undecorated)
        with pytest.raises(NotConvertibleError, match="is no JSON"):
            await bridge.submit(note(object()))
        with pytest.raises(StepDefinitionError):
            await bridge.submit([note(1)])
        # Made while the chain is played, it is refused there.
        surprise = canvas.FuncGroup(lambda: task.ActivityTask(SfActivity(undecorated, "tests.undecorated")))
        with pytest.raises(NotConvertibleError, match=r"tests\.undecorated"):
            await (await bridge.submit(surprise))
        assert await (await bridge.submit(note(1))) == 1


async def test_a_stop_iteration_does_not_leave_its_future_waiting() -> None:
    def stop() -> Any:
        raise StopIteration

    async with SimpleflowBridge(Plain) as bridge:
        with pytest.raises(RuntimeError, match="StopIteration"):
            await (await bridge.submit(canvas.FuncGroup(stop)))
