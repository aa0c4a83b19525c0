"""A run: its options, its lifetime, its state, its plan."""

import copy
import logging
import uuid
from collections.abc import Awaitable, Callable, Iterable, Mapping
from os import PathLike
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast

from asyncsteps._errors import StepDefinitionError
from asyncsteps._events.base import OnEvent
from asyncsteps._plan.model import Marker, Status
from asyncsteps._plan.names import as_reasoned_selectors, as_selectors
from asyncsteps._run.base import BaseRun
from asyncsteps._run.dispatch import Dispatch
from asyncsteps._run.done_marks import OpenStore, StoredMarks
from asyncsteps._run.dry_run import Plan, PlannedMarks, end_of_plan
from asyncsteps._run.lifetime import Lifetime
from asyncsteps._run.markers import MarkerLog, OnMarker
from asyncsteps._run.options import (
    KEEP_RUNS,
    MARK_TIMEOUT,
    MAX_PARALLEL,
    GivenParams,
    GivenSelectors,
    as_callbacks,
    as_opener,
    as_policy,
    checked_about,
    checked_limits,
    checked_workflow_id,
    planner_of,
)
from asyncsteps._run.parts import RunParts
from asyncsteps._run.signals import Signals
from asyncsteps._run.sinks import events_of, journal_of
from asyncsteps._run.until import left_by
from asyncsteps._tasks.attributes import as_seconds, is_count
from asyncsteps._tasks.limiter import Limiter
from asyncsteps._tasks.submittable import Submittable
from asyncsteps.store._protocol import StepStore

if TYPE_CHECKING:
    from asyncsteps._run.events import Events
    from asyncsteps._run.journal import Journal

logger = logging.getLogger("asyncsteps")

R = TypeVar("R")


