"""The async SWF client against a real moto server, with deciders played by hand."""

# simpleflow is untyped.
# mypy: allow-subclassing-any, allow-untyped-calls
import asyncio
import datetime as dt
import json
from collections import Counter
from contextlib import aclosing
from typing import Any

import anyio
import pytest
from aiobotocore.session import AioSession
from swf_client_support import Decider, Ingest, client, complete, fail, marker, session

from asyncsteps._errors import AsyncstepsError
from asyncsteps._plan.model import Marker
from asyncsteps.swf._client.client import SwfClient
from asyncsteps.swf._client.errors import (
    ExecutionCanceledError,
    ExecutionFailedError,
    ExecutionNotFoundError,
    ExecutionTerminatedError,
    ExecutionTimedOutError,
    SwfClientClosedError,
    SwfError,
    SwfInputError,
)
from asyncsteps.swf._client.execution import Execution
from asyncsteps.swf._client.records import CloseStatus, JumboField


def details(step: str, status: str = "completed") -> dict[str, Any]:
    return {"step": step, "status": status, "forced": False, "reasons": []}


async def all_markers(execution: Execution, name: str | None = "log.step") -> list[Marker]:
    return [found async for found in execution.markers(name)]


# Waiting


async def test_result_is_what_the_workflow_returned(decider: Decider) -> None:
    async with client(decider) as swf:
        execution = await swf.start(Ingest, workflow_id="w")
        async with asyncio.TaskGroup() as tasks:
            result = tasks.create_task(execution.result())
            await asyncio.to_thread(decider.decide, [complete({"rows": 3})])
        assert result.result() == {"rows": 3}
        assert await execution.result() == {"rows": 3}
        closure = await execution.wait_closed()
        info = await execution.describe()
    assert closure.status is CloseStatus.COMPLETED
    assert closure.at.tzinfo is dt.UTC
    assert (info.status, info.is_open) == (CloseStatus.COMPLETED, False)


async def test_a_result_on_s3_is_told_and_not_fetched(decider: Decider) -> None:
    on_s3 = "simpleflow+s3://jumbo/dir/1b2c 40000"
    async with client(decider) as swf:
        execution = await swf.start(Ingest)
        decision = complete()
        decision["completeWorkflowExecutionDecisionAttributes"]["result"] = on_s3
        decider.decide([marker(on_s3), decision])
        assert await execution.result() == JumboField("jumbo", "dir/1b2c", 40_000)
        assert [found.details for found in await all_markers(execution)] == [
            JumboField("jumbo", "dir/1b2c", 40_000)
        ]


async def test_a_failed_execution_raises_with_reason_and_details(decider: Decider) -> None:
    async with client(decider) as swf:
        execution = await swf.start(Ingest, workflow_id="w")
        decider.decide([fail("boom", "Traceback: ...")])
        with pytest.raises(ExecutionFailedError, match="boom") as caught:
            await execution.result()
        assert (caught.value.reason, caught.value.details) == ("boom", "Traceback: ...")
        assert (caught.value.workflow_id, caught.value.run_id) == ("w", execution.run_id)
        assert (await execution.wait_closed()).status is CloseStatus.FAILED


async def test_a_terminated_execution_raises_and_cannot_be_steered_any_more(decider: Decider) -> None:
    async with client(decider) as swf:
        execution = await swf.start(Ingest)
        await execution.terminate("no longer needed", details="by hand", child_policy="ABANDON")
        with pytest.raises(ExecutionTerminatedError, match="no longer needed"):
            await execution.result()
        for ask in (execution.terminate, lambda: execution.signal("go")):
            with pytest.raises(ExecutionNotFoundError, match="or it is closed"):
                await ask()


async def test_a_timed_out_execution_is_a_timeout_error(decider: Decider) -> None:
    async with client(decider) as swf:
        execution = await swf.start(Ingest, execution_timeout=0)
        with pytest.raises(TimeoutError, match="START_TO_CLOSE") as caught:
            await execution.result()
        assert isinstance(caught.value, ExecutionTimedOutError)


async def test_a_canceled_execution_raises_with_its_details(decider: Decider) -> None:
    canceled = {
        "decisionType": "CancelWorkflowExecution",
        "cancelWorkflowExecutionDecisionAttributes": {"details": '{"at":"step"}'},
    }
    async with client(decider) as swf:
        execution = await swf.start(Ingest)
        decider.decide([canceled])
        with pytest.raises(ExecutionCanceledError) as caught:
            await execution.result()
        assert caught.value.details == {"at": "step"}


