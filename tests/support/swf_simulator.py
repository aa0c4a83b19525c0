"""A small SWF: takes the decisions of simpleflow's executor, and answers with the events that SWF would record.

Only the service is simulated; what decides is simpleflow's own decider and executor over its own history classes.
Activities run in process, at once, against `SimulatedSwf.done` in place of a bucket.
"""

import functools
import itertools
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from simpleflow.constants import MAX_REASON_LENGTH
from simpleflow.swf.executor import Executor
from simpleflow.swf.mapper.models.domain import Domain
from simpleflow.swf.mapper.models.event import base, factory
from simpleflow.swf.mapper.models.event.factory import EventFactory
from simpleflow.swf.mapper.models.history import builder
from simpleflow.swf.mapper.responses import Response
from simpleflow.swf.process.decider.base import DeciderWorker
from simpleflow.swf.utils import DecisionsAndContext
from simpleflow.utils import import_from_module

from asyncsteps.swf._constants import MAX_HISTORY_EVENTS, MAX_RESULT_CHARS
from asyncsteps.swf._done.payload import short_form, size

# Each replay translates the same few names by the thousand.
base.camel_to_underscore = factory.camel_to_underscore = functools.cache(factory.camel_to_underscore)

Play = Callable[["SimulatedSwf", str, list[Any], dict[str, Any]], Any]


MAX_RESPONSE_CHARS = 1_000_000
"""The longest response to a decision task."""


class ActivityError(Exception):
    """Raised by a simulated activity that is to fail.

    Attributes:
        details: The details of its failure.
    """

    def __init__(self, reason: str, details: str | None = "{}") -> None:
        super().__init__(reason)
        self.details = details


