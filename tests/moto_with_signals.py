"""A moto server whose SWF also takes the decision SignalExternalWorkflowExecution, and answers empty polls soon.

Run as a script by `test_swf_processes.py`; what it writes is what ``moto_server`` writes.
"""

import sys
import time
from typing import Any

import moto.swf.models as swf_models
from moto.server import main
from moto.swf.models import history_event
from moto.swf.models.workflow_execution import WorkflowExecution

EMPTY_POLL_SECONDS = 0.05
SIGNAL = "SignalExternalWorkflowExecution"

supported: Any = history_event
supported.SUPPORTED_HISTORY_EVENT_TYPES += (
    "SignalExternalWorkflowExecutionInitiated",
    "ExternalWorkflowExecutionSignaled",
)
plain_handle_decisions = WorkflowExecution.handle_decisions


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


if __name__ == "__main__":
    polled: Any = swf_models
    polled.sleep = lambda _: time.sleep(EMPTY_POLL_SECONDS)
    WorkflowExecution.handle_decisions = handle_decisions  # type: ignore[method-assign]
    main(sys.argv[1:])
