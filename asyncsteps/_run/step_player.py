"""Plays steps natively: the planner's phases, one after the other."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from asyncsteps._errors import RecordError, StepFailedError, error_text
from asyncsteps._journal.texts import collapsed, shortened
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
from asyncsteps._run.described import activity_of, host
from asyncsteps._run.done_marks import Finished
from asyncsteps._run.name_locks import NameLock, NameLocks
from asyncsteps._run.parts import RunParts
from asyncsteps._run.played import Played
from asyncsteps._tasks.signals import Signal
from asyncsteps._tasks.step import Step
from asyncsteps._tasks.submittable import Submittable

_UNDECIDED = Decision(Action.RUN, forced=False)
"""Stands in for the decision of a step that failed before it was decided."""


class _StepError(Exception):
    """A step's activities failed; ``infrastructure`` as in `Played`."""

    def __init__(self, error: Exception, *, infrastructure: bool = False) -> None:
        super().__init__(error)
        self.error = error
        self.infrastructure = infrastructure


@dataclass(slots=True)
class _Execution:
    """One submission of a step under way."""

    step: Step
    lock: NameLock
    queued: datetime
    decided: datetime | None = None
    recorded: datetime | None = None
    done: bool = False
    decision: Decision = _UNDECIDED
    status: Status = Status.FAILED
    result: Any = None
    problem: Exception | None = None
    cancelled: asyncio.CancelledError | None = None

    def outcome(self, error: Exception | None = None) -> StepOutcome:
        finished = self.recorded or datetime.now(UTC)
        return StepOutcome(
            step=self.step.rules.name,
            status=self.status,
            forced=self.decision.forced,
            reasons=self.decision.reasons,
            queued=self.queued,
            started=self.lock.started or self.decided or finished,
            finished=finished,
            error=error,
            _value=self.result,
            problem=self.problem,
        )


