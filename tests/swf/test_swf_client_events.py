"""All events of an execution, live or so far; what the client looks up in its domain. Against a moto server."""

import asyncio
import datetime as dt
from contextlib import aclosing

import pytest
from servers import Fault, FaultProxy, MotoServer, Request
from swf_client_support import (
    Decider,
    Ingest,
    PagedHistories,
    answer,
    client,
    complete,
    is_history,
    marker,
    operation_of,
    refusal,
    session,
)

from asyncsteps.swf import (
    ExecutionNotFoundError,
    SwfClient,
    SwfDomainNotFoundError,
    SwfError,
    SwfThrottledError,
    SwfUnreachableError,
)


@pytest.fixture
def decider(moto_server: MotoServer) -> Decider:
    decider = Decider(moto_server.endpoint)
    decider.register()
    return decider


def through(proxy: FaultProxy, decider: Decider) -> SwfClient:
    return SwfClient(
        decider.domain,
        session=session(),
        endpoint_url=proxy.endpoint,
        polls_per_second=1000,
        min_poll_interval=0.005,
        max_poll_interval=0.02,
    )


class TestEvents:
    async def test_live_until_it_closes_and_the_same_again_afterwards(self, decider: Decider) -> None:
        async with client(decider) as swf:
            execution = await swf.start(Ingest, workflow_id="w")
            seen = []
            async with aclosing(execution.events()) as events:
                async for event in events:
                    seen.append(event)
                    if event.type == "DecisionTaskScheduled":
                        await asyncio.to_thread(decider.decide, [marker({"step": "a"}), complete("end")])
            assert [event.id for event in seen] == list(range(1, len(seen) + 1))
            assert [event.type for event in seen][-2:] == ["MarkerRecorded", "WorkflowExecutionCompleted"]
            assert seen[-2].attributes["details"] == '{"step": "a"}'
            assert {event.run_id for event in seen} == {execution.run_id}
            assert all(event.at.tzinfo is dt.UTC for event in seen)
            assert [event async for event in execution.events()] == seen
            assert [event async for event in execution.events(live=False)] == seen

    async def test_so_far_of_an_open_execution(self, decider: Decider) -> None:
        async with client(decider) as swf:
            execution = await swf.start(Ingest)
            types = [event.type async for event in execution.events(live=False)]
        assert types == ["WorkflowExecutionStarted", "DecisionTaskScheduled"]

    async def test_markers_and_events_are_followed_side_by_side(self, decider: Decider) -> None:
        async with client(decider) as swf:
            execution = await swf.start(Ingest)
            started = asyncio.Event()

            async def all_events() -> list[str]:
                found = []
                async for event in execution.events():
                    started.set()
                    found.append(event.type)
                return found

            async def all_markers() -> list[str]:
                return [found.details["step"] async for found in execution.markers()]

            async with asyncio.TaskGroup() as tasks:
                following = [tasks.create_task(all_events()), tasks.create_task(all_markers())]
                closing = tasks.create_task(execution.wait_closed())
                await started.wait()
                await asyncio.to_thread(decider.decide, [marker({"step": "a"}), complete()])
            assert following[0].result().count("MarkerRecorded") == 1
            assert following[1].result() == ["a"]
            assert closing.result().status == "COMPLETED"

    async def test_pages_and_runs_that_continue(self, decider: Decider, fault_proxy: FaultProxy) -> None:
        histories = fault_proxy.rule = PagedHistories(decider, cap=2)
        async with through(fault_proxy, decider) as swf:
            first = await swf.start(Ingest, workflow_id="first", task_list="one")
            decider.decide([marker({"step": name}) for name in "abc"], task_list="one")
            second = await swf.start(Ingest, workflow_id="second", task_list="two")
            decider.decide([complete()], task_list="two")
            histories.extra[first.run_id] = [
                {
                    "eventType": "WorkflowExecutionContinuedAsNew",
                    "workflowExecutionContinuedAsNewEventAttributes": {"newExecutionRunId": second.run_id},
                }
            ]
            histories.aliases["first", second.run_id] = ("second", second.run_id)
            for live in (True, False):
                seen = [event async for event in first.events(live=live)]
                runs = [[it.id for it in seen if it.run_id == each.run_id] for each in (first, second)]
                assert all(ids == list(range(1, len(ids) + 1)) for ids in runs)
                assert [it.type for it in seen if it.id == 1] == ["WorkflowExecutionStarted"] * 2
                alone = [event async for event in first.events(live=live, follow_runs=False)]
                assert alone == [it for it in seen if it.run_id == first.run_id]

    @pytest.mark.long
    async def test_a_throttled_reading_goes_on_when_live(self, decider: Decider, fault_proxy: FaultProxy) -> None:
        async with through(fault_proxy, decider) as swf:
            execution = await swf.start(Ingest)
            decider.decide([complete()])
            refused = iter([True] * 7)

            def throttle(request: Request) -> Fault | None:
                history = operation_of(request) == "GetWorkflowExecutionHistory"
                return refusal("ThrottlingException") if history and next(refused, False) else None

            fault_proxy.rule = throttle
            assert [event.type async for event in execution.events()][-1] == "WorkflowExecutionCompleted"
            fault_proxy.rule = lambda request: refusal("ThrottlingException")
            with pytest.raises(SwfThrottledError):
                [event async for event in execution.events(live=False)]


