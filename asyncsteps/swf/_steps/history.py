"""What a replay reads in the history of its execution: recorded decisions, listings, new failures, its length."""

import json
import logging
from collections import defaultdict, deque
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from simpleflow import activity
from simpleflow.history import History
from simpleflow.step.tasks import GetStepsDoneTask as TheirGetStepsDoneTask

from asyncsteps._plan.model import STEP_MARKER, Action, Decision, Status
from asyncsteps._plan.names import SIMPLEFLOW, STRICT, NameRule
from asyncsteps.swf._constants import HISTORY_WARNING_EVENTS, HISTORY_WARNING_INTERVAL, MAX_HISTORY_EVENTS
from asyncsteps.swf.tasks import GetStepsDoneTask, MarkStepDoneTask, WithdrawStepsDoneTask

_logger = logging.getLogger("asyncsteps.swf")

Place = tuple[str, str]
"""A bucket and a key prefix, under which done marks lie."""

PLACE_MARKER = "asyncsteps.place"
"""The marker that tells the place of the step whose marker comes next; readers of that one see no change."""

_LISTINGS = {
    activity.Activity(GetStepsDoneTask).name: False,
    activity.Activity(TheirGetStepsDoneTask).name: True,
}
"""The activity types that list done steps, and whether each is simpleflow's."""

_MARK = activity.Activity(MarkStepDoneTask).name
_WITHDRAW = activity.Activity(WithdrawStepsDoneTask).name

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
    completion the k-th ``completed`` one; where markers tell their place, those of each place apart.

    Attributes:
        refused: How many markers SWF refused.
        played: The names that were decided to be played, by place.
    """

    def __init__(self, markers: Mapping[str, list[dict[str, Any]]]) -> None:
        self._decided: defaultdict[tuple[str, Place | None], deque[Recorded]] = defaultdict(deque)
        self._completed: defaultdict[tuple[str, Place | None], deque[str]] = defaultdict(deque)
        self.refused = 0
        self.played: defaultdict[Place | None, set[str]] = defaultdict(set)
        place: Place | None = None
        for event in _in_order(markers):
            if event["state"] != "recorded":
                self.refused += 1
                place = None
            elif event.get("name") == PLACE_MARKER:
                place = _place(event.get("details"))
            else:
                self._add(event.get("details"), place)
                place = None

    def _add(self, text: str | None, place: Place | None) -> None:
        details = _step_details(text)
        if text is None or details is None:
            return  # a marker of the user's own, under our name
        key = details["step"], place
        status = details.get("status")
        if status == Status.COMPLETED:
            self._completed[key].append(text)
        elif status in {Status.SCHEDULED, Status.SKIPPED}:
            action = Action.RUN if status == Status.SCHEDULED else Action.SKIP
            decision = Decision(action, bool(details.get("forced")), tuple(details.get("reasons") or ()))
            self._decided[key].append(Recorded(decision, text))
            if action is Action.RUN:
                self.played[place].add(key[0])

    def take_decision(self, name: str, place: Place | None) -> Recorded | None:
        """Take the recorded decision of the next submission of ``name``, or give None."""
        queue = self._decided.get((name, place))
        return queue.popleft() if queue else None

    def take_completion(self, name: str, place: Place | None) -> str | None:
        """Take the details of the next completion of ``name``, or give None."""
        queue = self._completed.get((name, place))
        return queue.popleft() if queue else None


def _in_order(markers: Mapping[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """The markers of steps and those of their places, in order of recording."""
    of_steps, of_places = markers.get(STEP_MARKER, []), markers.get(PLACE_MARKER, [])
    if not of_places:
        return of_steps
    return sorted(of_steps + of_places, key=lambda event: event.get("event_id") or event["record_failed_event_id"])


def _place(text: str | None) -> Place | None:
    details = _parsed(text) or {}
    bucket, prefix = details.get("bucket"), details.get("prefix")
    return (bucket, prefix) if isinstance(bucket, str) and isinstance(prefix, str) else None


def _step_details(text: str | None) -> dict[str, Any] | None:
    """The details of a step's marker; None when they are none of ours."""
    details = _parsed(text)
    if details is None:
        return None
    reasons = details.get("reasons") or []
    texts = [details.get("step"), details.get("status"), *(reasons if isinstance(reasons, list) else [None])]
    return details if _are_texts(*texts) else None


def _parsed(text: str | None) -> dict[str, Any] | None:
    if not isinstance(text, str):
        return None
    try:
        details = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return details if isinstance(details, dict) else None


