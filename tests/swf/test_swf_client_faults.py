"""The async SWF client's polling: pages, sharing, bounds, and a service that throttles, breaks or refuses."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest
from aiobotocore.config import AioConfig
from servers import Cut, Fault, FaultProxy, Request
from swf_client_support import (
    Decider,
    Ingest,
    PagedHistories,
    answer,
    complete,
    marker,
    operation_of,
    refusal,
    session,
)

from asyncsteps.swf._client.client import SwfClient
from asyncsteps.swf._client.errors import (
    ExecutionAlreadyStartedError,
    ExecutionContinuedAsNewError,
    SwfAccessDeniedError,
    SwfError,
    SwfInputError,
    SwfLimitError,
    SwfThrottledError,
    SwfUnreachableError,
)
from asyncsteps.swf._client.records import CloseStatus

QUICK: dict[str, Any] = {"polls_per_second": 1000, "min_poll_interval": 0.005, "max_poll_interval": 0.02}


@pytest.fixture
def decider(s3_endpoint: str) -> Decider:
    decider = Decider(s3_endpoint)
    decider.register()
    return decider


@pytest.fixture
async def once(fault_proxy: FaultProxy) -> AsyncIterator[Any]:
    """A caller's client that never retries, so that a fault is not hidden."""
    config = AioConfig(retries={"total_max_attempts": 1})
    async with session().client("swf", endpoint_url=fault_proxy.endpoint, config=config) as client:
        yield client


def is_history(request: Request) -> bool:
    return operation_of(request) == "GetWorkflowExecutionHistory"


def listed(workflow_id: str, run_id: str) -> dict[str, Any]:
    """An execution as SWF lists it."""
    return {
        "execution": {"workflowId": workflow_id, "runId": run_id},
        "workflowType": {"name": "n", "version": "v"},
        "startTimestamp": 1.0,
        "executionStatus": "OPEN",
    }


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


async def test_hundreds_of_executions_are_followed_at_once_while_swf_throttles(
    fault_proxy: FaultProxy, once: Any
) -> None:
    model = fault_proxy.rule = ModelSwf(markers=10, throttle_every=50)
    count, concurrency = 300, 8

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


# Faults


async def test_throttled_polls_go_on_and_are_warned_about(
    decider: Decider, fault_proxy: FaultProxy, once: Any, caplog: pytest.LogCaptureFixture
) -> None:
    throttling = refusal("ThrottlingException", "Rate exceeded")
    fault_proxy.inject(throttling, times=3, when=is_history)
    async with SwfClient(decider.domain, client=once, **QUICK) as swf:
        execution = await swf.start(Ingest)
        decider.decide([complete("after all")])
        assert await execution.result() == "after all"
    warnings = [record for record in caplog.records if record.levelname == "WARNING"]
    assert [record.name for record in warnings] == ["asyncsteps.swf"]
    assert "SWF throttles" in warnings[0].getMessage()


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (refusal("ThrottlingException", "Rate exceeded"), SwfThrottledError),
        (refusal("InternalFailure", status=500), SwfUnreachableError),
        (Cut(), SwfUnreachableError),
    ],
    ids=["throttled", "failing", "cut"],
)
async def test_who_waits_is_told_once_patience_is_over(
    decider: Decider, fault_proxy: FaultProxy, once: Any, fault: Fault, error: type[SwfError]
) -> None:
    async with SwfClient(decider.domain, client=once, poll_patience=0, **QUICK) as swf:
        execution = await swf.start(Ingest, workflow_id="w")
        fault_proxy.rule = lambda request: fault if is_history(request) else None
        with pytest.raises(error) as caught:
            await execution.result()
        assert caught.value.__cause__ is not None
        with pytest.raises(error):
            await anext(execution.markers())
        fault_proxy.rule = None  # and it can be waited for again
        decider.decide([complete("back")])
        assert await execution.result() == "back"


async def test_polls_outlast_connections_that_break(decider: Decider, fault_proxy: FaultProxy, once: Any) -> None:
    fault_proxy.inject(Cut(), times=5, when=is_history)
    fault_proxy.inject(Cut(after_bytes=20), times=5, when=is_history)
    async with SwfClient(decider.domain, client=once, **QUICK) as swf:
        execution = await swf.start(Ingest)
        decider.decide([marker({"step": "a"}), complete("done")])
        assert [found.details["step"] async for found in execution.markers()] == ["a"]