async def test_a_signal_has_simpleflows_form(decider: Decider) -> None:
    async with client(decider) as swf:
        execution = await swf.start(Ingest)
        await execution.signal("step.load", 1, user="ann")
        with pytest.raises(SwfInputError, match="signal 'x'"):
            await execution.signal("x", object())
    sent = decider.history(execution.workflow_id, execution.run_id)[-2]["workflowExecutionSignaledEventAttributes"]
    assert sent["signalName"] == "step.load"
    assert json.loads(sent["input"]) == {"args": [1], "kwargs": {"user": "ann"}, "__propagate": False}


async def test_executions_are_listed_open_and_closed(decider: Decider) -> None:
    async with client(decider) as swf:
        for number in range(3):
            await swf.start(Ingest, workflow_id=f"w{number}", tags=[f"tag{number}"])
        closed = await swf.find_open("w1")
        await closed.terminate()
        assert {info.workflow_id async for info in swf.list_open(workflow=Ingest)} == {"w0", "w2"}
        assert [info.workflow_id async for info in swf.list_open(tag="tag2")] == ["w2"]
        assert [(info.run_id, info.status) async for info in swf.list_closed(workflow_id="w1")] == [
            (closed.run_id, CloseStatus.TERMINATED)
        ]
        with pytest.raises(SwfInputError, match="at most one of"):
            swf.list_open(workflow_id="w0", tag="tag2")


# Following


async def test_markers_come_live_in_order_each_once(decider: Decider) -> None:
    rounds = [
        [marker(details("a"))],
        [marker(details("b")), marker("{}", name="other"), marker(details("b"))],
        [marker(details("c")), complete()],
    ]
    async with client(decider) as swf:
        execution = await swf.start(Ingest, workflow_id="w")
        await asyncio.to_thread(decider.decide, rounds.pop(0))
        seen: list[str] = []
        async for found in execution.markers():  # ends by itself
            seen.append(found.details["step"])
            assert found.name == "log.step"
            assert found.at.tzinfo is dt.UTC
            if len(seen) in {1, 3}:  # what came so far was alone: the rest is recorded while it is followed
                decider.wake("w")
                await asyncio.to_thread(decider.decide, rounds.pop(0))
    assert seen == ["a", "b", "b", "c"]


async def test_a_late_follower_gets_all_markers_of_a_closed_execution(decider: Decider) -> None:
    async with client(decider) as swf:
        execution = await swf.start(Ingest)
        decider.decide([marker(details("a")), marker("no JSON", name="mine"), marker(details("b")), complete()])
        assert [found.details["step"] for found in await all_markers(execution)] == ["a", "b"]
        everything = await all_markers(execution, None)
        assert [(found.name, found.details) for found in everything][1] == ("mine", "no JSON")
        assert await all_markers(execution, "mine") == [everything[1]]


def decide_twice_each(decider: Decider, task_list: str, executions: int) -> None:
    """Play two decisions of each execution: a marker, then a marker and the end."""
    decided: Counter[str] = Counter()
    while decided.total() < 2 * executions:
        task = decider.swf.poll_for_decision_task(domain=decider.domain, taskList={"name": task_list})
        if "taskToken" not in task:
            continue
        workflow_id = task["workflowExecution"]["workflowId"]
        decided[workflow_id] += 1
        if decided[workflow_id] == 1:
            decisions = [marker(details(f"{workflow_id}.a"))]
            decider.wake(workflow_id)
        else:
            decisions = [marker(details(f"{workflow_id}.b")), complete(workflow_id)]
        decider.swf.respond_decision_task_completed(taskToken=task["taskToken"], decisions=decisions)


