"""Steps interpreted natively: the planner's phases, played one after the other on the event loop."""

import asyncio
from collections.abc import Callable, Mapping
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
    Marker,
    Phase,
    Play,
    RecordStatus,
    Status,
    StepOutcome,
    Withdraw,
)
from asyncsteps._plan.planner import Planner
from asyncsteps._run.done_marks import Ended, Storing
from asyncsteps._run.markers import Recorder
from asyncsteps._run.name_locks import Turns
from asyncsteps._tasks.canvas import result_of
from asyncsteps._tasks.signals import Signal, Signals
from asyncsteps._tasks.step import Step
from asyncsteps._tasks.submittable import Played, Player, Submittable

_UNDECIDED = Decision(Action.RUN, forced=False)
"""What the marker of a step says that failed before it was decided."""


class _StepError(Exception):
    """A step failed; ``fatal`` when through its store and not its activities."""

    def __init__(self, error: Exception, *, fatal: bool) -> None:
        super().__init__(error)
        self.error = error
        self.fatal = fatal


@dataclass(slots=True)
class _Playing:
    """One submission of a step while it is played."""

    step: Step
    started: datetime
    done: bool = False
    decision: Decision = _UNDECIDED
    status: Status = Status.FAILED
    marker: Marker | None = None
    result: Any = None
    error: Exception | None = None
    fatal: bool = False
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
        player: What plays the submittables within steps.
        planner: What decides.
        storing: The run's store.
        recorder: Where the markers go.
        signals: Where the steps' signals go.
        record: What the done records say of the run.
        check_open: Raises when the run has ended.
        on_failure: Told each failed step's `StepFailedError`, or the store's error.
    """

    def __init__(
        self,
        player: Player,
        *,
        planner: Planner,
        storing: Storing,
        recorder: Recorder,
        signals: Signals,
        record: Mapping[str, Any],
        check_open: Callable[[], None],
        on_failure: Callable[[Exception], object],
    ) -> None:
        self._player = player
        self._planner = planner
        self._storing = storing
        self._recorder = recorder
        self._signals = signals
        self._record = record
        self._check_open = check_open
        self._on_failure = on_failure
        self.turns = Turns()
        self.withdrawn: dict[int, list[str]] = {}
        """What was withdrawn, by the id of the step's marker ``scheduled``."""

    async def play(self, step: Step) -> Played:
        """Play one submission of a step, when it is its turn."""
        try:
            async with self.turns.turn(step.step_name):
                return await self._play_in_turn(_Playing(step, datetime.now(UTC)))
        except StepDeadlockError as error:
            return Played(None, error, fatal=True)

    async def _play_in_turn(self, playing: _Playing) -> Played:
        try:
            await self._decide_and_play(playing)
        except _StepError as failed:
            self._fail(playing, failed.error, fatal=failed.fatal)
        except Exception as error:  # noqa: BLE001 - activities' errors come as _StepError: it is the store's
            self._fail(playing, error, fatal=True)
        except BaseException:  # a cancellation, an interruption, or what an activity raised that is no Exception
            self._cancel(playing)
            raise
        played = self._played(playing)
        if playing.cancelled is not None:
            raise playing.cancelled
        return played

    def _played(self, playing: _Playing) -> Played:
        outcome, error = playing.outcome(), playing.error
        if error is None:
            return Played(outcome)
        if playing.fatal:
            self._on_failure(error)
            return Played(outcome, error, fatal=True)
        failure = StepFailedError(playing.step.step_name, f"{type(error).__name__}: {error}")
        failure.__cause__ = error
        self._on_failure(failure)
        return Played(outcome, failure if playing.step.bubbles_exception_on_failure else None)

    def _fail(self, playing: _Playing, error: Exception, *, fatal: bool) -> None:
        name = playing.step.step_name
        self._planner.fail(name)
        playing.status, playing.error, playing.fatal = Status.FAILED, error, fatal
        self._recorder.record_step(name, Status.FAILED, playing.decision, error=error)

    def _cancel(self, playing: _Playing) -> None:
        name = playing.step.step_name
        self._planner.fail(name)
        if playing.decision is not _UNDECIDED:
            self._recorder.record_step(name, Status.CANCELLED, playing.decision)

    async def _decide_and_play(self, playing: _Playing) -> None:
        step, rules = playing.step, playing.step.rules
        playing.done = done = await self._storing.is_done(rules.name)
        # From here to the first phase that awaits, nothing else runs: the decision, the dependents it forces and
        # the beginning are one moment.
        playing.decision = self._planner.decide(rules, done=done)
        phases = self._planner.phases(rules, playing.decision, done=done)
        if playing.decision.action is Action.SKIP and step.save_result and done and not rules.has_alternative:
            playing.result = await self._storing.saved_result(rules.name)
        for phase in phases:
            await self._play_phase(playing, phase)

    async def _play_phase(self, playing: _Playing, phase: Phase) -> None:
        match phase:
            case RecordStatus(status=status):
                self._record_status(playing, status)
            case Play(what=what):
                await self._play_activities(playing, what)
            case MarkDone(name=name):
                await self._mark(playing, name)
            case ForceDependents(selectors=selectors, reason=reason):
                self._planner.add_forced(selectors, reason)
            case Withdraw():
                await self._withdraw(playing, phase)
            case EmitSignal(name=name):
                self._signals.send(Signal(name))

    def _record_status(self, playing: _Playing, status: Status) -> None:
        name = playing.step.step_name
        if status is Status.SCHEDULED:
            self._planner.begin(name, outdated=playing.done)
        playing.status, playing.marker = status, self._recorder.record_step(name, status, playing.decision)

    async def _play_activities(self, playing: _Playing, what: str) -> None:
        step = playing.step
        if what == "activities":
            await self._storing.no_withdrawal_of(step.step_name)
            self._planner.start(step.step_name)
        self._check_open()
        submittable: Submittable = getattr(step, what)
        played = await submittable.play(self._player)
        if played.error is not None:
            raise _StepError(played.error, fatal=played.fatal)
        playing.result = result_of(played)

    async def _mark(self, playing: _Playing, name: str) -> None:
        self._check_open()
        record = {**self._record, "marked_at": datetime.now(UTC).isoformat()}
        if playing.step.save_result:
            try:
                playing.result = record["result"] = self._storing.savable(name, playing.result)
            except TypeError as error:
                raise _StepError(error, fatal=False) from None
        _conclude(playing, await self._storing.mark(name, record))
        self._planner.complete(name)

    async def _withdraw(self, playing: _Playing, phase: Withdraw) -> None:
        done = await self._storing.under(phase.dependents) if phase.dependents else []
        if phase.own is not None:
            done = [*done, phase.own]
        # The names are under withdrawal from the moment they are known: none of them begins in between unseen.
        names = self._planner.invalidated(phase, done)
        self.withdrawn[id(playing.marker)] = names
        _conclude(playing, await self._storing.withdraw(names))
        if playing.cancelled is not None:
            raise playing.cancelled


def _conclude(playing: _Playing, ended: Ended) -> None:
    playing.cancelled = ended.cancelled
    if ended.error is not None:
        raise ended.error
