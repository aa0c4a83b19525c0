"""A moto server whose SWF is closer to the real one, as `test_swf_processes.py` runs it in a process of its own.

- It takes the decision SignalExternalWorkflowExecution.
- The id of a closed activity is free again. moto refuses it for ever (``ACTIVITY_ID_ALREADY_IN_USE``), so that an
  activity that failed, and that simpleflow schedules again under its id, would never be played.
- Requests and timers take effect one after the other. moto's threads let two workers that poll at once start the
  same activity, and one of them start it anew after the other has completed it.
- It answers empty polls soon.
"""

import sys
import time
from threading import RLock, Timer
from typing import Any

import moto.swf.models as swf_models
from moto.server import main
from moto.swf.models import history_event, workflow_execution
from moto.swf.models.workflow_execution import WorkflowExecution
from moto.swf.responses import SWFResponse

EMPTY_POLL_SECONDS = 0.05
SIGNAL = "SignalExternalWorkflowExecution"

supported: Any = history_event
supported.SUPPORTED_HISTORY_EVENT_TYPES += (
    "SignalExternalWorkflowExecutionInitiated",
    "ExternalWorkflowExecutionSignaled",
)
plain_handle_decisions = WorkflowExecution.handle_decisions
plain_schedule_activity_task = WorkflowExecution.schedule_activity_task
plain_call_action = SWFResponse.call_action
one_at_a_time = RLock()


def handle_decisions(self: WorkflowExecution, event_id: int, decisions: list[dict[str, Any]]) -> None:
    """As moto does, one after the other, and the signals among them."""
    for decision in decisions:
        if decision["decisionType"] == SIGNAL:
            send_signal(self, event_id, decision[f"s{SIGNAL[1:]}DecisionAttributes"])
        else:
            self.open_counts["openDecisionTasks"] += 1
            plain_handle_decisions(self, event_id, [decision])
    self.open_counts["openDecisionTasks"] -= 1


def send_signal(execution: WorkflowExecution, event_id: int, attributes: dict[str, Any]) -> None:
    initiated = execution._add_event(
        f"{SIGNAL}Initiated",
        decision_task_completed_event_id=event_id,
        signal_name=attributes["signalName"],
        workflow_id=attributes["workflowId"],
        run_id=attributes.get("runId"),
        input=attributes.get("input"),
    )
    target = next(
        other
        for other in execution.domain.workflow_executions
        if other.open
        and other.workflow_id == attributes["workflowId"]
        and attributes.get("runId") in {None, other.run_id}
    )
    execution._add_event(
        "ExternalWorkflowExecutionSignaled",
        initiated_event_id=initiated.event_id,
        workflow_execution={"workflowId": target.workflow_id, "runId": target.run_id},
    )
    execution.schedule_decision_task()
    target.signal(attributes["signalName"], attributes["input"])


def schedule_activity_task(self: WorkflowExecution, event_id: int, attributes: dict[str, Any]) -> None:
    """As moto does, once the id is taken from the closed activities that had it."""
    for activity in self.activity_tasks:
        if not activity.open and activity.activity_id == attributes["activityId"]:
            activity.activity_id += " (closed)"
    plain_schedule_activity_task(self, event_id, attributes)


def call_action(self: SWFResponse) -> Any:
    with one_at_a_time:
        return plain_call_action(self)


def wait_in_poll(_: float) -> None:
    """Called within `call_action`, after which moto answers that it found nothing."""
    one_at_a_time.release()
    time.sleep(EMPTY_POLL_SECONDS)
    one_at_a_time.acquire()


class OrderlyTimer(Timer):
    """A timer that fires between two requests."""

    def run(self) -> None:
        self.finished.wait(self.interval)
        with one_at_a_time:
            if not self.finished.is_set():
                self.function(*self.args, **self.kwargs)
            self.finished.set()


if __name__ == "__main__":
    for module, name, value in (
        (swf_models, "sleep", wait_in_poll),
        (workflow_execution, "ThreadingTimer", OrderlyTimer),
        (SWFResponse, "call_action", call_action),
        (WorkflowExecution, "handle_decisions", handle_decisions),
        (WorkflowExecution, "schedule_activity_task", schedule_activity_task),
    ):
        assert hasattr(module, name)
        setattr(module, name, value)
    main(sys.argv[1:])
