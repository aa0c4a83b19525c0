"""Events of steps."""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from asyncsteps._events.base import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class StepEvent(Event):
    """Something that happened to a step.

    Attributes:
        step: The step's name.
    """

    step: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepQueued(StepEvent):
    """A step was submitted, and no other of its name is under way. One event of its end follows."""

    kind: ClassVar[str] = "step.queued"


@dataclass(frozen=True, slots=True, kw_only=True)
class StepStarted(StepEvent):
    """The first activity of a step begins to run.

    Attributes:
        activity: The activity's name.
    """

    kind: ClassVar[str] = "step.started"

    activity: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepDecided(StepEvent):
    """A step was decided, or has ended; the classes below it tell which.

    Attributes:
        forced: Whether the decision was forced.
        reasons: Its reasons.
        queued: When the step was submitted, in UTC.
        started: When its first activity began, in UTC; None where none did.
        queue_seconds: How long it waited for its first activity, or until now if none has begun.
        seconds: How long it has run since its first activity began; None where none did.
        attempts: The most attempts that one of its activities has taken so far.
    """

    forced: bool
    reasons: tuple[str, ...]
    queued: datetime | None
    started: datetime | None
    queue_seconds: float | None
    seconds: float | None
    attempts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StepScheduled(StepDecided):
    """It was decided that a step is played."""

    kind: ClassVar[str] = "step.scheduled"


@dataclass(frozen=True, slots=True, kw_only=True)
class StepSkipped(StepDecided):
    """A step was skipped, and what replaces its activities was played if there is such."""

    kind: ClassVar[str] = "step.skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class StepCompleted(StepDecided):
    """A step was played and is marked as done."""

    kind: ClassVar[str] = "step.completed"


@dataclass(frozen=True, slots=True, kw_only=True)
class StepFailed(StepDecided):
    """A step failed.

    Attributes:
        error: Why.
    """

    kind: ClassVar[str] = "step.failed"

    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepCancelled(StepDecided):
    """A step was cancelled."""

    kind: ClassVar[str] = "step.cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class StepWithdrawing(StepEvent):
    """The done marks that playing a step makes stale are about to be withdrawn.

    Attributes:
        names: The steps whose marks are withdrawn.
    """

    kind: ClassVar[str] = "step.withdrawing"

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StepForces(StepEvent):
    """A step is played, which forces its dependents.

    Attributes:
        selectors: The selectors of the dependents.
    """

    kind: ClassVar[str] = "step.forces"

    selectors: tuple[str, ...]
