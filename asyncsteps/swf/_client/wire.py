"""The wire codec: decodes SWF's events and answers to records, and payloads in simpleflow's format."""

import datetime as dt
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from asyncsteps._plan.model import Marker
from asyncsteps.swf._client.errors import SwfInputError, SwfUnreachableError
from asyncsteps.swf._client.records import CloseStatus, Closure, ExecutionInfo, JumboField
from asyncsteps.swf._payload import encode_payload, length_problem

JUMBO_PREFIX = "simpleflow+s3://"
"""The start of a payload that simpleflow stored on S3 because it was too long for SWF."""

_SIZE_DIGITS = 20
"""The most digits of the size of what is stored on S3."""

_CLOSING = {
    "WorkflowExecutionCompleted": CloseStatus.COMPLETED,
    "WorkflowExecutionFailed": CloseStatus.FAILED,
    "WorkflowExecutionCanceled": CloseStatus.CANCELED,
    "WorkflowExecutionTerminated": CloseStatus.TERMINATED,
    "WorkflowExecutionTimedOut": CloseStatus.TIMED_OUT,
    "WorkflowExecutionContinuedAsNew": CloseStatus.CONTINUED_AS_NEW,
}


def read_marker(event: Mapping[str, Any]) -> Marker | None:
    """Return the marker that a history event records, or None."""
    if event["eventType"] != "MarkerRecorded":
        return None
    attributes = event["markerRecordedEventAttributes"]
    return Marker(attributes["markerName"], decode(attributes.get("details")), utc(event["eventTimestamp"]))


def read_closure(event: Mapping[str, Any]) -> Closure | None:
    """Return how a history event closes its execution, or None when it does not."""
    kind = event["eventType"]
    status = _CLOSING.get(kind)
    if status is None:
        return None
    attributes = event.get(f"{kind[0].lower()}{kind[1:]}EventAttributes", {})
    return Closure(
        status,
        utc(event["eventTimestamp"]),
        result=decode(attributes.get("result")),
        reason=attributes.get("reason", attributes.get("timeoutType")),
        details=decode(attributes.get("details")),
        new_run_id=attributes.get("newExecutionRunId"),
    )


def read_info(info: Mapping[str, Any], answer: Mapping[str, Any] | None = None) -> ExecutionInfo:
    """Decode an execution from a listing, or from the ``answer`` of DescribeWorkflowExecution.

    Raises:
        SwfUnreachableError: When it describes none.
    """
    with reading("execution"):
        return _info(info, answer or {})


@contextmanager
def reading(what: str) -> Iterator[None]:
    """Read an answer of SWF inside the block.

    Raises:
        SwfUnreachableError: When the answer does not describe what it must.
    """
    try:
        yield
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise SwfUnreachableError(
            f"the answer describes no {what} ({type(error).__name__}: {error}), so it is not SWF's; check the "
            "endpoint"
        ) from error


def _info(info: Mapping[str, Any], answer: Mapping[str, Any]) -> ExecutionInfo:
    closed = info.get("closeTimestamp")
    return ExecutionInfo(
        workflow_id=info["execution"]["workflowId"],
        run_id=info["execution"]["runId"],
        workflow=info["workflowType"]["name"],
        version=info["workflowType"]["version"],
        started=utc(info["startTimestamp"]),
        closed=utc(closed) if closed is not None else None,
        status=CloseStatus(info["closeStatus"]) if info.get("closeStatus") else None,
        tags=tuple(info.get("tagList", ())),
        cancel_requested=bool(info.get("cancelRequested", False)),
        task_list=answer.get("executionConfiguration", {}).get("taskList", {}).get("name"),
        open_counts=dict(answer.get("openCounts", {})),
    )


def utc(moment: dt.datetime) -> dt.datetime:
    """Convert to UTC; botocore returns times in the machine's zone."""
    return moment.astimezone(dt.UTC)


def decode(payload: str | None) -> Any:
    """Decode a payload as simpleflow does: JSON, else the text; a jumbo field to `JumboField`."""
    if not payload:
        return None
    if payload.startswith(JUMBO_PREFIX):
        location, _, size = payload.removeprefix(JUMBO_PREFIX).rpartition(" ")
        bucket, _, key = location.partition("/")
        if bucket and key and size.isdecimal() and len(size) <= _SIZE_DIGITS:
            return JumboField(bucket, key, int(size))
    try:
        return json.loads(payload)
    except (ValueError, RecursionError):
        return payload


def encode(payload: Any, what: str) -> str:
    """Encode a payload.

    Args:
        payload: What `asyncsteps.swf._payload.encode_payload` takes.
        what: What the payload is, for errors.

    Raises:
        SwfInputError: When it cannot be written as JSON, or is too long (SWF's own error repeats all of it).
    """
    try:
        text = encode_payload(payload)
    except ValueError as error:
        raise SwfInputError(f"{what} cannot be written as JSON: {error}; give JSON values") from error
    problem = length_problem(len(text))
    if problem is not None:
        raise SwfInputError(f"{what} is {problem}")
    return text