async def test_executions_with_live_deciders_are_followed_side_by_side(decider: Decider) -> None:
    count, lists = 12, 2

    async def follow(swf: SwfClient, number: int) -> None:
        name = f"w{number}"
        execution = await swf.start(Ingest, workflow_id=name, task_list=f"t{number % lists}")
        async with asyncio.TaskGroup() as both:
            markers = both.create_task(all_markers(execution))
            result = both.create_task(execution.result())
        assert [found.details["step"] for found in markers.result()] == [f"{name}.a", f"{name}.b"]
        assert result.result() == name

    async with client(decider, polls_per_second=100) as swf, asyncio.TaskGroup() as tasks:
        for number in range(count):
            tasks.create_task(follow(swf, number))
        for number in range(lists):
            tasks.create_task(asyncio.to_thread(decide_twice_each, decider, f"t{number}", count // lists))


# Lifetimes


async def test_a_client_refuses_to_work_outside_its_block(decider: Decider) -> None:
    swf = client(decider)
    with pytest.raises(SwfClientClosedError, match="not entered"):
        await swf.start(Ingest)
    async with swf:
        execution = await swf.start(Ingest)
        with pytest.raises(SwfClientClosedError, match="entered once"):
            await swf.__aenter__()
    for ask in (lambda: swf.start(Ingest), execution.result, execution.describe, lambda: all_markers(execution)):
        with pytest.raises(SwfClientClosedError, match="is closed"):
            await ask()
    with pytest.raises(SwfClientClosedError, match="entered once"):
        async with swf:
            pytest.fail("not reached")


async def test_who_waits_when_the_client_closes_is_told(decider: Decider) -> None:
    swf = client(decider)
    async with asyncio.TaskGroup() as tasks, swf:
        execution = await swf.start(Ingest)
        decider.decide([marker(details("a"))])
        waiting = [
            tasks.create_task(told(execution.result())),
            tasks.create_task(told(all_markers(execution))),
        ]
        async with aclosing(execution.markers()) as markers:
            await anext(markers)
    assert [type(task.result()) for task in waiting] == [SwfClientClosedError] * 2


async def told(awaitable: Any) -> AsyncstepsError | None:
    try:
        await awaitable
    except AsyncstepsError as error:
        return error
    return None


async def test_the_blocks_own_exception_comes_out_as_it_is(decider: Decider) -> None:
    with pytest.raises(ZeroDivisionError):  # not an ExceptionGroup
        async with client(decider):
            _ = 1 / 0
    with anyio.CancelScope() as scope:
        async with client(decider) as swf:
            execution = await swf.start(Ingest)
            scope.cancel()
            await execution.result()
    assert scope.cancelled_caught


async def test_a_cancelled_waiter_leaves_the_others_waiting(decider: Decider) -> None:
    async with client(decider) as swf:
        execution = await swf.start(Ingest)
        async with asyncio.TaskGroup() as tasks:
            one, other = (tasks.create_task(execution.result()) for _ in range(2))
            await asyncio.sleep(0)
            one.cancel()
            await asyncio.to_thread(decider.decide, [complete(5)])
        assert one.cancelled()
        assert other.result() == 5


async def test_a_callers_client_and_session_are_used_and_left_open(decider: Decider) -> None:
    async with SwfClient(decider.domain, session=session(), endpoint_url=decider.endpoint) as swf:
        await swf.start(Ingest, workflow_id="by-session")
    async with SwfClient(decider.domain, session=AioSession(), endpoint_url=decider.endpoint) as swf:
        await swf.start(Ingest, workflow_id="by-session-of-aiobotocore")
    async with SwfClient(decider.domain, endpoint_url=decider.endpoint) as swf:
        await swf.start(Ingest, workflow_id="by-itself")
    async with session().client("swf", endpoint_url=decider.endpoint) as given:
        async with SwfClient(decider.domain, client=given) as swf:
            await swf.start(Ingest, workflow_id="by-client")
        answer = await given.describe_domain(name=decider.domain)
    assert answer["domainInfo"]["name"] == decider.domain


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"concurrency": 0}, "concurrency"),
        ({"polls_per_second": 0}, "polls_per_second"),
        ({"min_poll_interval": 0}, "min_poll_interval"),
        ({"min_poll_interval": 2, "max_poll_interval": 1}, "max_poll_interval"),
        ({"poll_patience": -1}, "poll_patience"),
        ({"client": object(), "region_name": "eu-west-1"}, "beside it"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], says: str) -> None:
    with pytest.raises(SwfInputError, match=says):
        SwfClient("domain", **options)
    with pytest.raises(ValueError, match="domain"):
        SwfClient("")


def test_every_error_is_ours() -> None:
    assert issubclass(SwfError, AsyncstepsError)
