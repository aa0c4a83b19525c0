"""Starts that SWF refuses, and starts whose reply is lost."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiobotocore.config import AioConfig
from servers import Cut, Fault, FaultProxy, Request
from swf_client_support import (
    QUICK,
    Decider,
    Ingest,
    answer,
    complete,
    listed,
    operation_of,
    refusal,
    session,
)

from asyncsteps.swf._client.client import SwfClient
from asyncsteps.swf._client.errors import (
    ExecutionAlreadyStartedError,
    SwfAccessDeniedError,
    SwfError,
    SwfInputError,
    SwfLimitError,
    SwfThrottledError,
    SwfUnreachableError,
)


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
