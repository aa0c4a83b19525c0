"""The async SWF client's polling of a service that throttles, breaks or refuses."""

import json
from typing import Any

import pytest
from servers import Cut, Fault, FaultProxy, Request
from swf_client_support import (
    QUICK,
    Decider,
    Ingest,
    PagedHistories,
    answer,
    complete,
    is_history,
    listed,
    marker,
    operation_of,
    refusal,
)

from asyncsteps.swf._client.client import SwfClient
from asyncsteps.swf._client.errors import (
    SwfAccessDeniedError,
    SwfError,
    SwfInputError,
    SwfThrottledError,
    SwfUnreachableError,
)


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
