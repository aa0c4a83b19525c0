"""Steps interpreted natively: the planner's phases, played one after the other on the event loop."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from asyncsteps._errors import StepDeadlockError, StepFailedError
from asyncsteps._plan.model import (
    Action,
    Decision,
    EmitSignal,
    ForceDependents,
    MarkDone,
    Phase,
    Play,
    RecordStatus,
    Status,
    StepOutcome,
    Withdraw,
)
from asyncsteps._run.done_marks import Finished
from asyncsteps._run.name_locks import NameLocks
from asyncsteps._run.parts import RunParts
from asyncsteps._run.played import Played
from asyncsteps._tasks.signals import Signal
from asyncsteps._tasks.step import Step
from asyncsteps._tasks.submittable import Submittable

_UNDECIDED = Decision(Action.RUN, forced=False)
"""What the marker of a step says that failed before it was decided."""


class _StepError(Exception):
    """The activities of a step failed, or ``infrastructure`` within them."""

    def __init__(self, error: Exception, *, infrastructure: bool = False) -> None:
        super().__init__(error)
        self.error = error
        self.infrastructure = infrastructure


@dataclass(slots=True)
class _Execution:
    """One submission of a step while it is played."""

    step: Step
    started: datetime
    done: bool = False
    decision: Decision = _UNDECIDED
    status: Status = Status.FAILED
    result: Any = None
    error: Exception | None = None
    infrastructure: bool = False
    cancelled: asyncio.CancelledError | None = None

    def outcome(self) -> StepOutcome:
        return StepOutcome(
            self.step.step_name,
            self.status,
            self.decision.forced,
            self.decision.reasons,
            self.result,
            self.error,
            self.started,
            datetime.now(UTC),
        )


class StepPlayer:
    """Plays the steps of one run.

    Args:
        parts: The parts of the run.
        play: Plays the submittables within steps.

    Attributes:
        locks: The names under way.
    """

    def __init__(self, parts: RunParts, play: Callable[[Submittable], Awaitable[Played]]) -> None:
        self._parts = parts
        self._play = play
        self.locks = NameLocks()

    async def play(self, step: Step) -> Played:
        """Play one submission of a step, once no other submission of its name is under way."""
        try:
            async with self.locks.hold(step.step_name):
                return await self._play_locked(_Execution(step, datetime.now(UTC)))
        except StepDeadlockError as error:
            return Played(None, error, infrastructure=True)

    async def _play_locked(self, execution: _Execution) -> Played:
        try:
            await self._decide_and_play(execution)
        except _StepError as failed:
            self._fail(execution, failed.error, infrastructure=failed.infrastructure)
        except Exception as error:  # noqa: BLE001 - activities' errors come as _StepError: it is the store's
            self._fail(execution, error, infrastructure=True)
        except BaseException:  # a cancellation, an interruption, or what an activity raised that is no Exception
            self._cancel(execution)
            raise
        played = self._played(execution)
        if execution.cancelled is not None:
            raise execution.cancelled
        return played

    def _played(self, execution: _Execution) -> Played:
        outcome, error = execution.outcome(), execution.error
        if error is None:
            return Played(outcome)
        if execution.infrastructure:
            self._parts.failures.add(error)
            return Played(outcome, error, infrastructure=True)
        failure = StepFailedError(execution.step.step_name, f"{type(error).__name__}: {error}")
        failure.__cause__ = error
        self._parts.failures.add(failure)
        return Played(outcome, failure if execution.step.bubbles_exception_on_failure else None)

    def _fail(self, execution: _Execution, error: Exception, *, infrastructure: bool) -> None:
        execution.status, execution.error, execution.infrastructure = Status.FAILED, error, infrastructure
        self._parts.planner.fail(execution.step.step_name)
        self._record(execution, error)

    def _cancel(self, execution: _Execution) -> None:
        execution.status = Status.CANCELLED
        self._parts.planner.fail(execution.step.step_name)
        if execution.decision is not _UNDECIDED:
            self._record(execution)

    def _record(self, execution: _Execution, error: Exception | None = None) -> None:
        phase = self._parts.planner.record(execution.step.rules, execution.decision, execution.status, error=error)
        self._parts.markers.record_step(phase, error=error)

    async def _decide_and_play(self, execution: _Execution) -> None:
        parts, step, rules = self._parts, execution.step, execution.step.rules
        execution.done = done = await parts.marks.is_done(rules.name)
        # From here to the first phase that awaits, nothing else runs: the decision, the dependents it forces and
        # the beginning are one moment.
        execution.decision = parts.planner.decide(rules, done=done)
        phases = parts.planner.phases(rules, execution.decision, done=done)
        if execution.decision.action is Action.SKIP and step.save_result and done and not rules.has_alternative:
            execution.result = await parts.marks.saved_result(rules.name)
        for phase in phases:
            await self._play_phase(execution, phase)

    async def _play_phase(self, execution: _Execution, phase: Phase) -> None:
        match phase:
            case RecordStatus(status=status):
                if status is Status.SCHEDULED:
                    self._parts.planner.begin(execution.step.step_name, outdated=execution.done)
                execution.status = status
                self._parts.markers.record_step(phase)
            case Play(what=what):
                await self._play_activities(execution, what)
            case MarkDone(name=name):
                await self._mark(execution, name)
            case ForceDependents(selectors=selectors, reason=reason):
                self._parts.planner.add_forced(selectors, reason)
            case Withdraw():
                await self._withdraw(execution, phase)
            case EmitSignal(name=name):
                self._parts.signals.send(Signal(name))

    async def _play_activities(self, execution: _Execution, what: str) -> None:
        step = execution.step
        if what == "activities":
            await self._parts.marks.withdrawals_ended(step.step_name)
            self._parts.planner.start(step.step_name)
        self._parts.lifetime.check_open()
        played = await self._play(getattr(step, what))
        if played.error is not None:
            raise _StepError(played.error, infrastructure=played.infrastructure)
        execution.result = played.value

    async def _mark(self, execution: _Execution, name: str) -> None:
        self._parts.lifetime.check_open()
        record = {**self._parts.identity, "marked_at": datetime.now(UTC).isoformat()}
        if execution.step.save_result:
            try:
                execution.result = record["result"] = self._parts.marks.savable(name, execution.result)
            except TypeError as error:
                raise _StepError(error) from None
        _conclude(execution, await self._parts.marks.mark(name, record))
        self._parts.planner.complete(name)

    async def _withdraw(self, execution: _Execution, phase: Withdraw) -> None:
        done = await self._parts.marks.matching(phase.dependents) if phase.dependents else []
        if phase.own is not None:
            done = [*done, phase.own]
        # The names are under withdrawal from the moment they are known: none of them begins in between unseen.
        names = self._parts.planner.invalidated(phase, done)
        _conclude(execution, await self._parts.marks.withdraw(execution.step.step_name, names))
        if execution.cancelled is not None:
            raise execution.cancelled


def _conclude(execution: _Execution, finished: Finished) -> None:
    execution.cancelled = finished.cancelled
    if finished.error is not None:
        raise finished.error
