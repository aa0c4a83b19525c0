"""The lifetime of a bridge: entering, cancelling, leaving, failing; and what it refuses."""

import asyncio
from collections.abc import Iterator
from typing import Any

import anyio
import pytest
from swf_bridge_support import (
    Plain,
    Steps,
    bridges,
    fail_loudly,
    hold,
    log,
    note,
    note_async,
    pass_on,
    reset,
    submit_to,
    until_held,
    wait_held,
    workflow_id,
)

import asyncsteps
from asyncsteps import Chain
from asyncsteps._errors import StepDefinitionError, WorkflowIdError
from asyncsteps.swf import SimpleflowBridge, WorkflowStepMixin
from asyncsteps.swf._errors import BridgeClosedError


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    reset()
    yield
    hold.set()


async def test_cancelling_what_waits_removes_it_and_what_runs_finishes() -> None:
    async with SimpleflowBridge(Plain) as bridge:
        first = await bridge.submit(wait_held("runs"))
        waiting = [await bridge.submit(note(n)) for n in range(4)]
        await until_held()
        assert waiting[1].cancel()
        assert first.cancel()
        hold.set()
        assert await waiting[3] == 3
        assert first.cancelled()
    assert log == ["runs", 0, 2, 3]


async def test_what_fails_after_its_future_was_cancelled_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async with SimpleflowBridge(Plain) as bridge:
        future = await bridge.submit(Chain(wait_held(0), fail_loudly()))
        await until_held()
        future.cancel()
        hold.set()
    assert "whose future had been cancelled" in caplog.text
    assert "LookupError: loudly" in caplog.text


async def test_cancelling_the_task_that_awaits_cancels_its_submission() -> None:
    async with SimpleflowBridge(Plain) as bridge:
        await bridge.submit(wait_held("runs"))
        await until_held()
        waiting = asyncio.ensure_future(await bridge.submit(note(1)))

        async def wait() -> None:
            await waiting

        waiter = asyncio.create_task(wait())
        await asyncio.sleep(0)
        waiter.cancel()
        await asyncio.wait([waiter])
        hold.set()
    assert log == ["runs"]


async def test_leaving_waits_for_all_that_was_submitted() -> None:
    async with SimpleflowBridge(Plain) as bridge:
        futures = [await bridge.submit(each) for each in (wait_held(0), note(1), note_async(2))]
        await until_held()
        asyncio.get_running_loop().call_soon(hold.set)
    assert [future.result() for future in futures] == [0, 1, 2]
    assert log == [0, 1, 2]


async def test_leaving_by_an_exception_cancels_what_waits_and_waits_for_what_runs() -> None:
    futures: list[asyncio.Future[Any]] = []
    with pytest.raises(LookupError, match="out"):  # noqa: PT012 - the block is what is tested
        async with SimpleflowBridge(Plain) as bridge:
            futures += [await bridge.submit(each) for each in (Chain(wait_held(0), note_async(1)), note(2))]
            await until_held()
            asyncio.get_running_loop().call_soon(hold.set)
            raise LookupError("out")
    assert futures[0].result() == [0, 1]
    assert futures[1].cancelled()
    assert log == [0, 1]


@pytest.mark.parametrize("how", ["native", "anyio"])
async def test_cancelling_while_leaving_waits_for_what_runs_alone(how: str) -> None:
    left = asyncio.Event()
    futures: list[asyncio.Future[Any]] = []
    scope = anyio.CancelScope()

    async def use() -> None:
        with scope:
            try:
                async with SimpleflowBridge(Plain) as bridge:
                    futures.extend(
                        [await bridge.submit(Chain(wait_held(0), note_async(1))), await bridge.submit(note(2))]
                    )
            finally:
                left.set()

    user = asyncio.create_task(use())
    await until_held()
    await asyncio.sleep(0)
    for _ in range(3):  # one who is told again still waits
        scope.cancel() if how == "anyio" else user.cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not left.is_set()
    assert futures[1].cancelled()
    hold.set()
    await asyncio.wait([user])
    assert user.cancelled() is (how == "native")
    assert futures[0].result() == [0, 1]
    assert log == [0, 1]


