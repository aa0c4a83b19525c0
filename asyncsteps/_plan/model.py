"""The frozen records of steps: definition, decision, phases, markers, outcomes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Generic, Literal, NamedTuple, cast

from typing_extensions import TypeVar

T_co = TypeVar("T_co", covariant=True, default=Any)

STEP_MARKER = "log.step"
"""The name of the markers that record decisions about steps, and their reasons."""


class Status(StrEnum):
    """The status of a step, in its markers and its outcome."""

    SCHEDULED = "scheduled"
    COMPLETED = "completed"
    SKIPPED = "skipped"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Action(StrEnum):
    """The decision for one submission of a step."""

    RUN = "run"
    SKIP = "skip"


class StepRules(NamedTuple):
    """What the planner knows of a step: everything but its activities.

    Attributes:
        name: The step's name.
        force: Whether this submission is forced.
        has_alternative: Whether there are ``activities_if_step_already_done``.
        emit_signal: Whether the signal ``step.{name}`` is sent at the end.
        force_steps_if_executed: Selectors of the dependents.
    """

    name: str
    force: bool = False
    has_alternative: bool = False
    emit_signal: bool = False
    force_steps_if_executed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Decision:
    """One submission's decision: run or skip, whether that was forced, and the reasons in their fixed order."""

    action: Action
    forced: bool
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ForceDependents:
    """Phase: force the steps that the selectors match, for ``reason``."""

    selectors: tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class RecordStatus:
    """Phase: record the marker `STEP_MARKER` with ``details``."""

    status: Status
    details: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Withdraw:
    """Phase: withdraw the done marks that playing the step makes stale.

    Attributes:
        own: The step's own name if it is done and forced, else None.
        dependents: Selectors of the done steps to withdraw.
    """

    own: str | None
    dependents: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Play:
    """Phase: play the step's activities, or what replaces them when it is skipped."""

    what: Literal["activities", "activities_if_step_already_done"]


@dataclass(frozen=True, slots=True)
class MarkDone:
    """Phase: record the step as done in the store."""

    name: str


@dataclass(frozen=True, slots=True)
class EmitSignal:
    """Phase: send the signal ``name``, with no propagation."""

    name: str


Phase = ForceDependents | RecordStatus | Withdraw | Play | MarkDone | EmitSignal
"""One phase of a step."""


@dataclass(frozen=True, slots=True)
class Marker:
    """A recorded marker.

    Attributes:
        name: `STEP_MARKER` for a step's own, or the user's.
        details: JSON values; for a step ``{"step", "status", "forced", "reasons"}``, and natively ``"error"``
            when it failed.
        at: When it was recorded, in UTC. For ``scheduled`` that is when the step was decided: from then on it may
            wait for a slot.
        started: When the step's first activity began to run, in UTC; None in other markers, and where none did.
        queued: When the step was submitted, in UTC; None in other markers.
        attempts: The most attempts that one of the step's activities has taken so far; 0 where none began.
        run_id: The run's id.
        workflow_id: The workflow's id.
        was_done: Whether the step was done when it was decided, or until this run withdrew its mark; None in other
            markers.
    """

    name: str
    details: Any
    at: datetime
    started: datetime | None = None
    queued: datetime | None = None
    attempts: int = 0
    run_id: str | None = None
    workflow_id: str | None = None
    was_done: bool | None = None

    @property
    def queue_seconds(self) -> float | None:
        """How long the step waited for its first activity to begin, or until now if none has; None in others."""
        return None if self.queued is None else ((self.started or self.at) - self.queued).total_seconds()

    @property
    def seconds(self) -> float | None:
        """How long the step has run since its first activity began; None where none did."""
        return None if self.started is None else (self.at - self.started).total_seconds()


@dataclass(frozen=True, slots=True, kw_only=True)
class StepOutcome(Generic[T_co]):
    """The outcome of one submission of a step.

    ``StepOutcome[T]`` is that of a step whose activities return a ``T``.

    Attributes:
        step: The step's name.
        status: ``completed``, ``skipped`` or ``failed``.
        forced: Whether the decision was forced.
        reasons: Why it was decided so, in their fixed order.
        error: The failure, or None. Reading it never raises.
        queued: When the step was submitted, in UTC.
        started: When its first activity began to run, in UTC; where none did, when it was decided.
        finished: When its last phase ended, in UTC.
        problem: What reading `result` raises, or None.
    """

    step: str
    status: Status
    forced: bool
    reasons: tuple[str, ...]
    queued: datetime
    started: datetime
    finished: datetime
    error: BaseException | None = None
    problem: Exception | None = field(default=None, repr=False)
    _value: T_co = field(default=cast("Any", None), repr=False)

    @property
    def result(self) -> T_co:
        """What the activities, or the alternative activities, returned; or the saved result.

        Raises:
            StepFailedError: When the step failed, as for a future. `error` does not raise.
            RecordError: When the step was skipped and its saved result cannot be read.
        """
        if self.problem is not None:
            raise self.problem.with_traceback(None)
        return self._value

    @property
    def has_result(self) -> bool:
        """Whether `result` can be read."""
        return self.problem is None
