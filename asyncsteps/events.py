"""What happens in a run, as `StepRun` gives it to the callables of ``on_event``; docs/events.md has the table."""

from asyncsteps._events.base import Event
from asyncsteps._events.of_activities import ActivityEvent, AttemptEnded, AttemptStarted, StepNoted, StepRetrying
from asyncsteps._events.of_runs import (
    EventsDropped,
    MarkerRecorded,
    RunEnded,
    RunStarted,
    SelectorAdded,
    SignalSent,
)
from asyncsteps._events.of_steps import (
    StepCancelled,
    StepCompleted,
    StepDecided,
    StepEvent,
    StepFailed,
    StepForces,
    StepQueued,
    StepScheduled,
    StepSkipped,
    StepStarted,
    StepWithdrawing,
)
from asyncsteps._events.of_stores import StoreCalled, StoreListed, StoreMarked, StoreRead, StoreWithdrawn

__all__ = [
    "ActivityEvent",
    "AttemptEnded",
    "AttemptStarted",
    "Event",
    "EventsDropped",
    "MarkerRecorded",
    "RunEnded",
    "RunStarted",
    "SelectorAdded",
    "SignalSent",
    "StepCancelled",
    "StepCompleted",
    "StepDecided",
    "StepEvent",
    "StepFailed",
    "StepForces",
    "StepNoted",
    "StepQueued",
    "StepRetrying",
    "StepScheduled",
    "StepSkipped",
    "StepStarted",
    "StepWithdrawing",
    "StoreCalled",
    "StoreListed",
    "StoreMarked",
    "StoreRead",
    "StoreWithdrawn",
]
