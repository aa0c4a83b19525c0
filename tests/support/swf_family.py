"""Simulated SWF with several executions: child workflows, repairs of what failed, one bucket for all."""

import json
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

from simpleflow.history import History
from simpleflow.swf.executor import Executor
from swf_simulator import SimulatedSwf, play_activity


class KeyedBucket:
    """Plays the activities of steps on done names kept by prefix; the others as simulated."""

    def __init__(self) -> None:
        self.done: defaultdict[str, set[str]] = defaultdict(set)

    def __call__(self, swf: SimulatedSwf, name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        if not name.endswith("DoneTask"):
            return play_activity(swf, name, args, kwargs)
        swf.done = self.done[args[1]]
        result = play_activity(swf, name, args, kwargs)
        self.done[args[1]] = swf.done
        return result


@dataclass
class FamilySwf(SimulatedSwf):
    """One execution, and the child workflows that it starts, each of which is played to its end at once.

    Attributes:
        workflow_id: Its workflow id.
        kin: The workflow classes by the names of their types.
        children: The executions of child workflows, in order of their start.
    """

    workflow_id: str = "parent"
    kin: dict[str, Any] = field(default_factory=dict)
    children: list["FamilySwf"] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.execution.workflow_id = self.workflow_id
        self._starting: list[tuple[int, dict[str, Any]]] = []

    def _apply(self, decision: dict[str, Any], completed: int, *, last: bool) -> None:
        if decision["decisionType"] != "StartChildWorkflowExecution":
            super()._apply(decision, completed, last=last)
            return
        attributes = decision["startChildWorkflowExecutionDecisionAttributes"]
        given = {"control": None, "tagList": None, "taskList": {"name": "none"}, "childPolicy": "TERMINATE"}
        timeouts = {"executionStartToCloseTimeout": "60", "taskStartToCloseTimeout": "60"}
        event = self._event(
            "StartChildWorkflowExecutionInitiated",
            {**given, **timeouts, **attributes, "decisionTaskCompletedEventId": completed},
        )
        self._starting.append((event, attributes))

    def advance(self) -> bool:
        started = self._take(self._starting)
        for event, attributes in started:
            self._play_child(event, attributes)
        if super().advance():
            return True
        if started:
            self.history.add_decision_task_scheduled()
            self.history.add_decision_task_started(self.history.last_id)
        return bool(started)

    def _play_child(self, initiated: int, attributes: dict[str, Any]) -> None:
        kind, workflow_id = dict(attributes["workflowType"]), attributes["workflowId"]
        child = FamilySwf(
            self.kin[kind["name"]],
            json.loads(attributes["input"]),
            activities=self.activities,
            play=self.play,
            workflow_id=workflow_id,
            kin=self.kin,
        )
        about = {
            "initiatedEventId": initiated,
            "workflowType": kind,
            "workflowExecution": {"workflowId": workflow_id, "runId": "child-run"},
        }
        started = self._event("ChildWorkflowExecutionStarted", about)
        self.children.append(child)
        child.run()
        ended = {"completed": "Completed", "failed": "Failed"}[child.status]
        self._event(f"ChildWorkflowExecution{ended}", {**about, "startedEventId": started, **child.result})


@contextmanager
def repaired(
    swf: SimulatedSwf, former: SimulatedSwf, *, force_activities: str | None = None
) -> Iterator[SimulatedSwf]:
    """An execution that repairs a former one, as ``simpleflow standalone --repair`` has it.

    simpleflow schedules what the former execution has completed on a task list of its own, and starts a process
    that answers with the former result.
    """
    history = History(former.history)
    history.parse()
    swf.executor = Executor(
        swf.executor.domain,
        swf.workflow,
        repair_with=history,
        force_activities=force_activities,
        repair_workflow_id=former.execution.workflow_id,
        repair_run_id=former.execution.run_id,
    )
    swf.executor.create_activity_type = lambda name, version: None
    fakes: dict[str, dict[str, Any]] = {}

    def answer(domain: str, task_list: str, event: dict[str, Any]) -> None:
        fakes[task_list] = event

    plain = swf._end_activity

    def end_activity(scheduled: int, attributes: dict[str, Any]) -> None:
        fake = fakes.get((attributes.get("taskList") or {}).get("name", ""))
        if fake is None:
            plain(scheduled, attributes)
            return
        started = swf._event("ActivityTaskStarted", {"scheduledEventId": scheduled, "identity": "fake"})
        ids = {"scheduledEventId": scheduled, "startedEventId": started}
        swf._event("ActivityTaskCompleted", {**ids, "result": fake["result"]})

    with (
        patch("simpleflow.swf.executor.run_fake_task_worker", answer),
        patch.object(swf, "_end_activity", end_activity),
    ):
        yield swf
