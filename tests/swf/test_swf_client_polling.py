"""The async SWF client's polling: pages, polls that are shared, many executions at once."""

import asyncio
import json
from collections import Counter
from contextlib import aclosing
from typing import Any

import pytest
from servers import Fault, FaultProxy, Request
from swf_client_support import (
    QUICK,
    Decider,
    Ingest,
    PagedHistories,
    answer,
    complete,
    is_history,
    marker,
    operation_of,
    refusal,
)

from asyncsteps.swf._client.client import SwfClient
from asyncsteps.swf._client.errors import (
    ExecutionContinuedAsNewError,
)
from asyncsteps.swf._client.records import CloseStatus

# Pages


@pytest.mark.parametrize("cap", [1, 2, 3, 7, 1000])
async def test_markers_across_pages_come_each_once_and_in_order(
    decider: Decider, fault_proxy: FaultProxy, once: Any, cap: int
) -> None:
    fault_proxy.rule = PagedHistories(decider, cap=cap)
    async with SwfClient(decider.domain, client=once, **QUICK) as swf:
        execution = await swf.start(Ingest, workflow_id="w")
        decider.decide([marker({"step": str(number)}) for number in range(9)])
        seen: list[str] = []
        async for found in execution.markers():
            seen.append(found.details["step"])
            if len(seen) == 9:
                decider.wake("w")
                decider.decide([*(marker({"step": str(number)}) for number in range(9, 14)), complete()])
    assert seen == [str(number) for number in range(14)]


async def test_a_long_history_is_read_once_and_then_only_its_end(
    decider: Decider, fault_proxy: FaultProxy, once: Any
) -> None:
    histories = fault_proxy.rule = PagedHistories(decider)
    async with SwfClient(decider.domain, client=once, **QUICK) as swf:
        execution = await swf.start(Ingest, workflow_id="w")
        decider.decide([marker({"step": str(number)}) for number in range(99)])
        async with aclosing(execution.markers()) as markers:
            for _ in range(99):
                await anext(markers)
            polls = len(histories.pages)
            await fault_proxy.wait_for(lambda _: len(histories.pages) >= polls + 3)
            quiet = histories.pages[polls + 1 :]
            assert {size for size, _ in quiet} == {32}
            # A burst that is far larger than what is asked for: the largest pages, no long chain of small ones.
            for _ in range(2):
                decider.wake("w")
                decider.decide([marker({"step": "burst"})] * 99)
            polls = len(histories.pages)
            for _ in range(198):
                await anext(markers)
    assert (1000, False) in histories.pages[polls - 1 :]
    assert not any(token for _, token in histories.pages)


async def test_waiting_for_a_result_reads_one_event_a_poll(
    decider: Decider, fault_proxy: FaultProxy, once: Any
) -> None:
    histories = fault_proxy.rule = PagedHistories(decider)
    async with SwfClient(decider.domain, client=once, **QUICK) as swf, asyncio.TaskGroup() as tasks:
        execution = await swf.start(Ingest, workflow_id="w")
        result = tasks.create_task(execution.result())
        await fault_proxy.wait_for(lambda _: len(histories.pages) >= 3)
        await asyncio.to_thread(decider.decide, [complete("done")])
        assert await result == "done"
    assert set(histories.pages) == {(1, False)}


async def test_who_waits_for_the_same_execution_shares_its_polls(
    decider: Decider, fault_proxy: FaultProxy, once: Any
) -> None:
    async with SwfClient(decider.domain, client=once) as swf:  # at most two polls a second for an execution
        execution = await swf.start(Ingest, workflow_id="w")
        decider.decide([marker({"step": "a"}), complete(1)])
        fault_proxy.rule = PagedHistories(decider)
        async with asyncio.TaskGroup() as tasks:
            results = [tasks.create_task(execution.result()) for _ in range(50)]
            markers = [tasks.create_task(anext(execution.markers())) for _ in range(50)]
        assert {task.result() for task in results} == {1}
        assert {task.result().details["step"] for task in markers} == {"a"}
    polls = [request for request in fault_proxy.requests if is_history(request)]
    assert len(polls) <= 2


