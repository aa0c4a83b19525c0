"""A run: submits steps and activities, and keeps selectors, markers, signals and failures."""

import copy
import logging
import uuid
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from os import PathLike
from types import TracebackType
from typing import Any, Self, TypeVar, cast, overload

from asyncsteps._errors import StepDefinitionError
from asyncsteps._plan.model import Marker, Status, StepOutcome
from asyncsteps._plan.names import as_reasoned_selectors
from asyncsteps._plan.planner import Planner
from asyncsteps._run.dispatch import Dispatch
from asyncsteps._run.done_marks import OpenStore, StoredMarks
from asyncsteps._run.dry_run import Plan, PlannedMarks, end_of_plan
from asyncsteps._run.lifetime import Lifetime
from asyncsteps._run.markers import MarkerLog, OnMarker
from asyncsteps._run.options import (
    MARK_TIMEOUT,
    MAX_PARALLEL,
    GivenParams,
    GivenSelectors,
    as_callbacks,
    as_opener,
    as_policy,
    checked_workflow_id,
)
from asyncsteps._run.parts import RunParts
from asyncsteps._run.selectors import RunSelectors
from asyncsteps._run.signals import Signals
from asyncsteps._tasks.activity import Activity, ActivityTask
from asyncsteps._tasks.attributes import as_seconds, is_count
from asyncsteps._tasks.canvas import Group, as_submittable
from asyncsteps._tasks.limiter import Limiter
from asyncsteps._tasks.signals import MarkerTask, Signal, SignalTask, WaitForSignal
from asyncsteps._tasks.step import Step
from asyncsteps._tasks.submittable import Submittable
from asyncsteps.store._protocol import StepStore

logger = logging.getLogger("asyncsteps")

R = TypeVar("R")