@dataclass(frozen=True, slots=True)
class Listing:
    """A listing of done steps that the history has, whatever came of it.

    Attributes:
        place: What it lists.
        again: The number of earlier ones that it replaces.
        after: Where its part of the list begins.
        by_simpleflow: Whether it is that of simpleflow's own steps.
        shared: Whether it is ours under the id of that one: names, or a number where they do not fit.
        step_names: The rule of the names that it lists.
        task_id: The id of its activity.
    """

    place: Place
    again: int
    after: str
    by_simpleflow: bool
    shared: bool
    step_names: NameRule
    task_id: str


def listings(history: History) -> list[Listing]:
    """The listings in a history, in the order in which each was scheduled first."""
    found = []
    for task_id, event in history.activities.items():
        by_simpleflow = _LISTINGS.get(event.get("name", ""))
        if by_simpleflow is None:
            continue
        args, kwargs = arguments_of(event)
        shared = bool(kwargs.get("or_count"))
        again, after, step_names = (
            kwargs.get("again", 0),
            kwargs.get("after", ""),
            kwargs.get("step_names", STRICT),
        )
        if not (by_simpleflow or shared or kwargs.get("compact")):
            continue
        if not (_are_texts(*args, after) and len(args) == len(("bucket", "prefix")) and type(again) is int):
            continue
        if step_names in (STRICT, SIMPLEFLOW):
            found.append(Listing(tuple(args), again, after, by_simpleflow, shared, step_names, task_id))
    if len({listing.place for listing in found}) > 1:
        # Where SWF refused one at first, simpleflow keeps it in the place of that refusal, which told no prefix.
        order = _first_scheduled(history, {listing.task_id for listing in found})
        found.sort(key=lambda listing: order[listing.task_id])
    return found


def _first_scheduled(history: History, task_ids: Container[str]) -> dict[str, int]:
    """The numbers of the events with which these activities were scheduled first."""
    order: dict[str, int] = {}
    for event in history.events:
        task_id: str = getattr(event, "activity_id", "")  # simpleflow sets the attributes that SWF tells
        if event.type == "ActivityTask" and event.state == "scheduled" and task_id in task_ids:
            order.setdefault(task_id, event.id)
    return order


def arguments_of(event: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """The positional and the keyword arguments of an activity in a history, which may be anybody's."""
    given = event.get("input")
    args, kwargs = (given.get("args"), given.get("kwargs")) if isinstance(given, Mapping) else (None, None)
    return list(args) if isinstance(args, list | tuple) else [], kwargs if isinstance(kwargs, dict) else {}


def _are_texts(*values: object) -> bool:
    return all(isinstance(value, str) for value in values)


def markings(history: History, *args: str) -> list[str]:
    """The ids of our activities that mark a name, given as bucket, prefix and name, in order of scheduling."""
    return [
        task_id
        for task_id, event in history.activities.items()
        if event.get("name") == _MARK and tuple(arguments_of(event)[0]) == args
    ]


def own_changes(history: History, place: Place, *, until: int) -> tuple[set[str], set[str]]:
    """What the execution itself has changed: the names that it marked anew, and those of older marks withdrawn.

    Names that were withdrawn by selectors are not recorded.

    Args:
        history: The history.
        place: Where the marks lie.
        until: The number of an event; what was first tried after it does not count.
    """
    marked: set[str] = set()
    withdrawn: set[str] = set()
    for event in history.activities.values():
        args, kwargs = arguments_of(event)
        if event.get("name") not in {_MARK, _WITHDRAW} or tuple(args[:2]) != place:
            continue
        if event.get("scheduled_id", 0) >= until and "retry" not in event:
            continue
        names = kwargs.get("names") if event["name"] == _WITHDRAW else args[2:3]
        if not isinstance(names, list | tuple) or not _are_texts(*names):
            continue
        if event["name"] == _WITHDRAW:
            withdrawn.update(name for name in names if name not in marked)
        else:
            marked.update(name for name in names if name not in withdrawn)
    return marked, withdrawn


def last_seen(history: History) -> int:
    """The id of the last event that the last completed decision has seen; 0 before the first one.

    What happens while a decision is under way is recorded before its completion, and seen by the next one alone.
    """
    before = reversed(history.events[: history.completed_decision_id or 0])
    return next((event.id for event in before if event.type == "DecisionTask" and event.state == "started"), 0)


def has_new_failures(history: History) -> bool:
    """Whether an activity or a child workflow failed since what the last decision has seen."""
    last = last_seen(history)
    tasks = (*history.activities.values(), *history.child_workflows.values())
    return any(task.get(end, 0) > last for task in tasks for end in _ENDS_BADLY)


def has_new_refusals(history: History) -> bool:
    """Whether SWF refused to schedule a withdrawal in what the last decision asked for."""
    last = last_seen(history)
    new: Iterator[Any] = takewhile(lambda event: event.id > last, reversed(history.events))
    refused = (event for event in new if (event.type, event.state) == ("ActivityTask", "schedule_failed"))
    return any(event.activity_type["name"] == _WITHDRAW for event in refused)


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