async def test_runs_that_continue_as_new_are_followed_or_not(
    decider: Decider, fault_proxy: FaultProxy, once: Any
) -> None:
    histories = PagedHistories(decider)
    fault_proxy.rule = histories
    async with SwfClient(decider.domain, client=once, **QUICK) as swf:
        first = await swf.start(Ingest, workflow_id="first", task_list="one")
        decider.decide([marker({"step": "a"})], "one")
        second = await swf.start(Ingest, workflow_id="second", task_list="two")
        decider.decide([marker({"step": "b"}), complete("end")], "two")
        continued = {"newExecutionRunId": second.run_id, "input": "{}"}
        histories.extra[first.run_id] = [
            {
                "eventType": "WorkflowExecutionContinuedAsNew",
                "workflowExecutionContinuedAsNewEventAttributes": continued,
            }
        ]
        histories.aliases[("first", second.run_id)] = ("second", second.run_id)
        assert [found.details["step"] async for found in first.markers()] == ["a", "b"]
        assert [found.details["step"] async for found in first.markers(follow_runs=False)] == ["a"]
        assert await first.result() == "end"
        with pytest.raises(ExecutionContinuedAsNewError, match="follow_runs=True") as caught:
            await first.result(follow_runs=False)
        assert caught.value.closure.new_run_id == second.run_id
        assert (await first.wait_closed(follow_runs=False)).status is CloseStatus.CONTINUED_AS_NEW


# Many


class ModelSwf:
    """A proxy's rule: executions in memory, each of which advances a little with every poll."""

    def __init__(self, *, markers: int, throttle_every: int) -> None:
        self.polls: Counter[str] = Counter()
        self._markers = markers
        self._throttle_every = throttle_every
        self._asked = 0

    def __call__(self, request: Request) -> Fault | None:
        asked = json.loads(request.body)
        if operation_of(request) == "StartWorkflowExecution":
            return answer({"runId": f"run-{asked['workflowId']}"})
        self._asked += 1
        if self._asked % self._throttle_every == 0:
            return refusal("ThrottlingException", "Rate exceeded")
        workflow_id = asked["execution"]["workflowId"]
        self.polls[workflow_id] += 1
        events = self._events(workflow_id, recorded=min(3 * self.polls[workflow_id], self._markers))
        page = events[::-1][: asked["maximumPageSize"]]
        return answer({"events": page})  # pages are large enough for what is new, always

    def _events(self, workflow_id: str, *, recorded: int) -> list[dict[str, Any]]:
        events: list[dict[str, Any]] = [{"eventType": "WorkflowExecutionStarted"}]
        for number in range(recorded):
            attributes = {"markerName": "log.step", "details": json.dumps({"step": f"{workflow_id}.{number}"})}
            events.append({"eventType": "MarkerRecorded", "markerRecordedEventAttributes": attributes})
        if recorded == self._markers:
            attributes = {"result": json.dumps(workflow_id)}
            events.append(
                {
                    "eventType": "WorkflowExecutionCompleted",
                    "workflowExecutionCompletedEventAttributes": attributes,
                }
            )
        return [{"eventId": number, "eventTimestamp": 1.0, **event} for number, event in enumerate(events, 1)]


async def test_a_hundred_executions_are_followed_at_once_while_swf_throttles(
    fault_proxy: FaultProxy, once: Any
) -> None:
    model = fault_proxy.rule = ModelSwf(markers=10, throttle_every=50)
    count, concurrency = 100, 8

    async def follow(swf: SwfClient, name: str) -> None:
        execution = await swf.start(Ingest, workflow_id=name)
        async with asyncio.TaskGroup() as both:
            result = both.create_task(execution.result())
            seen = [found.details["step"] async for found in execution.markers()]
        assert seen == [f"{name}.{number}" for number in range(10)]
        assert result.result() == name

    options: dict[str, Any] = QUICK | {"polls_per_second": 100_000, "concurrency": concurrency}
    async with SwfClient("domain", client=once, **options) as swf, asyncio.TaskGroup() as tasks:
        for number in range(count):
            tasks.create_task(follow(swf, f"w{number}"))
    assert fault_proxy.peak <= concurrency
    assert set(model.polls.values()) <= {4, 5}  # fair: nobody was polled more than it took
