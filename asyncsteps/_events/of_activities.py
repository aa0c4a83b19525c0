"""Events of activities, in steps and outside of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from asyncsteps._events.base import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivityEvent(Event):
    """Something that happened to an activity.

    Attributes:
        step: The innermost step that it is played in, or None.
        activity: The activity's name.
    """

    step: str | None
    activity: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptStarted(ActivityEvent):
    """An attempt at an activity begins, in its slot.

    Attributes:
        attempt: Its number, from 1.
    """

    kind: ClassVar[str] = "attempt.started"

    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptEnded(ActivityEvent):
    """An attempt at an activity has ended.

    Attributes:
        attempt: Its number, from 1.
        error: Why it failed, or how it was cancelled; None when it succeeded.
    """

    kind: ClassVar[str] = "attempt.ended"

    attempt: int
    error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRetrying(ActivityEvent):
    """An attempt at an activity has failed, and another one follows.

    Attributes:
        attempt: Which attempt failed.
        of: How many there may be.
        error: Why it failed.
    """

    kind: ClassVar[str] = "step.retrying"

    attempt: int
    of: int
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepNoted(ActivityEvent):
    """An attempt that has succeeded has left notes.

    Attributes:
        notes: The notes, as the journal has them.
    """

    kind: ClassVar[str] = "step.noted"

    notes: Mapping[str, Any]
