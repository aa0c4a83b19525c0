"""What runs and workflows share: submissions, selectors, signals, markers."""

from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, ParamSpec, TypeVar, overload

from asyncsteps._plan.model import Marker, StepOutcome
from asyncsteps._plan.names import as_reasoned_selectors
from asyncsteps._run.dispatch import Dispatch
from asyncsteps._run.lifetime import Submission
from asyncsteps._run.options import GivenSelectors
from asyncsteps._run.parts import RunParts
from asyncsteps._tasks.activity import Activity, ActivityTask, AsyncExecutable, Executable
from asyncsteps._tasks.canvas import Group, as_playable
from asyncsteps._tasks.signals import MarkerTask, Signal, SignalTask, WaitForSignal
from asyncsteps._tasks.step import Step
from asyncsteps._tasks.submittable import Submittable

P = ParamSpec("P")
R = TypeVar("R")
V = TypeVar("V")


class BaseRun:
    """The base of `StepRun` and `Workflow`, over the parts of one run."""

    _parts: RunParts
    _dispatch: Dispatch

    @overload
    async def submit(self, submittable: Step[R], /) -> StepOutcome[R]: ...

    @overload
    async def submit(self, submittable: Submittable[R, V], /) -> R: ...

    @overload
    async def submit(self, submittable: tuple[Any, ...], /) -> Any: ...

    @overload
    async def submit(self, submittable: Activity[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R: ...

    @overload
    async def submit(
        self, submittable: Callable[P, Coroutine[Any, Any, R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> R: ...

    @overload
    async def submit(
        self, submittable: Callable[P, AsyncExecutable[R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> R: ...

    @overload
    async def submit(self, submittable: Callable[P, Executable[R]], /, *args: P.args, **kwargs: P.kwargs) -> R: ...

    @overload
    async def submit(self, submittable: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R: ...

    async def submit(self, submittable: object, /, *args: Any, **kwargs: Any) -> Any:
        """Play a submittable in the caller's task and return its result.

        A step returns its `StepOutcome`, a chain or a group the list of its members' results.

        Args:
            submittable: A callable, a ``(callable, argument, ...)`` tuple, an activity task, a chain, a group, a
                step, a signal, a marker.
            args: Positional arguments of a callable.
            kwargs: Keyword arguments of a callable.

        Raises:
            RunClosedError: Before the run is entered, and after it has ended.
            StepDefinitionError: When it cannot be submitted, or does not take the arguments.
            StepFailedError: When a step with ``bubbles_exception_on_failure`` fails.
            StepDeadlockError: When a step would wait for itself.
            StoreError: When the store fails, whether or not failures bubble.
            ExceptionGroup: The failures of a group's members.
            Exception: What an activity raised. With ``raises_on_failure=False`` the failure is logged and listed
                instead, and the result is None.
        """
        lifetime = self._parts.lifetime
        lifetime.check_loop()
        item = as_playable(submittable, *args, **kwargs)
        if isinstance(item, SignalTask | MarkerTask):
            played = await self._dispatch.play(item)
        else:
            slot = lifetime.limiter.current()
            with Submission(lifetime):
                if self._parts.turns.is_over():
                    await self._parts.turns.wait()
                if slot is None:
                    played = await self._dispatch.play(item)
                else:
                    played = await slot.yielded(partial(self._dispatch.play, item))
        if played.error is None:
            return played.result
        if played.infrastructure or _raises(item):
            raise played.error
        self._parts.failures.absorb(played.error)
        return played.result

    async def signal(self, name: str, /, *args: Any, propagate: bool = True, **kwargs: Any) -> None:
        """Send a signal to this run. Within chains use `SignalTask`.

        Args:
            name: Its name.
            args: Positional payload.
            propagate: simpleflow's; a native run has no child workflows, so it changes nothing.
            kwargs: Keyword payload.
        """
        await self.submit(SignalTask(name, *args, propagate=propagate, **kwargs))

    async def wait_signal(self, name: str, /) -> Signal:
        """Return a signal of this run, waiting unless it was already sent. Within chains use `WaitForSignal`."""
        return await self.submit(WaitForSignal(name))

    def record_marker(self, name: str, details: Any = None) -> Marker:
        """Record a marker now. Within chains use `MarkerTask`.

        Args:
            name: Its name.
            details: JSON values.

        Raises:
            RunClosedError: Outside the block.
            StepDefinitionError: When the name is empty, or the details are not JSON.
        """
        self._parts.lifetime.check_open()
        marker = MarkerTask(name, details)
        return self._parts.markers.record(marker.marker_name, marker.details)

    def add_forced_steps(self, steps: GivenSelectors, reason: str | None = None) -> None:
        """Force matching steps in submissions not yet decided.

        Args:
            steps: One selector, several, or a mapping of selector to reason.
            reason: The reason for selectors without their own.

        Raises:
            SelectorError: When a selector is malformed; none is then added.
        """
        for selector, own in as_reasoned_selectors(steps):
            self._parts.planner.add_forced(selector, own or reason)
            self._parts.markers.note("selector", force=selector, reason=own or reason)

    def add_skipped_steps(self, steps: GivenSelectors, reason: str | None = None) -> None:
        """Skip matching steps, unless they are forced, in submissions not yet decided.

        Args:
            steps: One selector, several, or a mapping of selector to reason.
            reason: The reason for selectors without their own.

        Raises:
            SelectorError: When a selector is malformed; none is then added.
        """
        for selector, own in as_reasoned_selectors(steps):
            self._parts.planner.add_skipped(selector, own or reason)
            self._parts.markers.note("selector", skip=selector, reason=own or reason)

    def get_forced_steps(self) -> list[str]:
        """The forced selectors, in order of addition."""
        return list(self._parts.planner.forced)

    def get_skipped_steps(self) -> list[str]:
        """The skipped selectors, in order of addition."""
        return list(self._parts.planner.skipped)


def _raises(item: Submittable) -> bool:
    """Whether the failure of what was submitted reaches the caller."""
    if isinstance(item, ActivityTask):
        return item.attributes.raises_on_failure is not False
    if isinstance(item, Group):
        return item.raises_on_failure is not False
    return True
