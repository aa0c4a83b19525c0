"""The steps of an execution on SWF, from the events of its history."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import asyncsteps
from asyncsteps.cli import _output
from asyncsteps.cli._submissions import StepReport
from asyncsteps.report import RunStory, StepSpan

if TYPE_CHECKING:
    from asyncsteps.swf import HistoryEvent

_CLOSING: Final = {
    "WorkflowExecutionCompleted": "COMPLETED",
    "WorkflowExecutionFailed": "FAILED",
    "WorkflowExecutionCanceled": "CANCELED",
    "WorkflowExecutionTerminated": "TERMINATED",
    "WorkflowExecutionTimedOut": "TIMED_OUT",
    "WorkflowExecutionContinuedAsNew": "CONTINUED_AS_NEW",
}
_FAILURES: Final = {
    "ActivityTaskFailed": "failed",
    "ActivityTaskTimedOut": "timed out",
    "ActivityTaskCanceled": "was canceled",
}
_CHILD_FAILURES: Final = {
    "ChildWorkflowExecutionFailed": "failed",
    "ChildWorkflowExecutionTimedOut": "timed out",
    "ChildWorkflowExecutionTerminated": "was terminated",
    "ChildWorkflowExecutionCanceled": "was canceled",
    "StartChildWorkflowExecutionFailed": "could not start",
}
_REFUSALS: Final = ("ScheduleActivityTaskFailed", "RecordMarkerFailed", "StartTimerFailed")
_REGISTERED_LATER: Final = ("ACTIVITY_TYPE_DOES_NOT_EXIST", "WORKFLOW_TYPE_DOES_NOT_EXIST")
"""Causes after which simpleflow registers the type and tries again."""

_PLACE_MARKER: Final = "asyncsteps.place"
"""The marker that tells the place of the step whose marker comes next; none does under the first place."""

OPEN: Final = "OPEN"
RUNNING: Final = "running"
FAILED: Final = "failed"
UNFINISHED: Final = "unfinished"

_SHOWN_AS: Final = {RUNNING: "scheduled", UNFINISHED: "cancelled"}


class HistoryError(asyncsteps.AsyncstepsError):
    """A history is none of SWF's."""


@dataclass(frozen=True, slots=True)
class Failure:
    """An activity or a child workflow that ended badly, retried or not; or a decision that SWF refused.

    Attributes:
        what: The type's name, or the kind of the decision.
        how: ``failed``, ``timed out``, ``was canceled``, …
        at: When.
        reason: Why, as it is recorded.
    """

    what: str
    how: str
    at: datetime
    reason: str

    def __str__(self) -> str:
        return f"{self.what} {self.how}" + (
            f": {_output.one_line(self.reason, at_most=500)}" if self.reason else ""
        )

    def as_json(self) -> dict[str, str]:
        """Convert to the documented JSON."""
        return {"what": self.what, "how": self.how, "at": self.at.isoformat(), "reason": self.reason}


@dataclass(slots=True)
class PlacedStep(StepReport):
    """One submission of a step.

    Attributes:
        store: The URL of its done marks; None under the prefix that the execution listed first, which no marker
            tells.
    """

    store: str | None = None

    @property
    def under(self) -> str:
        """What tells it from a namesake under the first prefix, as a suffix to its name."""
        return f" under {_output.one_line(self.store)}" if self.store is not None else ""

    def span(self) -> StepSpan:
        """What a page shows of it; SWF does not tell how long its activities were in a queue."""
        return StepSpan(
            step=self.step + self.under,
            status=_SHOWN_AS.get(self.status, self.status),
            forced=self.forced,
            reasons=tuple(self.reasons),
            queued=self.queued,
            started=self.started,
            ended=None if self.status == RUNNING else self.finished,
            error=self.error,
        )

    def as_json(self) -> dict[str, Any]:
        """Convert to the documented JSON."""
        return {**StepReport.as_json(self), "store": self.store}


