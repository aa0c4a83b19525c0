"""Histories of executions, as ``asyncsteps swf follow`` and ``swf history`` tell them."""

import datetime as dt
import json
from typing import Any

import pytest
from fuzzing import examples, hostile_json, hostile_text, json_values, refused, step_names
from hypothesis import example, given
from hypothesis import strategies as st

from asyncsteps import AsyncstepsError
from asyncsteps.cli._options import SwfCommon
from asyncsteps.cli._output import _UNSAFE
from asyncsteps.cli._progress import Plain
from asyncsteps.cli._swf_execution import _tell, _write
from asyncsteps.cli._swf_steps import ExecutionSteps
from asyncsteps.swf._client.history import Run, read_event

AT = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
markers = st.fixed_dictionaries(
    {
        "step": step_names | json_values,
        "status": st.sampled_from(["scheduled", "skipped", "completed"]) | json_values,
        "forced": st.booleans() | json_values,
        "reasons": st.lists(hostile_text, max_size=5) | st.lists(json_values, max_size=2) | json_values,
    }
)
payloads = hostile_text | hostile_json | json_values.map(json.dumps) | markers.map(json.dumps)
"""What whoever decides or completes in the domain may record."""

kind = st.fixed_dictionaries({"name": hostile_text, "version": hostile_text})
texts: dict[Any, st.SearchStrategy[str]] = dict.fromkeys(
    ("reason", "timeoutType", "cause", "details", "result"), hostile_text
)
attributes: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "WorkflowExecutionStarted": st.fixed_dictionaries({"workflowType": kind}, optional={"input": payloads}),
    "MarkerRecorded": st.fixed_dictionaries(
        {"markerName": st.sampled_from(["log.step", "asyncsteps.place"]) | hostile_text},
        optional={"details": payloads},
    ),
    "ActivityTaskScheduled": st.fixed_dictionaries({"activityType": kind}),
    "ActivityTaskFailed": st.fixed_dictionaries({"scheduledEventId": st.integers(0, 3)}, optional=texts),
    "ChildWorkflowExecutionFailed": st.fixed_dictionaries({"workflowType": kind}, optional=texts),
    "ScheduleActivityTaskFailed": st.fixed_dictionaries({}, optional=texts),
    "WorkflowExecutionFailed": st.fixed_dictionaries({}, optional=texts),
    "WorkflowExecutionTimedOut": st.fixed_dictionaries({}, optional=texts),
    "WorkflowExecutionCompleted": st.fixed_dictionaries({}, optional={"result": payloads}),
    "Odd": st.just({}),
}


def event(name: str, given_attributes: dict[str, Any]) -> dict[str, Any]:
    key = f"{name[0].lower()}{name[1:]}EventAttributes"
    return {"eventType": name, "eventTimestamp": AT, key: given_attributes}


events = st.sampled_from(sorted(attributes)).flatmap(
    lambda name: st.builds(event, st.just(name), attributes[name])
)


def of_marker(details: str) -> dict[str, Any]:
    return event("MarkerRecorded", {"markerName": "log.step", "details": details})


def printed(given_events: list[dict[str, Any]], capfd: pytest.CaptureFixture[str]) -> None:
    """Tell the events, then the summary, as text and as JSON."""
    steps, progress = ExecutionSteps(), Plain()
    for number, each in enumerate(given_events, start=1):
        _tell(steps.take(read_event(each | {"eventId": number}, Run("w", "r"))), progress)
    err = capfd.readouterr().err
    assert len(err.splitlines()) <= len(given_events), "a line of its own for what is in a text"
    assert not _UNSAFE.search(err)
    if not steps.run_ids:
        steps.run_ids.append("r")
    for as_json in (False, True):
        capfd.readouterr()
        _write("w", steps, SwfCommon(domain="d", json=as_json), code=0)
        out = capfd.readouterr().out
        assert not _UNSAFE.search(out)
        if as_json:
            json.loads(out, parse_constant=pytest.fail)


@examples(150)
@given(given_events=st.lists(events, max_size=6))
@example(given_events=[of_marker('{"step": "a", "status": ["scheduled"], "forced": true, "reasons": []}')])
@example(given_events=[of_marker('{"step": "a", "status": "scheduled", "forced": true, "reasons": [5, null]}')])
@example(given_events=[of_marker('{"step": "a\\nb", "status": "skipped", "forced": true, "reasons": ["c\\nd"]}')])
@example(given_events=[of_marker("[" * 30_000)])
@example(given_events=[event("WorkflowExecutionCompleted", {"result": "[" * 30_000})])
@example(given_events=[event("WorkflowExecutionCompleted", {"result": "NaN"})])
def test_any_history_is_told(given_events: list[dict[str, Any]], capfd: pytest.CaptureFixture[str]) -> None:
    printed(given_events, capfd)


@examples(60)
@given(name=st.sampled_from(sorted(attributes)) | hostile_text.filter(bool), given_attributes=json_values)
@example(name="ActivityTaskScheduled", given_attributes={"activityType": 5})
@example(name="WorkflowExecutionStarted", given_attributes={})
@example(name="MarkerRecorded", given_attributes={})
def test_an_event_that_is_none_of_swf_is_refused(
    name: str, given_attributes: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    refused(lambda: printed([event(name, given_attributes)], capfd), AsyncstepsError)