class StepRun(RunSelectors):
    """One execution of a workflow, over a store of done steps; an ``async with`` block, entered once.

    Submit from any number of tasks of one event loop. Leaving the block waits for the submissions that other tasks
    have under way, and then the run refuses work. Whatever is known of done steps is as of its fetch, but for the
    run's own marks and withdrawals; see `refresh`.

    Args:
        store: The store, open, or an async callable that gives it when it is first needed; whoever opened it
            closes it.
        workflow_id: Recorded in the done marks.
        run_id: Likewise; None: a random one.
        force: Selectors of steps to play though they are done, or a mapping of selector to reason.
        skip: Selectors of steps to skip, or a mapping of selector to reason. Force beats skip.
        version: The workflow's version, recorded in the done marks.
        max_parallel: How many activities may be under way at once, those in worker threads included.
        withdraw_invalidated: Whether done marks that playing a step invalidates are withdrawn from the store
            before its activities start. False: forced steps and dependents behave as in simpleflow, and a run that
            is interrupted may leave stale ones marked.
        on_marker: Called with each `Marker` as it is recorded: one callable, or several.
        markers_file: A file that gets each marker as a line of JSON.
        mark_timeout: How long a mark, or a withdrawal, that has begun may take to end after a cancellation, in
            seconds. One that takes longer is logged as not known to be stored.
        step_activity_params: simpleflow's parameters of the listing and marking activities; natively ``retry``,
            ``start_to_close_timeout`` and ``schedule_to_close_timeout`` apply to each request to the store.

    Raises:
        WorkflowIdError: When the workflow id is missing or empty.
        SelectorError: When a selector is malformed.
        StepDefinitionError: When another argument is refused.
    """

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
        withdraw_invalidated: bool = True,
        on_marker: OnMarker | Iterable[OnMarker] = (),
        markers_file: str | PathLike[str] | None = None,
        mark_timeout: float = MARK_TIMEOUT,
        step_activity_params: GivenParams | None = None,
    ) -> None:
        if not is_count(max_parallel, least=1):
            raise StepDefinitionError(f"max_parallel={max_parallel!r} is refused: it is an int of at least 1")
        self._workflow_id = checked_workflow_id(workflow_id)
        self._run_id = run_id or str(uuid.uuid4())
        self._version = version
        lifetime = Lifetime(Limiter(max_parallel))
        self._parts = RunParts(
            planner=_planner(force, skip, withdraw_invalidated=withdraw_invalidated),
            marks=StoredMarks(
                as_opener(store),
                policy=as_policy(step_activity_params),
                mark_timeout=as_seconds(mark_timeout, "mark_timeout") or MARK_TIMEOUT,
            ),
            markers=MarkerLog(on_marker=as_callbacks(on_marker), markers_file=markers_file),
            signals=Signals(lifetime),
            limiter=lifetime.limiter,
            identity={"run_id": self._run_id, "workflow_id": self._workflow_id, "version": self._version},
            lifetime=lifetime,
        )
        self._dispatch = Dispatch(self._parts)
        self._has_planned = False

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
        return list(self._parts.markers.markers)

    @property
    def failures(self) -> list[Exception]:
        """What failed so far, each once: `StepFailedError` for a step, and what was not raised to a caller.

        A failure that a later attempt made good is not listed: that of a step which later succeeded, and
        those within an attempt of an activity which another attempt followed.
        """
        return self._parts.failures.errors

    @property
    def counts(self) -> Mapping[Status, int]:
        """How many step markers of each status there are."""
        return self._parts.markers.counts

    @property
    def under_way(self) -> tuple[str, ...]:
        """The names of the steps that run: an activity within them has begun; in order of their submission."""
        return self._dispatch.steps.locks.held(running=True)

    @property
    def queued(self) -> tuple[str, ...]:
        """The names of the steps that are submitted and do not run yet, in order of their submission."""
        return self._dispatch.steps.locks.held(running=False)

    async def __aenter__(self) -> Self:
        self._parts.lifetime.enter()
        try:
            self._parts.markers.open()
        except BaseException:
            self._parts.lifetime.close()
            raise
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        lifetime = self._parts.lifetime
        try:
            if exc_type is None:
                await lifetime.until_idle(self._parts.signals)
                self._warn_of_unmatched()
        finally:
            try:
                await lifetime.cancel()
            finally:
                self._parts.markers.close()

    def _warn_of_unmatched(self) -> None:
        if self._parts.planning or (self._has_planned and not self.markers):
            return  # a plan names its own
        for selector in self._parts.planner.unmatched():
            logger.warning("selector %r matched no step of run %s: is it misspelt?", selector, self._run_id)

    @overload
    async def submit(self, submittable: Step, /) -> StepOutcome: ...

    @overload
    async def submit(self, submittable: Group, /) -> list[Any]: ...

    @overload
    async def submit(self, submittable: ActivityTask[R], /) -> R: ...

    @overload
    async def submit(self, submittable: Activity[..., R], /, *args: Any, **kwargs: Any) -> R: ...

    @overload
    async def submit(self, submittable: object, /, *args: Any, **kwargs: Any) -> Any: ...

    async def submit(self, submittable: object, /, *args: Any, **kwargs: Any) -> Any:
        """Play something, in the caller's task, and give what it gives.

        For a step that is its `StepOutcome`, for a chain or a group the list of its members' results, for an
        activity its result.

        Args:
            submittable: A callable, a ``(callable, argument, ...)`` tuple, an activity task, a chain, a group, a
                step, a signal, a marker.
            args: Positional arguments of a callable.
            kwargs: Keyword arguments of a callable.

        Raises:
            RunClosedError: Before the run is entered, and after it has ended.
            StepDefinitionError: When it cannot be submitted.
            StepFailedError: When a step failed whose failures bubble.
            StepDeadlockError: When a step would wait for itself.
            StoreError: When the store fails, whatever bubbles.
            ExceptionGroup: The failures of a group's members.
            Exception: What an activity raised, unless its ``raises_on_failure`` is False: then the failure is
                logged and listed, and the result is None.
        """
        lifetime = self._parts.lifetime
        lifetime.check_loop()
        item = as_submittable(submittable, *args, **kwargs)
        if isinstance(item, SignalTask | MarkerTask):
            played = await self._dispatch.play(item)
        else:
            played = await lifetime.submission(partial(self._dispatch.play, item))
        if played.error is None:
            return played.result
        if played.infrastructure or _raises(item):
            raise played.error
        self._parts.failures.absorb(played.error)
        return played.result

    async def signal(self, name: str, /, *args: Any, propagate: bool = True, **kwargs: Any) -> None:
        """Send a signal to this run, with a payload; in chains use `SignalTask`.

        Args:
            name: Its name.
            args: Positional payload.
            propagate: simpleflow's; a native run has no child workflows, so it changes nothing.
            kwargs: Keyword payload.
        """
        await self.submit(SignalTask(name, *args, propagate=propagate, **kwargs))

    async def wait_signal(self, name: str, /) -> Signal:
        """Wait for a signal of this run; one that was sent before counts. In chains use `WaitForSignal`."""
        return cast("Signal", await self.submit(WaitForSignal(name)))

    def record_marker(self, name: str, details: Any = None) -> Marker:
        """Record a marker of one's own, now; in chains use `MarkerTask`.

        Args:
            name: Its name.
            details: JSON values.

        Raises:
            RunClosedError: Outside the block.
            StepDefinitionError: When the name is empty, or the details are no JSON.
        """
        self._parts.lifetime.check_open()
        marker = MarkerTask(name, details)
        return self._parts.markers.record(marker.marker_name, marker.details)

    def raise_for_failures(self) -> None:
        """Raise all failures of the run, if there are any.

        Raises:
            ExceptionGroup: Holding `failures`.
        """
        if self.failures:
            raise ExceptionGroup(f"{len(self.failures)} failures in run {self._run_id}", self.failures)

    async def refresh(self) -> None:
        """Forget what is known of done steps: later questions see what other runs have marked or withdrawn."""
        self._parts.lifetime.check_loop()
        self._parts.marks.forget()

    async def plan(self, code: "PlannableCode") -> Plan:
        """What this run would decide, with nothing played, nothing written, and nothing of it left in the run.

        Args:
            code: Submittables, submitted one after the other, or an async function that is called with a run
                that only plans. Its code runs as ever; where it uses a result that only playing would tell, or
                waits for a signal that is not sent, the plan ends, incomplete. Activities are taken to succeed;
                steps that they submit from within are not seen.

        Raises:
            RunClosedError: Outside the block.
            StoreError: When the store cannot tell what is done.
        """
        self._parts.lifetime.check_loop()
        self._has_planned = True
        marks = PlannedMarks(self._parts.marks)
        lifetime = Lifetime(Limiter(MAX_PARALLEL))
        shadow = copy.copy(self)
        shadow._parts = RunParts(  # noqa: SLF001 - its own kind
            planner=copy.deepcopy(self._parts.planner),
            marks=marks,
            markers=MarkerLog(on_marker=(marks.decided,), silent=True),
            signals=Signals(lifetime, self._parts.signals.sent),
            limiter=lifetime.limiter,
            identity=self._parts.identity,
            lifetime=lifetime,
            planning=True,
        )
        shadow._dispatch = Dispatch(shadow._parts)  # noqa: SLF001 - its own kind
        async with shadow:
            incomplete = await end_of_plan(shadow.submit, code, shadow)
        return Plan(tuple(marks.decisions), incomplete, tuple(shadow.unmatched_selectors))


PlannableCode = Iterable[object] | Submittable | Callable[[StepRun], Awaitable[object]]
"""What can be planned: submittables, or an async function of a run."""


def _raises(item: Submittable) -> bool:
    """Whether the failure of what was submitted reaches the caller."""
    if isinstance(item, ActivityTask):
        return item.attributes.raises_on_failure is not False
    if isinstance(item, Group):
        return item.raises_on_failure is not False
    return True


def _planner(force: GivenSelectors, skip: GivenSelectors, *, withdraw_invalidated: bool) -> Planner:
    planner = Planner(withdraw_invalidated=withdraw_invalidated)
    for selector, reason in as_reasoned_selectors(force):
        planner.add_forced(selector, reason)
    for selector, reason in as_reasoned_selectors(skip):
        planner.add_skipped(selector, reason)
    return planner
