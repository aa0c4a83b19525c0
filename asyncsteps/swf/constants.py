"""The defaults of the activities of steps, as in ``simpleflow.step.constants``."""

from typing import Any

__all__ = ["STEP_ACTIVITY_PARAMS_DEFAULT", "UNKNOWN_CONTEXT"]

_MINUTE = 60
_HOUR = 60 * _MINUTE

STEP_ACTIVITY_PARAMS_DEFAULT: dict[str, Any] = {
    "schedule_to_start_timeout": 4 * _HOUR,
    "start_to_close_timeout": 1 * _MINUTE,
    "schedule_to_close_timeout": 4 * _HOUR + _MINUTE,
    "heartbeat_timeout": 3 * _MINUTE,
    "task_priority": 100,
    "version": "1.0",
    "idempotent": True,
    "raises_on_failure": True,
    "retry": 1,
}
"""Parameters of the listing, marking and withdrawing activities (seconds), the same as simpleflow's."""

UNKNOWN_CONTEXT = {"run_id": "unknown", "workflow_id": "unknown", "version": "unknown"}
"""What a done mark records when its task runs outside of an execution, as in simpleflow."""
