"""Makes the events of a run of what its parts tell, and gives them to its subscribers."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, ParamSpec, TypeVar, cast

from asyncsteps._errors import StepDefinitionError, error_text
from asyncsteps._events import of_activities, of_runs, of_steps, of_stores
from asyncsteps._events.base import Event
from asyncsteps._journal.texts import shortened
from asyncsteps._plan.model import STEP_MARKER, Marker, Status
from asyncsteps._run.journal_facts import ending
from asyncsteps._run.name_locks import NameLock
from asyncsteps._run.on_loop import OwnLoop
from asyncsteps._run.subscribers import Inline, Queued, Subscriber
from asyncsteps._tasks.attempt import Attempt
from asyncsteps._tasks.retry import Named, is_async_callable
from asyncsteps._tasks.shield import uninterrupted
from asyncsteps.store._protocol import DonePage

P = ParamSpec("P")
T = TypeVar("T")

_LAST = 5.0
"""Seconds that the end of a run waits for its subscribers, at most."""

_OF_STATUS: Mapping[Status, type[of_steps.StepDecided]] = {
    Status.SCHEDULED: of_steps.StepScheduled,
    Status.SKIPPED: of_steps.StepSkipped,
    Status.COMPLETED: of_steps.StepCompleted,
    Status.FAILED: of_steps.StepFailed,
    Status.CANCELLED: of_steps.StepCancelled,
}

_OF_NOTE: Mapping[str, tuple[type[Event], tuple[str, ...]]] = {
    "retrying": (of_activities.StepRetrying, ("step", "activity", "attempt", "of", "error")),
    "notes": (of_activities.StepNoted, ("step", "activity", "notes")),
    "signal": (of_runs.SignalSent, ("name", "step")),
    "selector": (of_runs.SelectorAdded, ("force", "skip", "reason")),
    "forces": (of_steps.StepForces, ("step", "selectors")),
    "withdrawing": (of_steps.StepWithdrawing, ("step", "names")),
}
"""What the journal is told too: the event and its members, None where they are not told."""


_OF_CALL: Mapping[str, type[of_stores.StoreCalled]] = {
    "asking for done steps": of_stores.StoreListed,
    "reading a done step": of_stores.StoreRead,
    "marking a step as done": of_stores.StoreMarked,
    "withdrawing done marks": of_stores.StoreWithdrawn,
}


def as_subscribers(given: object) -> tuple[Subscriber, ...]:
    """Return what delivers events to the callables given, or raise `StepDefinitionError` if one is none."""
    subscribers: list[Subscriber] = []
    for callback in given if isinstance(given, Iterable) and not callable(given) else (given,):
        if not callable(callback):
            raise StepDefinitionError(
                f"on_event={callback!r} is refused: it is a function of one event, plain or async, or several"
            )
        called = cast("Callable[[Any], Any]", callback)
        subscribers.append(Queued(called) if is_async_callable(called) else Inline(called))
    return tuple(subscribers)


def _names_in(result: object) -> int:
    """How many names a result of the store is about."""
    names = result.names if isinstance(result, DonePage) else result
    return len(names) if isinstance(names, list | tuple) else int(names is not None)


class Events:
    """The events of one run.

    Args:
        subscribers: Who gets them.
        identity: ``run_id`` and ``workflow_id``.
        timeout: Seconds that the end of the run waits for them, at most.
    """

    def __init__(self, subscribers: Sequence[Subscriber], identity: Mapping[str, Any], *, timeout: float) -> None:
        self._subscribers = subscribers
        self._ids = {"run_id": identity["run_id"], "workflow_id": identity["workflow_id"]}
        self._timeout = min(timeout, _LAST)
        self._began = datetime.now(UTC)
        self._own_loop = OwnLoop()
        self._over = False

    def tell(self, event: type[Event], at: datetime | None = None, /, **members: Any) -> None:
        """Give an event to all; what outlives the run and still does something is not told."""
        if self._over:
            return
        self._over = event is of_runs.RunEnded
        told = event(**self._ids, at=at or datetime.now(UTC), **members)
        self._own_loop.call(self._give, told)

    def _give(self, event: Event) -> None:
        for subscriber in self._subscribers:
            subscriber.put(event)

    def step_queued(self, step: str, at: datetime) -> None:
        """Tell that a step was submitted."""
        self.tell(of_steps.StepQueued, at, step=step)

    def step_dropped(self, step: str, queued: datetime) -> None:
        """Tell that a step was cancelled before it was decided, of which there is no marker."""
        now = datetime.now(UTC)
        waited = (now - queued).total_seconds()
        times: dict[str, Any] = {"queued": queued, "started": None, "queue_seconds": waited, "seconds": None}
        self.tell(of_steps.StepCancelled, now, step=step, forced=False, reasons=(), attempts=0, **times)

    def step_started(self, lock: NameLock, activity: Named) -> None:
        """Tell that the first activity of a step begins to run."""
        self.tell(of_steps.StepStarted, lock.started, step=lock.name, activity=activity.name)

    def attempt_started(self, attempt: Attempt) -> None:
        """Tell that an attempt begins."""
        self.tell(
            of_activities.AttemptStarted, step=attempt.step, activity=attempt.task.name, attempt=attempt.number
        )

    def attempt_ended(self, attempt: Attempt, error: BaseException | None) -> None:
        """Tell that an attempt has ended."""
        self.tell(
            of_activities.AttemptEnded,
            step=attempt.step,
            activity=attempt.task.name,
            attempt=attempt.number,
            error=None if error is None else shortened(error_text(error)),
        )

    def marker(self, marker: Marker) -> None:
        """Tell of a marker."""
        details = marker.details
        if marker.name != STEP_MARKER or marker.queued is None:
            self.tell(of_runs.MarkerRecorded, marker.at, name=marker.name, details=details)
            return
        status = Status(details["status"])
        self.tell(
            _OF_STATUS[status],
            marker.at,
            step=details["step"],
            forced=details["forced"],
            reasons=tuple(details["reasons"]),
            queued=marker.queued,
            started=marker.started,
            queue_seconds=marker.queue_seconds,
            seconds=marker.seconds,
            attempts=marker.attempts,
            **({"error": shortened(details["error"])} if status is Status.FAILED else {}),
        )

    def note(self, event: str, fields: Mapping[str, Any]) -> None:
        """Tell of what the journal is told too."""
        record, members = _OF_NOTE[event]
        given = {name: fields.get(name) for name in members}
        self.tell(
            record, **{name: tuple(each) if isinstance(each, list) else each for name, each in given.items()}
        )

    def timed(self, what: str, call: Callable[P, Awaitable[T]]) -> Callable[P, Coroutine[Any, Any, T]]:
        """Return a call of the store that tells how it ended."""
        event = _OF_CALL[what]

        async def told(*args: P.args, **kwargs: P.kwargs) -> T:
            time = asyncio.get_running_loop().time
            began = time()
            try:
                result = await call(*args, **kwargs)
            except BaseException as error:
                self.tell(event, seconds=time() - began, names=0, error=shortened(error_text(error)))
                raise
            self.tell(event, seconds=time() - began, names=_names_in(result), error=None)
            return result

        return told

    def start(self, **facts: Any) -> None:
        """Begin, on the running event loop."""
        self._began = datetime.now(UTC)
        self._own_loop.enter()
        for subscriber in self._subscribers:
            subscriber.start()
        self.tell(of_runs.RunStarted, self._began, **facts)

    def ended(
        self,
        error: BaseException | None,
        *,
        counts: Mapping[Status, int],
        failures: Sequence[Exception],
        stopped_after: str | None,
    ) -> None:
        """Tell of the end of the run."""
        seconds = (datetime.now(UTC) - self._began).total_seconds()
        self.tell(of_runs.RunEnded, **ending(error, failures, counts, seconds, stopped_after))
        if isinstance(error, GeneratorExit):  # nothing can be awaited
            for subscriber in self._subscribers:
                subscriber.stop()

    async def finish(self) -> None:
        """Have delivered what waits: within a few seconds, whatever cancels the waiting."""
        deadline = asyncio.get_running_loop().time() + self._timeout
        await uninterrupted(asyncio.gather(*(each.finish(deadline) for each in self._subscribers)))
