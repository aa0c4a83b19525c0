"""Steps on Amazon SWF, through simpleflow: the drop-in mixin, the bridge, and the async client.

Everything here needs the extra ``swf``. Names are imported at their first use: a service that only wants
`SwfClient` does not import simpleflow, which would configure its logging.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from asyncsteps._errors import MissingExtraError
from asyncsteps.swf._errors import (
    BridgeClosedError,
    BridgeDeadlockError,
    DoneListError,
    LoopThreadError,
    NotConvertibleError,
    RunSyncTimeoutError,
    SimpleflowVersionError,
    SyncLoopClosedError,
)
from asyncsteps.swf._logging import import_simpleflow

if TYPE_CHECKING:
    from asyncsteps.swf import constants, tasks, utils
    from asyncsteps.swf._bridge.bridge import SimpleflowBridge
    from asyncsteps.swf._client.client import SwfClient
    from asyncsteps.swf._client.errors import (
        ExecutionAlreadyStartedError,
        ExecutionCanceledError,
        ExecutionContinuedAsNewError,
        ExecutionError,
        ExecutionFailedError,
        ExecutionNotFoundError,
        ExecutionTerminatedError,
        ExecutionTimedOutError,
        SwfAccessDeniedError,
        SwfClientClosedError,
        SwfDomainNotFoundError,
        SwfError,
        SwfInputError,
        SwfLimitError,
        SwfThrottledError,
        SwfUnreachableError,
        WorkflowTypeExistsError,
        WorkflowTypeNotFoundError,
    )
    from asyncsteps.swf._client.execution import Execution
    from asyncsteps.swf._client.records import (
        CloseStatus,
        Closure,
        DomainInfo,
        ExecutionInfo,
        HistoryEvent,
        JumboField,
        Pending,
    )
    from asyncsteps.swf._doctor.check import Check
    from asyncsteps.swf._doctor.diagnosis import diagnose
    from asyncsteps.swf._steps.mixin import WorkflowStepMixin
    from asyncsteps.swf._steps.step import Step, to_simpleflow

__all__ = [
    "BridgeClosedError",
    "BridgeDeadlockError",
    "Check",
    "CloseStatus",
    "Closure",
    "DomainInfo",
    "DoneListError",
    "Execution",
    "ExecutionAlreadyStartedError",
    "ExecutionCanceledError",
    "ExecutionContinuedAsNewError",
    "ExecutionError",
    "ExecutionFailedError",
    "ExecutionInfo",
    "ExecutionNotFoundError",
    "ExecutionTerminatedError",
    "ExecutionTimedOutError",
    "HistoryEvent",
    "JumboField",
    "LoopThreadError",
    "NotConvertibleError",
    "Pending",
    "RunSyncTimeoutError",
    "SimpleflowBridge",
    "SimpleflowVersionError",
    "Step",
    "SwfAccessDeniedError",
    "SwfClient",
    "SwfClientClosedError",
    "SwfDomainNotFoundError",
    "SwfError",
    "SwfInputError",
    "SwfLimitError",
    "SwfThrottledError",
    "SwfUnreachableError",
    "SyncLoopClosedError",
    "WorkflowStepMixin",
    "WorkflowTypeExistsError",
    "WorkflowTypeNotFoundError",
    "constants",
    "diagnose",
    "tasks",
    "to_simpleflow",
    "utils",
]

_OVER_SIMPLEFLOW = {
    "SimpleflowBridge": "_bridge.bridge",
    "Step": "_steps.step",
    "WorkflowStepMixin": "_steps.mixin",
    "tasks": "tasks",
    "to_simpleflow": "_steps.step",
}
"""Names whose modules import simpleflow."""

_OF_THE_CLIENT = {
    "Check": "_doctor.check",
    "CloseStatus": "_client.records",
    "Closure": "_client.records",
    "DomainInfo": "_client.records",
    "Execution": "_client.execution",
    "ExecutionInfo": "_client.records",
    "HistoryEvent": "_client.records",
    "JumboField": "_client.records",
    "Pending": "_client.records",
    "SwfClient": "_client.client",
    "diagnose": "_doctor.diagnosis",
}
"""Names whose modules import botocore alone, beside the client's errors."""

_MODULES = {"constants", "tasks", "utils"}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    try:
        if name in _OVER_SIMPLEFLOW:
            import_simpleflow()
        in_a_module = name if name in _MODULES else "_client.errors"
        module = import_module(f"{__name__}.{(_OVER_SIMPLEFLOW | _OF_THE_CLIENT).get(name, in_a_module)}")
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != "simpleflow":
            raise
        raise MissingExtraError("swf", f"asyncsteps.swf.{name}") from error
    return module if name in _MODULES else getattr(module, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