class StepPlayer:
    """Plays the steps of one run; ``play`` plays the submittables within them."""

    def __init__(self, parts: RunParts, play: Callable[[Submittable], Awaitable[Played]]) -> None:
        self._parts = parts
        self._play = play
        events = self._events = parts.events
        self.locks = NameLocks(parts.lifetime, None if events is None else events.step_started)
        self._withdrawn: set[str] = set()

    async def play(self, step: Step) -> Played:
        """Play one submission of a step, after any other submission of its name.

        Raises:
            StepDeadlockError: When they would wait for each other.
        """
        queued, turn = datetime.now(UTC), self._parts.turns.number
        with await self.locks.acquire(step.rules.name) as lock:
            if self._events is not None:
                self._events.step_queued(step.rules.name, queued)
            execution = _Execution(step, lock, queued)
            try:
                for phase in await self._decide(execution, turn):
                    if isinstance(phase, RecordStatus):
                        self._record_status(execution, phase)
                    else:
                        await self._play_phase(execution, phase)
            except _StepError as failed:
                played = self._fail(execution, failed.error, infrastructure=failed.infrastructure)
            except Exception as error:  # noqa: BLE001 - activities' errors come as _StepError: it is the store's
                played = self._fail(execution, error, infrastructure=True)
            except (
                BaseException
            ):  # a cancellation, an interruption, or what an activity raised that is no Exception
                self._cancel(execution)
                raise
            else:
                played = Played(execution.outcome())
            if execution.cancelled is not None:
                raise execution.cancelled
            return played

    def _fail(self, execution: _Execution, error: Exception, *, infrastructure: bool) -> Played:
        name = execution.step.rules.name
        execution.status = Status.FAILED
        self._parts.planner.fail(name)
        self._record_end(execution, error)
        execution.problem = failure = StepFailedError(name, error_text(error))
        failure.__cause__ = error
        self._parts.failures.add(failure)
        outcome = execution.outcome(error)
        if infrastructure:
            return Played(outcome, error, infrastructure=True)
        return Played(outcome, failure if execution.step.bubbles_exception_on_failure else None)

    def _cancel(self, execution: _Execution) -> None:
        execution.status = Status.CANCELLED
        self._parts.planner.fail(execution.step.rules.name)
        if execution.decision is not _UNDECIDED:
            self._record_end(execution)
        elif self._events is not None:
            self._events.step_dropped(execution.step.rules.name, execution.queued)

    def _record_end(self, execution: _Execution, error: Exception | None = None) -> None:
        phase = self._parts.planner.record(execution.step.rules, execution.decision, execution.status, error=error)
        self._record(execution, phase, error)

    def _record(self, execution: _Execution, phase: RecordStatus, error: Exception | None = None) -> None:
        lock = execution.lock
        marker = self._parts.markers.record_step(
            phase,
            error=error,
            started=lock.started,
            queued=execution.queued,
            attempts=lock.attempts,
            was_done=execution.done or execution.step.rules.name in self._withdrawn,
        )
        execution.recorded = marker.at

    async def _decide(self, execution: _Execution, turn: int) -> tuple[Phase, ...]:
        """Decide about a submission that was made in a ``turn``."""
        parts, step, rules = self._parts, execution.step, execution.step.rules
        while True:
            execution.done = done = await parts.marks.is_done(rules.name)
            if turn != parts.turns.number and parts.turns.is_over():  # many may have waited for the same
                await parts.turns.wait()
                turn = parts.turns.number
                continue
            # Nothing awaits from here on: deciding, forcing dependents and beginning are atomic.
            execution.decision = decision = parts.planner.decide(rules, done=done)
            execution.decided = datetime.now(UTC)
            if not (decision.action is Action.SKIP and step.save_result and done and not rules.has_alternative):
                break
            if await self._recall_result(execution):
                break
        return parts.planner.phases(rules, decision, done=done)

    async def _recall_result(self, execution: _Execution) -> bool:
        """Read the saved result; return whether the mark still exists."""
        try:
            record = await self._parts.marks.record(execution.step.rules.name)
        except RecordError as error:
            execution.problem = error  # the step counts as done; using its result raises
            return True
        if record is None:
            return False
        execution.result = record.get("result")
        return True

    def _record_status(self, execution: _Execution, phase: RecordStatus) -> None:
        execution.status = phase.status
        if phase.status is Status.SCHEDULED:
            self._parts.planner.begin(execution.step.rules.name, outdated=execution.done)
        self._record(execution, phase)

    async def _play_phase(self, execution: _Execution, phase: Phase) -> None:
        match phase:
            case Play(what=what):
                await self._play_activities(execution, what)
            case MarkDone(name=name):
                self._parts.lifetime.check_open()
                _conclude(execution, await self._parts.marks.mark(name, self._done_record(execution)))
                self._parts.planner.complete(name)
                self._parts.failures.made_good(name)
            case ForceDependents(selectors=selectors, reason=reason):
                self._parts.planner.add_forced(selectors, reason)
                self._parts.markers.note("forces", step=execution.step.step_name, selectors=selectors)
            case Withdraw():
                await self._withdraw(execution, phase)
            case EmitSignal(name=name):
                self._parts.signals.send(Signal(name))
                self._parts.markers.note("signal", name=name, step=execution.step.step_name)

    async def _play_activities(self, execution: _Execution, what: str) -> None:
        step = execution.step
        if what == "activities":
            await self._parts.marks.withdrawals_ended(step.rules.name)
            self._parts.planner.start(step.rules.name)
        self._parts.lifetime.check_open()
        played = await self._play(getattr(step, what))
        if played.error is not None:
            raise _StepError(played.error, infrastructure=played.infrastructure)
        execution.result = played.value

    def _done_record(self, execution: _Execution) -> dict[str, Any]:
        now, step, lock = datetime.now(UTC).isoformat(), execution.step, execution.lock
        record = {
            **self._parts.identity,
            "marked_at": now,
            "queued": execution.queued.isoformat(),
            "started": None if lock.started is None else lock.started.isoformat(),
            "ended": now,
            "attempts": lock.attempts,
            "forced": execution.decision.forced,
            "reasons": [shortened(reason) for reason in collapsed(execution.decision.reasons)],
            "activity": activity_of(step.activities),
            "host": host(),
        }
        if lock.notes is not None and (notes := lock.notes.values):
            record["notes"] = notes
        if step.save_result:
            try:
                execution.result = record["result"] = self._parts.marks.savable(step.rules.name, execution.result)
            except TypeError as error:
                raise _StepError(error) from None
        return record

    async def _withdraw(self, execution: _Execution, phase: Withdraw) -> None:
        done = await self._parts.marks.matching(phase.dependents) if phase.dependents else []
        if phase.own is not None:
            done = [*done, phase.own]
        # Nothing awaits in between: none of these names begins unseen.
        names = self._parts.planner.invalidated(phase, done)
        if names:  # told before, so that it is known even if this is the last that the run does
            self._parts.markers.note("withdrawing", step=execution.step.rules.name, names=names)
            self._withdrawn.update(names)
        _conclude(execution, await self._parts.marks.withdraw(execution.step.rules.name, names))
        if execution.cancelled is not None:
            raise execution.cancelled


def _conclude(execution: _Execution, finished: Finished) -> None:
    execution.cancelled = finished.cancelled
    if finished.error is not None:
        raise finished.error
