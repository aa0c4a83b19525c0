"""What a replay reads in the history of its execution: recorded decisions, new failures, its length."""

import json
import logging
from collections import defaultdict, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from simpleflow.history import History

from asyncsteps._plan.model import STEP_MARKER, Action, Decision, Status
from asyncsteps.swf._constants import HISTORY_WARNING_EVENTS, HISTORY_WARNING_INTERVAL, MAX_HISTORY_EVENTS

_logger = logging.getLogger("asyncsteps.swf")

_ENDS_BADLY = ("failed_id", "timed_out_id", "terminated_id", "canceled_id")
"""Where simpleflow keeps the number of the event with which a task ended badly."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """A decision that the history has fixed, with the details of its marker as they were recorded."""

    decision: Decision
    details: str


class MarkerIndex:
    """The markers of steps in a history, in order of recording, each of which is taken once.

    The k-th submission of a name takes the k-th ``scheduled`` or ``skipped`` marker of that name, its k-th
    completion the k-th ``completed`` one.
    """

    def __init__(self, markers: Mapping[str, Iterable[Mapping[str, Any]]]) -> None:
        self._decided: defaultdict[str, deque[Recorded]] = defaultdict(deque)
        self._completed: defaultdict[str, deque[str]] = defaultdict(deque)
        self.refused = 0
        for event in markers.get(STEP_MARKER, ()):
            if event["state"] == "recorded":
                self._add(event.get("details"))
            else:
                self.refused += 1

    def _add(self, text: str | None) -> None:
        details = _parsed(text)
        if text is None or details is None:
            return  # a marker of the user's own, under our name
        status = details.get("status")
        if status == Status.COMPLETED:
            self._completed[details["step"]].append(text)
        elif status in {Status.SCHEDULED, Status.SKIPPED}:
            action = Action.RUN if status == Status.SCHEDULED else Action.SKIP
            decision = Decision(action, bool(details.get("forced")), tuple(details.get("reasons") or ()))
            self._decided[details["step"]].append(Recorded(decision, text))

    def take_decision(self, name: str) -> Recorded | None:
        """Take the recorded decision of the next submission of ``name``, or give None."""
        queue = self._decided.get(name)
        return queue.popleft() if queue else None

    def take_completion(self, name: str) -> str | None:
        """Take the details of the next completion of ``name``, or give None."""
        queue = self._completed.get(name)
        return queue.popleft() if queue else None


def _parsed(text: str | None) -> dict[str, Any] | None:
    if not isinstance(text, str):
        return None
    try:
        details = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(details, dict):
        return None
    reasons = details.get("reasons") or []
    texts = [details.get("step"), details.get("status"), *(reasons if isinstance(reasons, list) else [None])]
    return details if all(isinstance(text, str) for text in texts) else None


def has_new_failures(history: History) -> bool:
    """Whether an activity or a child workflow failed since the last decision."""
    last = history.completed_decision_id or 0
    tasks = (*history.activities.values(), *history.child_workflows.values())
    return any(task.get(end, 0) > last for task in tasks for end in _ENDS_BADLY)


def warn_of_length(history: History, workflow: Any) -> None:
    """Log when the history nears SWF's limit, once an interval: deciders have no memory but the history."""
    count = len(history.events)
    before = history.completed_decision_id or 0
    if count >= HISTORY_WARNING_EVENTS and before // HISTORY_WARNING_INTERVAL < count // HISTORY_WARNING_INTERVAL:
        _logger.warning(
            "workflow %s has %d history events, and SWF ends an execution at %d: continue as new (the done marks "
            "let the next execution skip what is done)",
            workflow.get_run_context().get("workflow_id", "unknown"),
            count,
            MAX_HISTORY_EVENTS,
        )