class StepRun(BaseRun):
    """One execution of a workflow over a store of done steps, as an ``async with`` block that is entered once.

    Submit from any number of tasks of one event loop. Leaving the block waits for submissions of other tasks. The
    run then refuses work. What it knows of done steps is as of the fetch, except for its own marks and
    withdrawals; see `refresh`.

    Args:
        store: An open store, or an async callable that returns one when it is first needed. The run does not
            close it.
        workflow_id: Recorded in done marks.
        run_id: Recorded in done marks. None: a random one.
        force: Selectors of steps to play though they are done, or a mapping of selector to reason. A selector is a
            step name, an ancestor of it, ``=`` and a name for that name alone, or ``*``.
        skip: Selectors of steps to skip, or a mapping of selector to reason. Force beats skip.
        version: The workflow's version, recorded in done marks.
        max_parallel: The most activities at once, including those in worker threads.
        limits: The most activities at once in the steps that a selector matches: ``{"load.stripe": 5}``. An
            activity counts to each limit that matches its step or one around it, and not while it only waits for
            what it has submitted.
        until: Selectors of steps that the run stops after. Once one has ended and none is under way, nothing more
            is begun, what has begun ends, and then `RunStopped` leaves the block, which swallows it.
        withdraw_invalidated: Whether done marks that playing a step makes stale are withdrawn before its
            activities start. False: as in simpleflow; an interrupted run may leave stale marks.
        on_marker: Called with each `Marker` as it is recorded: one callable, or several.
        on_event: Called with each event of `asyncsteps.events`: one callable, or several. A plain function is
            called at once, where it happens, and must not wait; an ``async def`` in a task of its own.
        markers_file: A file that gets each marker as a line of JSON.
        mark_timeout: Seconds that a mark or a withdrawal under way may take after a cancellation. One that takes
            longer is reported as not known to be stored.
        step_activity_params: simpleflow's parameters of the listing and marking activities. ``retry``,
            ``start_to_close_timeout`` and ``schedule_to_close_timeout`` apply to each request to the store.
        journal: Whether the run leaves its story beside the store; see `asyncsteps.journal`.
        keep_runs: How many runs' journals are kept; older ones are removed.
        about: JSON values that the journal's first line tells, such as parameters. What is named like a
            credential is left out.

    Raises:
        WorkflowIdError: When the workflow id is missing or empty.
        SelectorError: When a selector is malformed.
        StepDefinitionError: When another argument is refused.
    """

    _journal: "Journal | None"
    _events: "Events | None"

    def __init__(
        self,
        store: StepStore | OpenStore,
        *,
        workflow_id: str,
        run_id: str | None = None,
        force: GivenSelectors = (),
        skip: GivenSelectors = (),
        version: str | None = None,
        max_parallel: int = MAX_PARALLEL,
        limits: Mapping[str, int] | None = None,
        until: str | Iterable[str] = (),
        withdraw_invalidated: bool = True,
        on_marker: OnMarker | Iterable[OnMarker] = (),
        on_event: OnEvent | Iterable[OnEvent] = (),
        markers_file: str | PathLike[str] | None = None,
        mark_timeout: float = MARK_TIMEOUT,
        step_activity_params: GivenParams | None = None,
        journal: bool = True,
        keep_runs: int = KEEP_RUNS,
        about: Mapping[str, Any] | None = None,
    ) -> None:
        if not is_count(max_parallel, least=1):
            raise StepDefinitionError(f"max_parallel={max_parallel!r} is refused: it is an int of at least 1")
        if not is_count(keep_runs, least=1):
            raise StepDefinitionError(
                f"keep_runs={keep_runs!r} is refused: it is an int of at least 1; journal=False keeps none"
            )
        checked_about(about)
        self._workflow_id = checked_workflow_id(workflow_id)
        self._run_id = run_id or str(uuid.uuid4())
        self._version = version
        at_most, stops_after = checked_limits(limits), as_selectors(until)
        limiter = Limiter(max_parallel, limits=at_most, names=self._steps_around)
        lifetime = Lifetime(limiter, may_stop=bool(stops_after))
        identity = {"run_id": self._run_id, "workflow_id": self._workflow_id, "version": self._version}
        forced, skipped = as_reasoned_selectors(force), as_reasoned_selectors(skip)
        seconds = as_seconds(mark_timeout, "mark_timeout") or MARK_TIMEOUT
        self._events = events = events_of(on_event, identity, timeout=seconds)
        marks = StoredMarks(
            as_opener(store), policy=as_policy(step_activity_params), mark_timeout=seconds, events=events
        )
        self._facts = {
            "version": version,
            "force": forced,
            "skip": skipped,
            "max_parallel": max_parallel,
            "limits": at_most,
            "until": stops_after,
        }
        self._journal = None
        if journal:
            self._journal = journal_of(
                lambda: store if isinstance(store, StepStore) else marks.store,
                *(self._facts, identity),
                about=about,
                keep_runs=keep_runs,
                timeout=seconds,
            )
        self._parts = RunParts(
            planner=planner_of(
                forced, skipped, withdraw_invalidated=withdraw_invalidated, watched=(*at_most, *stops_after)
            ),
            marks=marks,
            markers=MarkerLog(
                on_marker=as_callbacks(on_marker),
                markers_file=markers_file,
                identity=identity,
                journal=self._journal,
                events=events,
            ),
            signals=Signals(lifetime),
            limiter=lifetime.limiter,
            identity=identity,
            lifetime=lifetime,
            events=events,
            until=stops_after,
        )
        self._dispatch = Dispatch(self._parts)
        self._has_planned = False

    def _steps_around(self) -> list[str]:
        return [lock.name for lock in self._dispatch.steps.locks.enclosing()]

    @property
    def workflow_id(self) -> str:
        """The workflow's id."""
        return self._workflow_id

    @property
    def run_id(self) -> str:
        """The run's id."""
        return self._run_id

    @property
    def version(self) -> str | None:
        """The workflow's version."""
        return self._version

    @property
    def markers(self) -> list[Marker]:
        """A copy of the markers recorded so far, in order of recording."""
        return self._parts.markers.markers

    @property
    def failures(self) -> list[Exception]:
        """The failures so far, each once: a `StepFailedError` per step, and errors not raised to a caller.

        Failures that a later attempt made good are not listed: of a step that succeeded later, or within an
        attempt at an activity that was followed by another.
        """
        return self._parts.failures.errors

    @property
    def counts(self) -> Mapping[Status, int]:
        """The number of step markers by status."""
        return self._parts.markers.counts

    @property
    def under_way(self) -> tuple[str, ...]:
        """The names of steps in which an activity has begun, in order of submission."""
        return self._dispatch.steps.locks.held(running=True)

    @property
    def queued(self) -> tuple[str, ...]:
        """The names of steps that are submitted but not running yet, in order of submission."""
        return self._dispatch.steps.locks.held(running=False)

    @property
    def stopped_after(self) -> str | None:
        """The step that the run has stopped after, by its ``until``; None if it has not, or had nothing left."""
        stopped = self._parts.lifetime.stopped
        return None if stopped is None else stopped.after

    @property
    def unmatched_selectors(self) -> list[str]:
        """Selectors, including dependents' and those of limits, that match no step decided so far, in order."""
        return self._parts.planner.unmatched()

    async def __aenter__(self) -> Self:
        self._parts.lifetime.enter(self)
        try:
            self._parts.markers.open()
            if self._journal is not None:
                self._journal.start()
        except BaseException:
            self._parts.markers.close()
            self._parts.lifetime.close()
            raise
        if self._events is not None:
            self._events.start(**self._facts)
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        lifetime = self._parts.lifetime
        error, stopped = (exc_value, False) if exc_value is None else left_by(exc_value, self._run_id)
        try:
            try:
                if error is None:
                    await lifetime.until_idle(self._parts.signals)
                    self._warn_of_unmatched()
            finally:
                await lifetime.cancel()
        except BaseException as raised:
            await self._close(raised if error is None else error)
            raise
        await self._close(error)
        if stopped and error is not None:
            raise error
        return stopped

    async def _close(self, error: BaseException | None) -> None:
        """End what tells of the run."""
        self._parts.markers.close()
        events, counts, failures = self._events, self.counts, self.failures
        if events is not None:
            events.ended(error, counts=counts, failures=failures, stopped_after=self.stopped_after)
        try:
            if self._journal is not None:
                await self._journal.close(
                    error, counts=counts, failures=failures, stopped_after=self.stopped_after
                )
        finally:
            if events is not None and not isinstance(error, GeneratorExit):
                await events.finish()

    def _warn_of_unmatched(self) -> None:
        if self._parts.planning or (self._has_planned and not self._parts.markers):
            return  # a plan names its own
        for selector in self._parts.planner.unmatched():
            hint = self._parts.planner.hint(selector)
            logger.warning("selector %r matched no step of run %s: %s", selector, self._run_id, hint)

    def raise_for_failures(self) -> None:
        """Raise all failures of the run, if there are any.

        Raises:
            ExceptionGroup: Holding `failures`.
        """
        if self.failures:
            raise ExceptionGroup(f"{len(self.failures)} failures in run {self._run_id}", self.failures)

    async def refresh(self) -> None:
        """Forget what is known of done steps, to see what other runs have marked or withdrawn."""
        self._parts.lifetime.check_loop()
        self._parts.marks.forget()

    async def plan(self, code: "PlannableCode") -> Plan:
        """Return what this run would decide, without playing or writing anything. The run itself is unchanged.

        Args:
            code: Submittables, submitted one after the other, or an async function that is called with a run that
                only plans. Activities are assumed to succeed; steps submitted within them are not seen. Where the
                code uses a result that only playing would give, or waits for a signal that nothing has sent, the
                plan ends, incomplete.

        Raises:
            RunClosedError: Outside the block.
            StoreError: When the store cannot tell what is done.
        """
        self._parts.lifetime.check_loop()
        self._has_planned = True
        if self._journal is not None:
            self._journal.planned()
        marks = PlannedMarks(self._parts.marks)
        lifetime = Lifetime(Limiter(MAX_PARALLEL), may_stop=self._parts.lifetime.may_stop)
        shadow = copy.copy(self)
        shadow._journal = shadow._events = None  # noqa: SLF001 - its own kind
        shadow._parts = RunParts(  # noqa: SLF001 - its own kind
            planner=copy.deepcopy(self._parts.planner),
            marks=marks,
            markers=MarkerLog(on_marker=(marks.decided,), silent=True),
            signals=Signals(lifetime, self._parts.signals.sent),
            limiter=lifetime.limiter,
            identity=self._parts.identity,
            lifetime=lifetime,
            until=self._parts.until,
            planning=True,
        )
        shadow._dispatch = Dispatch(shadow._parts)  # noqa: SLF001 - its own kind
        incomplete = None
        async with shadow:
            incomplete = await end_of_plan(cast("Any", shadow.submit), code, shadow)
        unmatched = tuple(shadow.unmatched_selectors)
        return Plan(tuple(marks.decisions), incomplete, unmatched, shadow.stopped_after)


PlannableCode = Iterable[object] | Submittable | Callable[[StepRun], Awaitable[object]]
"""What can be planned: submittables, or an async function of a run."""