async def test_outside_of_its_block_it_refuses() -> None:
    bridge = SimpleflowBridge(Plain)
    with pytest.raises(BridgeClosedError):
        await bridge.submit(note(1))
    async with bridge:
        await bridge.submit(note(1))
        with pytest.raises(BridgeClosedError, match="entered once"):
            async with bridge:
                pass
        with pytest.raises(BridgeClosedError, match="event loop"):
            await asyncio.to_thread(asyncio.run, bridge.submit(note(2)))
    with pytest.raises(BridgeClosedError):
        await bridge.submit(note(3))
    with pytest.raises(BridgeClosedError, match="entered once"):
        async with bridge:
            pass
    assert log == [1]


async def test_its_thread_ends_with_it() -> None:
    async with SimpleflowBridge(Plain, workflow_id="ends") as bridge:
        await bridge.submit(note(1))
        thread = bridge._thread
        assert thread is not None
        assert thread.is_alive()
    await asyncio.to_thread(thread.join)


async def test_two_bridges_run_side_by_side() -> None:
    async with SimpleflowBridge(Plain, workflow_id="a") as one, SimpleflowBridge(Plain, workflow_id="b") as other:
        slow = await one.submit(wait_held("a"))
        await until_held()
        assert await (await other.submit(workflow_id())) == "b"
        assert not slow.done()
        hold.set()
        assert await slow == "a"


async def test_what_fails_to_start_says_so() -> None:
    class Broken(Plain):
        def __init__(self, executor: Any) -> None:
            raise LookupError("no such table")

    with pytest.raises(LookupError, match="no such table"):
        async with SimpleflowBridge(Broken):
            pass


async def test_its_workflow_is_told_of_its_end() -> None:
    class Told(Plain):
        def after_closed(self, history: Any) -> None:
            log.append(len(history.activities))

        def run(self) -> None:
            log.append("run is not what is played")

    async with SimpleflowBridge(Told) as bridge:
        await bridge.submit(note("played"))
    assert log == ["played", 1]


async def test_what_its_workflow_raises_at_its_end_comes_out() -> None:
    class Fails(Plain):
        def after_closed(self, history: Any) -> None:
            raise LookupError("at the end")

    with pytest.raises(LookupError, match="at the end"):
        async with SimpleflowBridge(Fails) as bridge:
            await bridge.submit(note(1))
    with pytest.raises(RuntimeError, match="first"):
        async with SimpleflowBridge(Fails):
            raise RuntimeError("first")


@pytest.mark.parametrize("how", ["await", "gather", "task"])
async def test_awaiting_its_own_bridge_in_an_activity_is_an_error_at_once(how: str) -> None:
    async with SimpleflowBridge(Plain) as bridge:
        bridges.append(bridge)
        with pytest.raises(Exception, match="both would wait for ever"):
            await (await bridge.submit(submit_to(1, how)))
        assert await (await bridge.submit(note(2))) == 2
    assert log == [1, 2]


async def test_submitting_to_its_own_bridge_without_awaiting_plays_it_next() -> None:
    async with SimpleflowBridge(Plain) as bridge:
        bridges.append(bridge)
        assert await (await bridge.submit(submit_to(1, "no"))) == "not awaited"
    assert log == [1]


async def test_awaiting_its_own_bridge_by_way_of_another_is_an_error_at_once() -> None:
    async with SimpleflowBridge(Plain) as bridge, SimpleflowBridge(Plain) as other:
        bridges.extend([bridge, other])
        with pytest.raises(Exception, match="both would wait for ever"):
            await (await bridge.submit(pass_on(1)))
        assert await (await other.submit(submit_to(2, "await"))) == 2
    assert log == [1, 2]


@pytest.mark.parametrize("given", ["", 3, b"id"])
def test_a_workflow_id_is_a_str(given: Any) -> None:
    with pytest.raises(WorkflowIdError, match="at least one character"):
        SimpleflowBridge(Plain, workflow_id=given)


@pytest.mark.parametrize("given", [Plain(None), asyncsteps.Workflow, "Plain", WorkflowStepMixin])
def test_only_workflows_of_simpleflow_will_do(given: Any) -> None:
    with pytest.raises(StepDefinitionError, match=r"derived from simpleflow\.Workflow"):
        SimpleflowBridge(given)


def test_selectors_need_steps_and_are_checked_at_once() -> None:
    with pytest.raises(StepDefinitionError, match="WorkflowStepMixin"):
        SimpleflowBridge(Plain, force="a")
    with pytest.raises(asyncsteps.SelectorError):
        SimpleflowBridge(Steps, skip="a.")