def play_activity(swf: "SimulatedSwf", name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
    """Play an activity: step activities on the simulated bucket, others by calling them."""
    short = name.rpartition(".")[2]
    if short == "GetStepsDoneTask":
        names = sorted(swf.done)
        if kwargs.get("or_count") and size(names) > MAX_RESULT_CHARS:
            return len(names)
        return short_form(names) if kwargs.get("compact") else names
    if short == "MarkStepDoneTask":
        swf.done.add(args[2])
        return None
    if short == "WithdrawStepsDoneTask":
        swf.done -= set(kwargs["names"])
        return len(kwargs["names"])
    activity = swf.activities.get(name)
    if activity is None:
        activity = import_from_module(name)
    work = getattr(activity, "callable", activity)
    if hasattr(work, "execute"):
        return work(*args, **kwargs).execute()
    return work(*args, **kwargs)


@dataclass
class SimulatedSwf:
    """One execution of a workflow.

    Attributes:
        workflow: The workflow class.
        input: Its input, ``{"args": [...], "kwargs": {...}}``.
        done: The done names in the bucket.
        activities: Callables by activity type name, for activities that cannot be imported.
        play: Plays an activity.
        one_at_a_time: Whether each activity that ends makes a decision of its own, or all open ones end together.
    """

    workflow: Any
    input: dict[str, Any] = field(default_factory=dict)
    done: set[str] = field(default_factory=set)
    activities: dict[str, Any] = field(default_factory=dict)
    play: Play = play_activity
    one_at_a_time: bool = False
    refuse_first: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.history: Any = builder.History(self.workflow, input=self.input)
        self.execution = SimpleNamespace(
            workflow_type=SimpleNamespace(name=self.workflow.name, version=self.workflow.version),
            workflow_id="simulated-id",
            run_id="simulated-run",
        )
        self.status = "open"
        self.result: Any = None
        self.rounds = 0
        self.calls: list[tuple[str, list[Any]]] = []
        self.responses: list[list[dict[str, Any]]] = []
        self._open: list[tuple[int, dict[str, Any]]] = []
        self._timers: list[tuple[int, str]] = []
        self._signals: list[tuple[int, dict[str, Any]]] = []
        self.executor: Any = Executor(Domain("simulated"), self.workflow)
        self.executor.create_activity_type = lambda name, version: None

    # Reading back.

    @property
    def markers(self) -> list[dict[str, Any]]:
        """The details of the recorded markers of steps, in order."""
        events = [event for event in self.history.events if event.type == "Marker" and event.state == "recorded"]
        return [json.loads(event.details) for event in events if event.marker_name == "log.step"]

    @property
    def marker_texts(self) -> list[str]:
        """The details of all recorded markers, as recorded; those without any left out."""
        return [
            event.details for event in self.history.events if event.type == "Marker" and hasattr(event, "details")
        ]

    @property
    def event_types(self) -> list[str]:
        """The kinds of the events, in order."""
        return [f"{event.type}:{event.state}" for event in self.history.events]

    @property
    def scheduled(self) -> list[str]:
        """The short type names of the scheduled activities, in order."""
        return [
            event.activity_type["name"].rpartition(".")[2]
            for event in self.history.events
            if event.type == "ActivityTask" and event.state == "scheduled"
        ]

    def count(self) -> Counter[str]:
        """How many events of each kind there are."""
        return Counter(self.event_types)

    # Running.

    def replay(self, *, decref: bool = True) -> list[dict[str, Any]]:
        """One replay of the history as it stands: the decisions, as simpleflow's decider would respond them.

        Args:
            decref: False: without the decider around the executor, which then keeps its workflow.
        """
        response = Response(history=self.history, execution=self.execution)
        if not decref:
            return list(self.executor.replay(response, decref_workflow=False).decisions)
        decider = DeciderWorker(self.executor.domain, {self.execution.workflow_type.name: self.executor})
        decided = decider.decide(response, None)
        return list(decided.decisions if isinstance(decided, DecisionsAndContext) else decided)

    def run(self, *, max_rounds: int = 100_000) -> "SimulatedSwf":
        """Decide and apply until the execution closes; a round that leaves nothing to wait for is an error."""
        for _ in range(max_rounds):
            self.step()
            if self.status != "open":
                return self
            if not self.advance():
                raise AssertionError(f"the execution hangs after {self.event_types[-10:]}")
        raise AssertionError(f"the execution does not end within {max_rounds} rounds")

    def step(self) -> list[dict[str, Any]]:
        """One decision: replay, respond."""
        decisions = self.replay()
        assert len(decisions) <= 100, f"{len(decisions)} decisions in one response"
        chars = len(json.dumps(decisions))
        assert chars <= MAX_RESPONSE_CHARS, f"a response of {chars} characters"
        self.rounds += 1
        self.responses.append(decisions)
        self.history.add_decision_task_completed()
        completed = self.history.last_id
        for number, decision in enumerate(decisions, start=1):
            self._apply(decision, completed, last=number == len(decisions))
        return decisions

    def _apply(self, decision: dict[str, Any], completed: int, *, last: bool) -> None:
        kind = decision["decisionType"]
        attributes = decision[f"{kind[0].lower()}{kind[1:]}DecisionAttributes"]
        match kind:
            case "RecordMarker":
                details = attributes.get("details") or ""
                assert len(details) <= 32_768, f"the details of a marker have {len(details)} characters"
                self._event("MarkerRecorded", {**attributes, "decisionTaskCompletedEventId": completed})
            case "ScheduleActivityTask":
                self._schedule(attributes, completed)
            case "StartTimer":
                event = self._event(
                    "TimerStarted", {"control": None, **attributes, "decisionTaskCompletedEventId": completed}
                )
                self._timers.append((event, attributes["timerId"]))
            case "SignalExternalWorkflowExecution":
                event = self._event(
                    "SignalExternalWorkflowExecutionInitiated",
                    {"control": None, **attributes, "decisionTaskCompletedEventId": completed},
                )
                self._signals.append((event, attributes))
            case "CompleteWorkflowExecution" | "FailWorkflowExecution" | "ContinueAsNewWorkflowExecution":
                assert last, f"SWF wants the closing decision {kind} to be the last"
                reason, *texts = (attributes.get(key) or "" for key in ("reason", "details", "result", "input"))
                assert len(reason) <= MAX_REASON_LENGTH, f"a reason of {len(reason)} characters"
                assert max(map(len, texts)) <= MAX_RESULT_CHARS, f"{kind} of {max(map(len, texts))} characters"
                self.status = {"Comp": "completed", "Fail": "failed", "Cont": "continued"}[kind[:4]]
                self.result = attributes
            case _:
                raise AssertionError(f"{kind} is not simulated")

    def _schedule(self, attributes: dict[str, Any], completed: int) -> None:
        name = attributes["activityType"]["name"]
        assert len(attributes["input"]) <= MAX_RESULT_CHARS, f"an input of {len(attributes['input'])} characters"
        if name in self.refuse_first:
            self.refuse_first.discard(name)
            self._event(
                "ScheduleActivityTaskFailed",
                {
                    "activityId": attributes["activityId"],
                    "activityType": dict(attributes["activityType"]),
                    "cause": "ACTIVITY_TYPE_DOES_NOT_EXIST",
                    "decisionTaskCompletedEventId": completed,
                },
            )
            self._timers.append((-1, "refused"))
            return
        event = self._event(
            "ActivityTaskScheduled",
            {
                "control": None,
                "heartbeatTimeout": None,
                "scheduleToCloseTimeout": None,
                "scheduleToStartTimeout": None,
                "startToCloseTimeout": None,
                **attributes,
                "taskList": attributes.get("taskList", {"name": "default"}),
                "decisionTaskCompletedEventId": completed,
            },
        )
        self._open.append((event, attributes))

    def advance(self) -> bool:
        """Process what is open and schedule the next decision; return False if nothing is open."""
        ended = False
        for event, timer_id in self._take(self._timers):
            ended = True
            if event > 0:
                self._event("TimerFired", {"startedEventId": event, "timerId": timer_id})
        for event, attributes in self._take(self._signals):
            ended = True
            execution = {"workflowId": attributes["workflowId"], "runId": attributes.get("runId")}
            self._event(
                "ExternalWorkflowExecutionSignaled", {"initiatedEventId": event, "workflowExecution": execution}
            )
            self._event(
                "WorkflowExecutionSignaled",
                {
                    "signalName": attributes["signalName"],
                    "input": attributes.get("input"),
                    "externalInitiatedEventId": event,
                    "externalWorkflowExecution": execution,
                },
            )
        ending = self._open[:1] if self.one_at_a_time else list(self._open)
        del self._open[: len(ending)]
        for event, attributes in ending:
            ended = True
            self._end_activity(event, attributes)
        if ended:
            self.history.add_decision_task_scheduled()
            self.history.add_decision_task_started(self.history.last_id)
        return ended

    def _end_activity(self, scheduled: int, attributes: dict[str, Any]) -> None:
        started = self._event("ActivityTaskStarted", {"scheduledEventId": scheduled, "identity": "simulated"})
        given = json.loads(attributes["input"])
        name = attributes["activityType"]["name"]
        ids = {"scheduledEventId": scheduled, "startedEventId": started}
        self.calls.append((name.rpartition(".")[2], given["args"]))
        try:
            result = self.play(self, name, given["args"], given["kwargs"])
        except ActivityError as error:
            self._event("ActivityTaskFailed", {**ids, "reason": str(error), "details": error.details})
        else:
            text = json.dumps(result, separators=(",", ":"))
            assert len(text) <= 32_768, f"the result of {name} has {len(text)} characters"
            self._event("ActivityTaskCompleted", {**ids, "result": text})

    def signal(self, name: str, value: Any = None) -> None:
        """A signal from outside, between two decisions."""
        self._event("WorkflowExecutionSignaled", {"signalName": name, "input": json.dumps(value)})
        self.history.add_decision_task_scheduled()
        self.history.add_decision_task_started(self.history.last_id)

    @staticmethod
    def _take(what: list[Any]) -> list[Any]:
        taken = list(what)
        what.clear()
        return taken

    def _event(self, kind: str, attributes: dict[str, Any]) -> int:
        number = len(self.history.events) + 1
        assert number <= MAX_HISTORY_EVENTS, "SWF ends an execution whose history is longer"
        key = f"{kind[0].lower()}{kind[1:]}EventAttributes"
        self.history.events.append(
            EventFactory({"eventId": number, "eventType": kind, "eventTimestamp": 1.0 * number, key: attributes})
        )
        return number


_serial = itertools.count()


def workflow_class(*bases: Any, run: Callable[..., Any], **attributes: Any) -> Any:
    """A workflow class with all that simpleflow's history needs."""
    number = next(_serial)
    namespace = {
        "name": f"simulated-{number}",
        "version": "1",
        "task_list": "simulated-list",
        "decision_tasks_timeout": "300",
        "execution_timeout": "3600",
        "run": run,
        "get_step_bucket": lambda self: "simulated-bucket",
        **attributes,
    }
    return type(f"Simulated{number}", bases, namespace)
