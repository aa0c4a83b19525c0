"""Shared by the tests of the SWF client: a domain, a decider driven by hand, and SWF's paging on top of moto."""

# simpleflow is untyped.
# mypy: allow-subclassing-any
import functools
import json
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import aioboto3
import botocore.session
from servers import Answer, Fault, Request
from simpleflow import Workflow

from asyncsteps.swf._client.client import SwfClient

VERSION = "v1"


class Ingest(Workflow):
    name = "test.ingest"
    version = VERSION
    task_list = "ingest"
    execution_timeout = 3600
    decision_tasks_timeout = 60
    child_policy = "TERMINATE"


QUICK: dict[str, Any] = {"polls_per_second": 1000, "min_poll_interval": 0.005, "max_poll_interval": 0.02}
"""Options of a client that polls without pauses."""


@functools.cache
def session() -> aioboto3.Session:
    """Return one session for all tests: loading botocore's models takes longer than most tests."""
    return aioboto3.Session()


@functools.cache
def sync_session() -> Any:
    return botocore.session.get_session()


@dataclass
class Decider:
    """A decider of one domain, driven by hand. It uses plain botocore, and none of our code."""

    endpoint: str
    domain: str = field(default_factory=lambda: f"d-{uuid.uuid4().hex}")

    def __post_init__(self) -> None:
        self.swf: Any = sync_session().create_client("swf", endpoint_url=self.endpoint)
        self.swf.register_domain(name=self.domain, workflowExecutionRetentionPeriodInDays="1")

    def register(self, name: str = Ingest.name, version: str = VERSION, **defaults: Any) -> None:
        self.swf.register_workflow_type(domain=self.domain, name=name, version=version, **defaults)

    def start(self, workflow_id: str) -> str:
        """Start an execution of `Ingest`, and return its run id."""
        started = self.swf.start_workflow_execution(
            domain=self.domain,
            workflowId=workflow_id,
            workflowType={"name": Ingest.name, "version": Ingest.version},
            taskList={"name": Ingest.task_list},
            executionStartToCloseTimeout="600",
            taskStartToCloseTimeout="60",
            childPolicy=Ingest.child_policy,
        )
        return str(started["runId"])

    def decide(self, decisions: Iterable[Mapping[str, Any]], task_list: str = "ingest") -> str:
        """Answer the next decision task, and return its workflow id."""
        task = self.swf.poll_for_decision_task(domain=self.domain, taskList={"name": task_list})
        assert task.get("taskToken"), "no decision task is due"
        self.swf.respond_decision_task_completed(taskToken=task["taskToken"], decisions=list(decisions))
        return str(task["workflowExecution"]["workflowId"])

    def wake(self, workflow_id: str) -> None:
        """Send a signal, so that SWF schedules the next decision."""
        self.swf.signal_workflow_execution(domain=self.domain, workflowId=workflow_id, signalName="go", input="{}")

    def history(self, workflow_id: str, run_id: str) -> list[dict[str, Any]]:
        answer = self.swf.get_workflow_execution_history(
            domain=self.domain, execution={"workflowId": workflow_id, "runId": run_id}
        )
        return list(answer["events"])


def client(decider: Decider, **options: Any) -> SwfClient:
    quick = {"polls_per_second": 500, "min_poll_interval": 0.01, "max_poll_interval": 0.05, **options}
    return SwfClient(decider.domain, session=session(), endpoint_url=decider.endpoint, **quick)


def marker(details: Any, name: str = "log.step") -> dict[str, Any]:
    text = details if isinstance(details, str) else json.dumps(details)
    return {
        "decisionType": "RecordMarker",
        "recordMarkerDecisionAttributes": {"markerName": name, "details": text},
    }


def schedule(name: str, activity_id: str, *, version: str, given: Any = None) -> dict[str, Any]:
    """The decision to schedule an activity for ``workers``."""
    timeouts = ("scheduleToClose", "scheduleToStart", "startToClose", "heartbeat")
    return {
        "decisionType": "ScheduleActivityTask",
        "scheduleActivityTaskDecisionAttributes": {
            "activityId": activity_id,
            "activityType": {"name": name, "version": version},
            "taskList": {"name": "workers"},
            **({"input": json.dumps(given)} if given is not None else {}),
            **{f"{timeout}Timeout": "60" for timeout in timeouts},
        },
    }


def complete(result: Any = None) -> dict[str, Any]:
    return {
        "decisionType": "CompleteWorkflowExecution",
        "completeWorkflowExecutionDecisionAttributes": {"result": json.dumps(result)},
    }


def fail(reason: str, details: str) -> dict[str, Any]:
    return {
        "decisionType": "FailWorkflowExecution",
        "failWorkflowExecutionDecisionAttributes": {"reason": reason, "details": details},
    }


def listed(workflow_id: str, run_id: str) -> dict[str, Any]:
    """An execution as SWF lists it."""
    return {
        "execution": {"workflowId": workflow_id, "runId": run_id},
        "workflowType": {"name": "n", "version": "v"},
        "startTimestamp": 1.0,
        "executionStatus": "OPEN",
    }


def operation_of(request: Request) -> str:
    return request.headers.get("x-amz-target", "").rpartition(".")[2]


def is_history(request: Request) -> bool:
    return operation_of(request) == "GetWorkflowExecutionHistory"


def refusal(code: str, message: str = "injected", status: int = 400) -> Answer:
    """Build an error reply of SWF."""
    body = json.dumps({"__type": f"com.amazonaws.swf.base.model#{code}", "message": message})
    return Answer(status, body.encode(), {"Content-Type": "application/x-amz-json-1.0"})


def answer(body: Mapping[str, Any]) -> Answer:
    return Answer(200, json.dumps(body).encode(), {"Content-Type": "application/x-amz-json-1.0"})


class PagedHistories:
    """A proxy's rule: splits histories into pages of at most ``cap`` events as SWF does; moto does not.

    Attributes:
        pages: Of each history request its page size and whether it had a page token.
        extra: Events appended to histories, by run id: what moto cannot record.
        aliases: Runs that are known by other ids in moto.
    """

    def __init__(self, decider: Decider, *, cap: int = 1000) -> None:
        self.pages: list[tuple[int, bool]] = []
        self.extra: dict[str, list[dict[str, Any]]] = {}
        self.aliases: dict[tuple[str, str], tuple[str, str]] = {}
        self._decider = decider
        self._cap = cap

    def __call__(self, request: Request) -> Fault | None:
        if operation_of(request) != "GetWorkflowExecutionHistory":
            return None
        asked = json.loads(request.body)
        execution = asked["execution"]
        assert asked["reverseOrder"] is True
        token, size = asked.get("nextPageToken"), asked["maximumPageSize"]
        self.pages.append((size, token is not None))
        run = (execution["workflowId"], execution["runId"])
        events = self._raw(*self.aliases.get(run, run))
        newest = int(token.split("/")[1]) if token else len(events)
        if token:
            assert token.split("/")[0] == str(size), "SWF wants the same page size with a token"
        page = list(reversed(events[max(newest - min(size, self._cap), 0) : newest]))
        left = newest - len(page)
        return answer({"events": page, **({"nextPageToken": f"{size}/{left}"} if left else {})})

    def _raw(self, workflow_id: str, run_id: str) -> list[dict[str, Any]]:
        events = self._decider.history(workflow_id, run_id)
        for event in events:
            event["eventTimestamp"] = event["eventTimestamp"].timestamp()
        for more in self.extra.get(run_id, []):
            events.append({"eventId": len(events) + 1, "eventTimestamp": 1.0, **more})
        return events