class TestLookups:
    async def test_the_newest_execution_of_an_id_open_or_closed(self, decider: Decider) -> None:
        async with client(decider) as swf:
            with pytest.raises(ExecutionNotFoundError, match="open or closed"):
                await swf.find("w")
            first = await swf.start(Ingest, workflow_id="w")
            assert await swf.find("w") == first
            decider.decide([complete()])
            assert await swf.find("w") == first
            second = await swf.start(Ingest, workflow_id="w")
            assert await swf.find("w") == second

    async def test_the_domain(self, decider: Decider) -> None:
        async with client(decider) as swf:
            domain = await swf.describe_domain()
            assert (domain.name, domain.is_registered, domain.retention_days) == (decider.domain, True, "1")
            assert domain.server_time is not None
            assert abs((domain.server_time - dt.datetime.now(dt.UTC)).total_seconds()) < 60
            decider.swf.deprecate_domain(name=decider.domain)
            assert not (await swf.describe_domain()).is_registered
        decider.domain = "none"
        async with client(decider) as swf:
            with pytest.raises(SwfDomainNotFoundError):
                await swf.describe_domain()

    async def test_types_and_task_lists(self, decider: Decider) -> None:
        for number in range(3):
            decider.swf.register_activity_type(domain=decider.domain, name=f"a{number}", version="1")
        decider.swf.deprecate_activity_type(domain=decider.domain, activityType={"name": "a2", "version": "1"})
        async with client(decider) as swf:
            assert sorted(await swf.activity_types()) == [("a0", "1"), ("a1", "1")]
            assert await swf.is_registered(Ingest)
            assert not await swf.is_registered("none", version="1")
            decider.swf.deprecate_workflow_type(
                domain=decider.domain, workflowType={"name": Ingest.name, "version": Ingest.version}
            )
            assert not await swf.is_registered(Ingest)
            pending = await swf.pending("ingest")
            assert (pending.task_list, pending.decisions, pending.activities) == ("ingest", 0, 0)

    async def test_activity_types_come_in_pages(self, decider: Decider, fault_proxy: FaultProxy) -> None:
        from swf_client_support import answer

        tokens = []

        def pages(request: Request) -> Fault | None:
            if operation_of(request) != "ListActivityTypes":
                return None
            last = b"nextPageToken" in request.body
            tokens.append(last)
            info = {"activityType": {"name": f"a{int(last)}", "version": "1"}, "status": "REGISTERED"}
            return answer(
                {"typeInfos": [info | {"creationDate": 1.0}], **({} if last else {"nextPageToken": "more"})}
            )

        fault_proxy.rule = pages
        async with through(fault_proxy, decider) as swf:
            assert await swf.activity_types() == [("a0", "1"), ("a1", "1")]
        assert tokens == [False, True]


class TestAnswersThatAreNotOfSwf:
    @pytest.mark.parametrize("operation", ["DescribeDomain", "DescribeWorkflowType", "ListActivityTypes"])
    async def test_are_refused_by_name(self, decider: Decider, fault_proxy: FaultProxy, operation: str) -> None:
        odd = answer({"domainInfo": {}, "configuration": {}, "typeInfo": {}, "typeInfos": [{}]})
        fault_proxy.rule = lambda request: odd if operation_of(request) == operation else None
        async with through(fault_proxy, decider) as swf:
            asked = {
                "DescribeDomain": swf.describe_domain,
                "DescribeWorkflowType": lambda: swf.is_registered(Ingest),
                "ListActivityTypes": swf.activity_types,
            }
            with pytest.raises(SwfUnreachableError, match="not SWF's; check the endpoint"):
                await asked[operation]()

    async def test_a_history_of_them_is_refused(self, decider: Decider, fault_proxy: FaultProxy) -> None:
        async with through(fault_proxy, decider) as swf:
            execution = await swf.start(Ingest, workflow_id="w")
            odd = answer({"events": [{"eventId": 1, "eventType": "MarkerRecorded"}]})
            fault_proxy.rule = lambda request: odd if is_history(request) else None
            for live in (True, False):
                with pytest.raises(SwfError, match="the history cannot be read"):
                    [event async for event in execution.events(live=live)]
