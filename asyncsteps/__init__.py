"""Resume, force and skip the steps of long workflows, on asyncio."""

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
    RecordError,
    RunClosedError,
    RunningLoopError,
    SelectorError,
    StepDeadlockError,
    StepDefinitionError,
    StepFailedError,
    StepNameError,
    StepResultError,
    StoreClosedError,
    StoreError,
    StoreOptionError,
    StoreURLError,
    ThrottledError,
    WorkflowIdError,
    WrongRegionError,
)
from asyncsteps._plan.model import STEP_MARKER, Action, Marker, Status, StepOutcome
from asyncsteps._run.dry_run import Plan, PlannedStep
from asyncsteps._run.run import StepRun
from asyncsteps._run.workflow import Workflow, WorkflowOutcome
from asyncsteps._tasks.activity import Activity, ActivityTask
from asyncsteps._tasks.attributes import ActivityAttributes
from asyncsteps._tasks.canvas import Chain, Group
from asyncsteps._tasks.decorator import activity
from asyncsteps._tasks.signals import MarkerTask, Signal, SignalTask, WaitForSignal
from asyncsteps._tasks.step import Step
from asyncsteps._tasks.submittable import Submittable
from asyncsteps.store import DirectoryStore, MemoryStore, StepStore, open_store

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
    "DirectoryStore",
    "EndpointUnreachableError",
    "Group",
    "ListingError",
    "Marker",
    "MarkerTask",
    "MemoryStore",
    "MissingExtraError",
    "Plan",
    "PlannedStep",
    "RecordError",
    "RunClosedError",
    "RunningLoopError",
    "SelectorError",
    "Signal",
    "SignalTask",
    "Status",
    "Step",
    "StepDeadlockError",
    "StepDefinitionError",
    "StepFailedError",
    "StepNameError",
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
    "open_store",
]


def __getattr__(name: str) -> str:
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib.metadata import version

    return version("asyncsteps")
