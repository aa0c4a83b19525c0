"""Resume, force and skip the steps of long workflows, on asyncio.

Names are imported at their first use, so that the command's ``--help`` does not wait for what it does not need.
"""

import importlib
import typing

from asyncsteps._errors import (
    AccessDeniedError,
    ActivityCancelledError,
    ActivityTimeoutError,
    AsyncstepsError,
    BucketNotFoundError,
    ClockSkewError,
    EndpointUnreachableError,
    ListingError,
    MissingExtraError,
    NoCurrentStepError,
    RecordError,
    RunClosedError,
    RunExistsError,
    RunningLoopError,
    RunNotEndedError,
    RunStopped,
    SelectorError,
    StepDeadlockError,
    StepDefinitionError,
    StepFailedError,
    StepNameError,
    StepNoteError,
    StepResultError,
    StoreClosedError,
    StoreError,
    StoreOptionError,
    StoreURLError,
    ThrottledError,
    WorkflowIdError,
    WrongRegionError,
)

if typing.TYPE_CHECKING:
    from asyncsteps import events as events
    from asyncsteps import journal as journal
    from asyncsteps._plan.model import STEP_MARKER, Action, Marker, Status, StepOutcome
    from asyncsteps._run.dry_run import Plan, PlannedStep
    from asyncsteps._run.run import StepRun
    from asyncsteps._run.workflow import Workflow, WorkflowOutcome
    from asyncsteps._runs.handle import RunHandle, RunSnapshot, RunState
    from asyncsteps._runs.runs import Runs
    from asyncsteps._tasks.activity import Activity, ActivityTask
    from asyncsteps._tasks.attributes import ActivityAttributes
    from asyncsteps._tasks.canvas import Chain, Group
    from asyncsteps._tasks.current import CurrentStep, current_step
    from asyncsteps._tasks.decorator import activity
    from asyncsteps._tasks.signals import MarkerTask, Signal, SignalTask, WaitForSignal
    from asyncsteps._tasks.step import Step
    from asyncsteps._tasks.submittable import Submittable
    from asyncsteps.store import DirectoryStore, MemoryStore, StepStore, open_store

    __version__: str

__all__ = [
    "STEP_MARKER",
    "AccessDeniedError",
    "Action",
    "Activity",
    "ActivityAttributes",
    "ActivityCancelledError",
    "ActivityTask",
    "ActivityTimeoutError",
    "AsyncstepsError",
    "BucketNotFoundError",
    "Chain",
    "ClockSkewError",
    "CurrentStep",
    "DirectoryStore",
    "EndpointUnreachableError",
    "Group",
    "ListingError",
    "Marker",
    "MarkerTask",
    "MemoryStore",
    "MissingExtraError",
    "NoCurrentStepError",
    "Plan",
    "PlannedStep",
    "RecordError",
    "RunClosedError",
    "RunExistsError",
    "RunHandle",
    "RunNotEndedError",
    "RunSnapshot",
    "RunState",
    "RunStopped",
    "RunningLoopError",
    "Runs",
    "SelectorError",
    "Signal",
    "SignalTask",
    "Status",
    "Step",
    "StepDeadlockError",
    "StepDefinitionError",
    "StepFailedError",
    "StepNameError",
    "StepNoteError",
    "StepOutcome",
    "StepResultError",
    "StepRun",
    "StepStore",
    "StoreClosedError",
    "StoreError",
    "StoreOptionError",
    "StoreURLError",
    "Submittable",
    "ThrottledError",
    "WaitForSignal",
    "Workflow",
    "WorkflowIdError",
    "WorkflowOutcome",
    "WrongRegionError",
    "activity",
    "current_step",
    "open_store",
]

_MODULES = {
    "STEP_MARKER": "_plan.model",
    "Action": "_plan.model",
    "Activity": "_tasks.activity",
    "ActivityAttributes": "_tasks.attributes",
    "ActivityTask": "_tasks.activity",
    "Chain": "_tasks.canvas",
    "CurrentStep": "_tasks.current",
    "DirectoryStore": "store",
    "Group": "_tasks.canvas",
    "Marker": "_plan.model",
    "MarkerTask": "_tasks.signals",
    "MemoryStore": "store",
    "Plan": "_run.dry_run",
    "PlannedStep": "_run.dry_run",
    "RunHandle": "_runs.handle",
    "RunSnapshot": "_runs.handle",
    "RunState": "_runs.handle",
    "Runs": "_runs.runs",
    "Signal": "_tasks.signals",
    "SignalTask": "_tasks.signals",
    "Status": "_plan.model",
    "Step": "_tasks.step",
    "StepOutcome": "_plan.model",
    "StepRun": "_run.run",
    "StepStore": "store",
    "Submittable": "_tasks.submittable",
    "WaitForSignal": "_tasks.signals",
    "Workflow": "_run.workflow",
    "WorkflowOutcome": "_run.workflow",
    "activity": "_tasks.decorator",
    "current_step": "_tasks.current",
    "open_store": "store",
}
"""Where each name is, but for the errors."""

if not typing.TYPE_CHECKING:  # for type checkers, there is no name but those above

    def __getattr__(name: str) -> object:
        if name == "__version__":
            from importlib.metadata import version

            return version(__name__)
        if name in {"events", "journal", "store"}:  # public modules, there without an import of their own
            return importlib.import_module(f"{__name__}.{name}")
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