async def test_a_page_that_fails_midway_loses_and_repeats_nothing(
    decider: Decider, fault_proxy: FaultProxy, once: Any
) -> None:
    paged = PagedHistories(decider, cap=3)
    broken = iter([False, False, True, False, True] + [False] * 100)

    def rule(request: Request) -> Fault | None:
        return Cut() if is_history(request) and next(broken) else paged(request)

    fault_proxy.rule = rule
    async with SwfClient(decider.domain, client=once, **QUICK) as swf:
        execution = await swf.start(Ingest)
        decider.decide([*(marker({"step": str(number)}) for number in range(9)), complete()])
        assert [found.details["step"] async for found in execution.markers()] == [str(n) for n in range(9)]


@pytest.mark.parametrize(
    ("fault", "error", "says"),
    [
        (refusal("ThrottlingException"), SwfThrottledError, "quota"),
        (
            refusal("AccessDeniedException", "User is not authorized"),
            SwfAccessDeniedError,
            "permission swf:StartWorkflowExecution",
        ),
        (refusal("UnrecognizedClientException"), SwfAccessDeniedError, "credentials"),
        (refusal("OperationNotPermittedFault"), SwfAccessDeniedError, "permission swf:StartWorkflowExecution"),
        (refusal("LimitExceededFault"), SwfLimitError, "wait for executions to close"),
        (
            refusal("ValidationException", "Value 'a/b' at 'workflowId' failed to satisfy constraint"),
            SwfInputError,
            "'a/b' at 'workflowId'",
        ),
        (refusal("ServiceUnavailable", status=503), SwfUnreachableError, "try again"),
        (refusal("NeverHeardOf"), SwfError, "NeverHeardOf: injected"),
        (answer({}), SwfUnreachableError, "not SWF's"),
        (Cut(), SwfUnreachableError, "no usable answer"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
async def test_what_swf_refuses_at_the_start_is_told_in_our_words(
    fault_proxy: FaultProxy, once: Any, fault: Fault, error: type[SwfError], says: str
) -> None:
    fault_proxy.rule = lambda _: fault
    async with SwfClient("domain", client=once) as swf:
        with pytest.raises(error, match=says) as caught:
            await swf.start(Ingest, workflow_id="w")
    assert type(caught.value) is error
    assert (caught.value.domain, caught.value.endpoint) == ("domain", fault_proxy.endpoint)


async def test_an_id_that_is_taken_is_told_even_where_listing_is_denied(
    fault_proxy: FaultProxy, once: Any
) -> None:
    answers = {
        "StartWorkflowExecution": refusal("WorkflowExecutionAlreadyStartedFault"),
        "ListOpenWorkflowExecutions": refusal("AccessDeniedException"),
    }
    fault_proxy.rule = lambda request: answers[operation_of(request)]
    async with SwfClient("domain", client=once) as swf:
        with pytest.raises(ExecutionAlreadyStartedError) as caught:
            await swf.start(Ingest, workflow_id="w")
        assert (caught.value.workflow_id, caught.value.run_id) == ("w", None)
        with pytest.raises(SwfAccessDeniedError):
            await swf.find_open("w")


def is_start(request: Request) -> bool:
    return operation_of(request) == "StartWorkflowExecution"


@pytest.fixture
async def twice(fault_proxy: FaultProxy, no_retry_pauses: None) -> AsyncIterator[Any]:
    """A caller's client that makes two attempts."""
    config = AioConfig(retries={"total_max_attempts": 2})
    async with session().client("swf", endpoint_url=fault_proxy.endpoint, config=config) as client:
        yield client


async def test_a_start_whose_reply_is_lost_gives_its_own_execution(
    decider: Decider, fault_proxy: FaultProxy, twice: Any
) -> None:
    fault_proxy.inject(Cut(after_bytes=0), when=is_start)
    async with SwfClient(decider.domain, client=twice, **QUICK) as swf:
        execution = await swf.start(Ingest)
        assert [info.run_id async for info in swf.list_open()] == [execution.run_id]
        decider.decide([complete("once")])
        assert await execution.result() == "once"
    assert len([request for request in fault_proxy.requests if is_start(request)]) == 2


async def test_a_start_whose_reply_is_lost_waits_for_the_listing_to_show_it(
    decider: Decider, fault_proxy: FaultProxy, twice: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("asyncsteps.swf._client.launch._PAUSES", (0, 0, 0))
    nothing = answer({"executionInfos": []})
    fault_proxy.inject(Cut(after_bytes=0), when=is_start)
    fault_proxy.inject(nothing, times=2, when=lambda request: operation_of(request).startswith("List"))
    async with SwfClient(decider.domain, client=twice) as swf:
        execution = await swf.start(Ingest)
        assert await swf.find_open(execution.workflow_id) == execution
        fault_proxy.inject(Cut(after_bytes=0), when=is_start)
        fault_proxy.inject(nothing, times=99, when=lambda request: operation_of(request).startswith("List"))
        with pytest.raises(ExecutionAlreadyStartedError, match=r"was started.*find_open") as caught:
            await swf.start(Ingest)
    assert (caught.value.workflow_id or "").startswith("test.ingest-v1-")


async def test_a_start_whose_reply_is_lost_finds_an_execution_that_has_closed_since(
    fault_proxy: FaultProxy, once: Any
) -> None:
    def rule(request: Request) -> Fault:
        if is_start(request):
            started.append(json.loads(request.body)["workflowId"])
            return refusal("WorkflowExecutionAlreadyStartedFault")
        if operation_of(request) == "ListOpenWorkflowExecutions":
            return refusal("AccessDeniedException")
        return answer({"executionInfos": [listed(started[0], "closed-run")]})

    started: list[str] = []
    fault_proxy.rule = rule
    async with SwfClient("domain", client=once) as swf:
        execution = await swf.start(Ingest)
    assert (execution.workflow_id, execution.run_id) == (started[0], "closed-run")


async def test_with_an_id_of_the_callers_a_lost_reply_stays_an_error(
    decider: Decider, fault_proxy: FaultProxy, twice: Any
) -> None:
    fault_proxy.inject(Cut(after_bytes=0), when=is_start)
    async with SwfClient(decider.domain, client=twice) as swf:
        with pytest.raises(ExecutionAlreadyStartedError) as caught:
            await swf.start(Ingest, workflow_id="w")
        assert caught.value.run_id == (await swf.find_open("w")).run_id


async def test_no_endpoint_no_credentials_no_region(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SwfInputError, match="endpoint_url 'nonsense' is refused"):
        async with SwfClient("domain", endpoint_url="nonsense"):
            pytest.fail("not reached")
    with pytest.raises(SwfInputError, match="has credentials") as refused:
        SwfClient("domain", endpoint_url="http://planted:planted@127.0.0.1:9")
    assert "planted" not in str(refused.value)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    async with SwfClient("domain") as swf:
        with pytest.raises(SwfAccessDeniedError, match="give AWS credentials"):
            await swf.start(Ingest)
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    with pytest.raises(SwfInputError, match="region_name="):
        async with SwfClient("domain"):
            pytest.fail("not reached")


async def test_access_that_is_denied_ends_the_waiting_at_once(
    decider: Decider, fault_proxy: FaultProxy, once: Any
) -> None:
    async with SwfClient(decider.domain, client=once, **QUICK) as swf:
        execution = await swf.start(Ingest)
        fault_proxy.rule = lambda request: refusal("AccessDeniedException") if is_history(request) else None
        with pytest.raises(SwfAccessDeniedError):
            await execution.result()


async def test_an_event_that_cannot_be_read_is_told(decider: Decider, fault_proxy: FaultProxy, once: Any) -> None:
    async with SwfClient(decider.domain, client=once, **QUICK) as swf:
        execution = await swf.start(Ingest)
        fault_proxy.rule = lambda request: answer({"events": []}) if is_history(request) else None
        with pytest.raises(SwfError, match="the history cannot be read"):
            await execution.result()
        fault_proxy.rule = None
        decider.decide([complete(1)])
        assert await execution.result() == 1  # the poller goes on


async def test_a_cancel_request_is_sent(decider: Decider, fault_proxy: FaultProxy, once: Any) -> None:
    def rule(request: Request) -> Fault | None:  # moto has no such operation
        return answer({}) if operation_of(request) == "RequestCancelWorkflowExecution" else None

    fault_proxy.rule = rule
    async with SwfClient(decider.domain, client=once) as swf:
        execution = await swf.start(Ingest, workflow_id="w")
        await execution.request_cancel()
    sent = json.loads(fault_proxy.requests[-1].body)
    assert sent == {"domain": decider.domain, "workflowId": "w", "runId": execution.run_id}


async def test_listings_go_on_from_page_to_page(fault_proxy: FaultProxy, once: Any) -> None:
    def rule(request: Request) -> Fault | None:
        number = int(json.loads(request.body).get("nextPageToken", 0))
        return answer(
            {
                "executionInfos": [listed(f"w{number}", "r")],
                **({"nextPageToken": str(number + 1)} if number < 2 else {}),
            }
        )

    fault_proxy.rule = rule
    async with SwfClient("domain", client=once) as swf:
        assert [info.workflow_id async for info in swf.list_open()] == ["w0", "w1", "w2"]
