"""One submission of a step under simpleflow: its phases in their order, as the links of a chain."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from simpleflow import activity, futures
from simpleflow.base import SubmittableContainer
from simpleflow.canvas import Chain
from simpleflow.exceptions import AggregateException, ExecutionBlocked
from simpleflow.task import ActivityTask

from asyncsteps._plan.model import (
    EmitSignal,
    ForceDependents,
    MarkDone,
    Phase,
    Play,
    RecordStatus,
    Status,
    Withdraw,
)
from asyncsteps.swf import _simpleflow as sf
from asyncsteps.swf._done.payload import size
from asyncsteps.swf._steps.done_names import Withdrawal
from asyncsteps.swf._steps.history import Recorded, markings
from asyncsteps.swf._steps.marker_log import MarkerLog
from asyncsteps.swf._steps.prefix_state import PrefixState
from asyncsteps.swf._steps.step import Step
from asyncsteps.swf.tasks import MarkStepDoneTask

_DECISION_CHARS = 2_000
"""An upper bound of what the JSON of a decision takes beside its details or input, in characters."""


_ID_CHARS = 240
"""What is left of an activity's id of SWF's 256 characters, where a number follows."""


class _Link(SubmittableContainer):
    """A link of the chain that is made when the chain reaches it."""

    def __init__(self, submit: Callable[[], futures.Future]) -> None:
        self._submit = submit

    def submit(self, executor: Any) -> futures.Future:
        """Make and submit it; called by simpleflow."""
        del executor
        return self._submit()


@dataclass(slots=True, eq=False)
class Submission:
    """One submission of a step in one run.

    Attributes:
        workflow: The workflow, with the mixin.
        step: The step.
        phases: The planner's phases.
        state: The state of the steps under the workflow's bucket and prefix.
        markers: The run's markers.
        force_dependents: Forces the steps that selectors match, for a reason.
        recorded: The recorded decision; None when it was taken now.
        number: The number of this submission among those of the name in the run, from 1.
        failed: Whether it has ended, and failed.
    """

    workflow: Any
    step: Step
    phases: tuple[Phase, ...]
    state: PrefixState
    markers: MarkerLog
    force_dependents: Callable[[list[str], str], None]
    recorded: Recorded | None
    number: int
    failed: bool = False
    _completion: str | None = None
    _ended: bool = False

    def play(self) -> futures.Future:
        """Submit the phases as one chain; the future is `step_future`'s."""
        chain = Chain(bubbles_exception_on_failure=self.step.bubbles_exception_on_failure)
        try:
            for link in self._links():
                chain.append(link)
            future = self.workflow.submit(chain)
        except ExecutionBlocked:
            raise
        except Exception:
            self.state.fail(self.step.step_name)
            raise
        if future.finished and not self._ended:
            self.failed = True
            self.state.fail(self.step.step_name)
        return step_future(future)

    def _links(self) -> Iterator[Any]:
        withdraw = next((phase for phase in self.phases if isinstance(phase, Withdraw)), None)
        for phase in self.phases:
            match phase:
                case ForceDependents(selectors, reason):
                    self.force_dependents(list(selectors), reason)
                case RecordStatus(status=Status.SCHEDULED):
                    self.state.begin(self.step.step_name)
                    yield _Link(partial(self._announce, phase, self._withdrawal(withdraw)))
                case Withdraw():
                    pass  # it goes out with the marker before it
                case Play(what):
                    yield getattr(self.step, what)
                case MarkDone():
                    yield _Link(self._mark)
                case RecordStatus(status=Status.COMPLETED):
                    yield _Link(partial(self._complete, phase))
                case RecordStatus():
                    yield _Link(partial(self._skip, phase))
                case EmitSignal(name):
                    yield self.workflow.signal(name, propagate=False)

    # Marking and markers.

    def _mark(self) -> futures.Future:
        self.state.markings[self.step.step_name] += 1
        # A recorded completion proves that the mark was made, by whichever activity: an execution that began under
        # simpleflow's own steps goes on here.
        self._completion = self.markers.recorded.take_completion(self.step.step_name, self.state.place)
        if self._completion is not None:
            return sf.finished()
        return self.workflow.submit(self._marking())

    def _marking(self) -> Any:
        """The activity that marks the step, under an id that is fixed by its submission."""
        executor = self.workflow.executor
        args = (self.state.bucket, self.state.prefix, self.step.step_name)
        marking = self._activity(MarkStepDoneTask)
        if not sf.runs_on_swf(executor):
            return ActivityTask(marking, *args)
        return sf.activity_task(executor, marking, self._mark_id(marking, args), *args)

    def _mark_id(self, marking: Any, args: tuple[str, str, str]) -> str:
        """The id of the marking: a recorded one, else simpleflow's for the first of a name, else one of its own.

        Under simpleflow's id deciders of either kind find it. Not so after a withdrawal: a repair answers an id
        that a former execution has completed, and marks nothing.
        """
        executor, before = self.workflow.executor, self.state.markings[self.step.step_name] - 1
        plain_id, shared_id = sf.task_id(executor, marking, *args), sf.marking_id(executor, *args)
        own_id = f"{plain_id[:_ID_CHARS]}-{self.number}"
        if sf.activity_type(executor, own_id) is not None:
            return own_id
        if not marking.idempotent:
            # An earlier release let simpleflow count the ids.
            counted = [it for it in markings(executor.history, *args) if not it.startswith(plain_id[:_ID_CHARS])]
            return counted[before] if before < len(counted) else own_id
        if before == 0:
            for known_id in (shared_id, plain_id):  # the latter is of an earlier release
                if sf.activity_type(executor, known_id) is not None:
                    return known_id
            if not self.state.done.is_withdrawn(self.step.step_name):
                return shared_id
        return own_id

    def _complete(self, phase: RecordStatus) -> futures.Future:
        self._ended = True
        self.state.complete(self.step.step_name)
        return self._record(phase, self._completion)

    def _skip(self, phase: RecordStatus) -> futures.Future:
        self._ended = True
        return self._record(phase, self.recorded.details if self.recorded is not None else None)

    def _record(self, phase: RecordStatus, recorded: str | None) -> futures.Future:
        if recorded is not None:
            return sf.finished(recorded)
        return self.markers.record(phase, self.number, self.state.place)

    # Withdrawing.

    def _withdrawal(self, phase: Withdraw | None) -> Withdrawal | None:
        """What the submission withdraws: what the history says, else what it invalidates now; None: nothing."""
        if phase is None:
            return None
        name, state = self.step.step_name, self.state
        known = state.done.known_withdrawal(name, self.number, state.place)
        if known is not None and known.args:
            return known
        if known is None and self.recorded is not None:
            return None
        own = (phase.own,) if phase.own is not None and state.is_done(phase.own) else ()
        names = state.planner.invalidated(phase, [*own, *state.done.matching(phase.dependents)])
        if not names:
            return None
        # What comes later in the code may have been played before.
        keep = (state.marked | state.playing | self.markers.recorded.played[state.place]).difference(names)
        return state.done.new_withdrawal(
            name, self.number, state.place, names=names, under=phase.dependents, keep=keep
        )

    def _announce(self, phase: RecordStatus, withdrawal: Withdrawal | None) -> futures.Future:
        """Record ``scheduled`` and withdraw, in one response: a replay that finds one of them finds both."""
        executor = self.workflow.executor
        recorded = self.recorded.details if self.recorded is not None else None
        if withdrawal is None:
            return self._record(phase, recorded)
        if withdrawal.takes(self.step.step_name):
            self.state.marked.discard(self.step.step_name)  # one of this run's: if it fails now, it is not done
        if recorded is None and sf.runs_on_swf(executor):
            chars = size(phase.details) + size([withdrawal.args, withdrawal.kwargs]) + 2 * _DECISION_CHARS
            sf.make_room(executor, decisions=2 if self.state.place is None else 3, chars=chars)
        marker = self._record(phase, recorded)
        withdrawing = self.state.done.submit(withdrawal, self.workflow)
        if withdrawing.finished and withdrawing.exception is None:
            return marker
        return withdrawing

    def _activity(self, callable_: type) -> Any:
        return activity.Activity(callable_, **self.workflow._get_step_activity_params())  # noqa: SLF001 - the mixin's


class StepFuture(futures.Future):
    """The future of a step in the shape of simpleflow's: that of a chain of the listing and the step's chain.

    Its result is ``[None, results]``. None stands for the list of done steps. ``results`` are those of the links
    of the step's chain; the activities' is the second, the alternative activities' of a skipped step the first.

    Attributes:
        futures: The futures of the listing and of the step's chain, which has ``futures`` of its own, as far as
            they are submitted.
    """

    def __init__(self, *submitted: futures.Future) -> None:
        super().__init__()
        self.futures = list(submitted)


def step_future(inner: futures.Future, *, listing: bool = False) -> StepFuture:
    """Make the future of a step.

    Args:
        inner: The future of the step's chain.
        listing: Whether ``inner`` is the future of the listing instead.
    """
    future = StepFuture(inner) if listing else StepFuture(sf.finished(), inner)
    if inner.finished:
        error = inner.exception
        before: list[Any] = [] if listing else [None]
        future.set_exception(AggregateException([*before, error]) if error is not None else None)
        future.set_finished([*before, inner.result])
    elif inner.cancelled:
        future.set_cancelled()
    elif inner.running:
        future.set_running()
    return future
