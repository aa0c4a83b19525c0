"""A run in the background: its state, its events, its end."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from asyncsteps._errors import RunNotEndedError, StepDefinitionError, error_text
from asyncsteps._journal.texts import shortened
from asyncsteps._plan.model import Status
from asyncsteps._run.run import StepRun
from asyncsteps._runs.history import Followers, History
from asyncsteps._tasks.attributes import is_count
from asyncsteps._tasks.shield import until_done


class RunState(StrEnum):
    """How a run in the background stands.

    ``failed``: a step failed, or an error left the workflow's code.
    """

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSnapshot:
    """A run in the background at one moment, as JSON values but for the times.

    Attributes:
        run_id: Its id.
        workflow_id: The workflow's id.
        state: How it stands.
        submitted: When it was given to `Runs`, in UTC.
        started: When it began, or None.
        ended: When it ended, or None.
        counts: How many markers of steps there are, by status.
        under_way: The steps that run.
        queued: The steps that are submitted and do not run yet.
        failures: The failures, as texts.
        error: What left its code, as text, or None.
        events: The number of its last event.
    """

    run_id: str
    workflow_id: str
    state: RunState
    submitted: datetime
    started: datetime | None
    ended: datetime | None
    counts: Mapping[str, int]
    under_way: tuple[str, ...]
    queued: tuple[str, ...]
    failures: tuple[str, ...]
    error: str | None
    events: int


class RunHandle:
    """A run that `Runs.start` has started or queued.

    Attributes:
        run_id: Its id.
        workflow_id: The workflow's id.
        state: How it stands.
        submitted: When it was given to `Runs`, in UTC.
        started: When it began, in UTC; None while it is queued.
        ended: When it ended, in UTC; None before.
        error: What left its code, or None; a cancellation included. The log has its trace, which is not kept here.
    """

    def __init__(self, run_id: str, workflow_id: str, *, history: int, cancel: Callable[[], bool]) -> None:
        self.run_id = run_id
        self.workflow_id = workflow_id
        self.state = RunState.QUEUED
        self.submitted = datetime.now(UTC)
        self.started: datetime | None = None
        self.ended: datetime | None = None
        self.error: BaseException | None = None
        self._cancel = cancel
        self._run: StepRun | None = None
        self._counts: Mapping[Status, int] = {}
        self._failures: Sequence[Exception] = ()
        self._result: Any = None
        self._history = History(history)
        self._done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def done(self) -> bool:
        """Whether it has ended."""
        return self._done.done()

    @property
    def counts(self) -> Mapping[Status, int]:
        """The number of step markers by status."""
        return self._counts if self._run is None else self._run.counts

    @property
    def under_way(self) -> tuple[str, ...]:
        """The names of steps in which an activity has begun."""
        return () if self._run is None else self._run.under_way

    @property
    def queued(self) -> tuple[str, ...]:
        """The names of steps that are submitted but not running yet."""
        return () if self._run is None else self._run.queued

    @property
    def failures(self) -> list[Exception]:
        """The failures so far, as `StepRun.failures`."""
        return list(self._failures) if self._run is None else self._run.failures

    @property
    def result(self) -> Any:
        """What the workflow's code returned.

        Raises:
            RunNotEndedError: When it has not ended yet.
            BaseException: What left the code; ``asyncio.CancelledError`` when it was cancelled.
        """
        if not self.done:
            raise RunNotEndedError(self.workflow_id, self.run_id)
        if self.error is not None:
            raise self.error.with_traceback(None)
        return self._result

    async def wait(self) -> RunState:
        """Wait until it has ended, and return its state. Cancelling the waiting does not cancel the run."""
        await until_done(self._done)
        return self.state

    def cancel(self) -> bool:
        """Cancel it, and return at once whether it had not ended yet; `wait` for its end.

        What its steps have begun to mark is finished, and threads are waited for, as whenever a run is cancelled.
        """
        return not self.done and self._cancel()

    def follow(self, *, after: int = 0) -> Followers:
        """Iterate, with ``async for``, over its events: those that were, then those that come, until it has ended.

        Each is a pair of its number and the event. `Runs` keeps the last ``history`` events of each run. Whoever
        asks for earlier ones, or falls so far behind, gets `EventsDropped` in their place. Followers do not hold
        the run up, and may be cancelled at any time.

        Args:
            after: The number of the event to begin behind; 0: from the beginning. A number that no event has yet:
                from now on.

        Raises:
            StepDefinitionError: When ``after`` is no int of at least 0.
        """
        if not is_count(after, least=0):
            raise StepDefinitionError(f"after={after!r} is refused: it is the number of an event, or 0")
        return Followers(self._history, min(after, self._history.number))

    def snapshot(self) -> RunSnapshot:
        """Return how it stands."""
        return RunSnapshot(
            run_id=self.run_id,
            workflow_id=self.workflow_id,
            state=self.state,
            submitted=self.submitted,
            started=self.started,
            ended=self.ended,
            counts={status.value: number for status, number in self.counts.items()},
            under_way=self.under_way,
            queued=self.queued,
            failures=tuple(shortened(error_text(each)) for each in self.failures),
            error=None if self.error is None else shortened(error_text(self.error)),
            events=self._history.number,
        )

    def __repr__(self) -> str:
        return f"<run {self.run_id} of {self.workflow_id}: {self.state}>"

    # For `Runs`.

    def begin(self) -> None:
        """Run."""
        self.state, self.started = RunState.RUNNING, datetime.now(UTC)

    def entered(self, run: StepRun) -> None:
        """Know the run, once it is entered."""
        self._run = run

    def put(self, event: Any) -> None:
        """Take an event."""
        self._history.put(event)

    def end(self, result: Any, error: BaseException | None) -> None:
        """End; of the run, only what is told of it is kept."""
        self._counts, self._failures = dict(self.counts), tuple(self.failures)
        _drop_traces([*self._failures, error])
        self._run, self._result, self.error = None, result, error
        if isinstance(error, Exception) or (error is None and self._failures):
            self.state = RunState.FAILED
        else:
            self.state = RunState.COMPLETED if error is None else RunState.CANCELLED
        self.ended = datetime.now(UTC)
        self._done.set_result(None)
        self._history.end()


def _drop_traces(errors: list[BaseException | None]) -> None:
    """Drop the traces of errors and of their causes, which would keep all that the code of a run had."""
    seen: set[int] = set()
    while errors:
        error = errors.pop()
        if error is None or id(error) in seen:
            continue
        seen.add(id(error))
        error.__traceback__ = None
        errors += (error.__cause__, error.__context__)
        if isinstance(error, BaseExceptionGroup):
            errors += error.exceptions