@dataclass(slots=True)
class ExecutionSteps:
    """What the events of an execution tell, taken one after the other.

    Attributes:
        status: ``OPEN``, or how it closed, by SWF's name.
        workflow: The type's name and version.
        run_ids: Its runs: more than one where it continued as new.
        steps: The submissions of steps, in order of decision.
        failures: What ended badly.
        result: What it returned, when it completed.
        reason: Why it closed, when it did not complete.
        started: When its first run started.
        newest: When the newest event was recorded.
    """

    status: str = OPEN
    workflow: tuple[str, str] = ("", "")
    run_ids: list[str] = field(default_factory=list)
    steps: list[PlacedStep] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    result: Any = None
    reason: str | None = None
    started: datetime | None = None
    newest: datetime | None = None
    _place: str = ""
    _under_way: dict[tuple[str, str], PlacedStep] = field(default_factory=dict)
    _last: dict[tuple[str, str], PlacedStep] = field(default_factory=dict)
    _names: dict[int, str] = field(default_factory=dict)

    @property
    def under_way(self) -> tuple[str, ...]:
        """The steps that are scheduled and have not completed, as far as the history tells."""
        return tuple(step.step + step.under for step in self._under_way.values())

    @property
    def queued(self) -> tuple[str, ...]:
        """Steps in a queue: SWF does not tell."""
        return ()

    @property
    def counts(self) -> Counter[str]:
        """How many submissions have each status."""
        return Counter(step.status for step in self.steps)

    @property
    def failed(self) -> list[PlacedStep]:
        """The steps whose last submission did not complete though the execution went on, or closed."""
        return [step for step in self._last.values() if step.status in {FAILED, UNFINISHED}]

    def story(self, workflow_id: str) -> RunStory:
        """What a page shows of it.

        Raises:
            HistoryError: When it has no event yet.
        """
        if self.started is None or self.newest is None:
            raise HistoryError(f"the history of {workflow_id} has no event that tells when it began")
        return RunStory(
            run_id=self.run_ids[-1],
            workflow_id=workflow_id,
            began=self.started,
            ended=self.newest,
            outcome=None if self.status == OPEN else self.status.lower().replace("_", " "),
            about={"workflow": self.workflow[0], "version": self.workflow[1], "reason": self.reason},
            spans=tuple(step.span() for step in self.steps),
            notes=("The execution goes on: this is what its history had by then.",) * (self.status == OPEN),
        )

    def take(self, event: "HistoryEvent") -> "asyncsteps.Marker | Failure | None":
        """Take the next event; give the marker of a step, or the failure, that it tells.

        The step of the marker is its name with what tells it from namesakes.

        Raises:
            HistoryError: When SWF records no such event.
        """
        try:
            return self._take(event)
        except (AttributeError, KeyError, TypeError) as error:
            raise HistoryError(
                f"event {event.id} of type {event.type} cannot be read ({type(error).__name__}: {error}), so it "
                "is not SWF's; check the endpoint"
            ) from error

    def _take(self, event: "HistoryEvent") -> "asyncsteps.Marker | Failure | None":
        self.newest = event.at
        attributes = event.attributes
        match event.type:
            case "WorkflowExecutionStarted":
                self._begin(event)
            case "MarkerRecorded":
                return self._marker(event)
            case "ActivityTaskScheduled":
                self._names[event.id] = str(attributes["activityType"]["name"])
            case kind if kind in _FAILURES:
                name = self._names.get(attributes.get("scheduledEventId", 0), "an activity")
                return self._fail(name, _FAILURES[kind], event)
            case kind if kind in _CHILD_FAILURES:
                return self._fail(str(attributes["workflowType"]["name"]), _CHILD_FAILURES[kind], event)
            case kind if kind in _REFUSALS and attributes.get("cause") not in _REGISTERED_LATER:
                return self._fail(kind.removesuffix("Failed"), "was refused by SWF", event)
            case kind if kind in _CLOSING:
                self._close(_CLOSING[kind], attributes)
        return None

    def _begin(self, event: "HistoryEvent") -> None:
        self.run_ids.append(event.run_id)
        self.status = OPEN
        self.reason = None
        self._names = {}
        if self.started is None:
            kind = event.attributes["workflowType"]
            self.started, self.workflow = event.at, (kind["name"], kind["version"])

    def _marker(self, event: "HistoryEvent") -> "asyncsteps.Marker | None":
        text = event.attributes.get("details")
        if event.attributes["markerName"] == _PLACE_MARKER:
            self._place = str(text)
        if event.attributes["markerName"] != asyncsteps.STEP_MARKER:
            return None
        place, self._place = self._place, ""
        details = decoded(text)
        if not _is_of_a_step(details):
            return None
        status = details["status"]
        key = place, str(details["step"])
        before = self._under_way.pop(key, None)
        if before is not None and status == "completed":
            before.status, before.finished = status, event.at
            return _shown(before, details, event.at, started=before.started)
        if before is not None:
            # Decided again without having completed: its activities had failed.
            before.status, before.error = FAILED, _UNTOLD
        begun = event.at if status == "scheduled" else None
        step = PlacedStep(key[1], status, details["forced"], details["reasons"], event.at, begun, event.at)
        step.store = _store_of(place)
        if status == "scheduled":
            step.status = RUNNING
            self._under_way[key] = step
        self._last[key] = step
        self.steps.append(step)
        return _shown(step, details, event.at)

    def _fail(self, what: str, how: str, event: "HistoryEvent") -> Failure:
        given = event.attributes
        reason = given.get("reason") or given.get("timeoutType") or given.get("cause") or ""
        failure = Failure(what, how, event.at, str(reason))
        self.failures.append(failure)
        return failure

    def _close(self, status: str, attributes: Mapping[str, Any]) -> None:
        self.status = status
        self.result = decoded(attributes.get("result"))
        self.reason = attributes.get("reason") or attributes.get("timeoutType")
        assert self.newest is not None
        for step in self._under_way.values():
            step.finished = self.newest
            step.status, step.error = (FAILED, _UNTOLD) if status == "COMPLETED" else (UNFINISHED, None)
        self._under_way.clear()


_UNTOLD: Final = "it was scheduled and did not complete (see the failures of activities)"


def _shown(
    step: PlacedStep, details: Mapping[str, Any], at: datetime, *, started: datetime | None = None
) -> asyncsteps.Marker:
    told = {**details, "step": step.step + step.under}
    return asyncsteps.Marker(asyncsteps.STEP_MARKER, told, at, started)


def _store_of(place: str) -> str | None:
    """The URL of the store that a marker of a place tells."""
    match decoded(place):
        case {"bucket": str(bucket), "prefix": str(prefix)}:
            return f"s3://{bucket.rpartition('/')[2]}/{prefix}"  # the bucket may come with a host
    return None


def decoded(payload: str | None) -> Any:
    """Decode a payload: JSON, else the text."""
    try:
        return json.loads(payload) if payload else None
    except (ValueError, RecursionError):
        return payload


def _is_of_a_step(details: Any) -> bool:
    return (
        isinstance(details, dict)
        and isinstance(details.get("step"), str)
        and details.get("status") in ("scheduled", "skipped", "completed")
        and isinstance(details.get("forced"), bool)
        and isinstance(reasons := details.get("reasons"), list)
        and all(isinstance(reason, str) for reason in reasons)
    )
