"""What a run plays beside steps: activities, signals, markers; and the failures that end where they are."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any

from asyncsteps._errors import ActivityCancelledError, StepDefinitionError
from asyncsteps._plan.planner import Planner
from asyncsteps._run.done_marks import Storing
from asyncsteps._run.dry_run import PlanEndsError, Unknown
from asyncsteps._run.markers import Recorder
from asyncsteps._run.name_locks import playing_step
from asyncsteps._run.step_player import StepPlayer
from asyncsteps._tasks.activity import ActivityTask, play_task
from asyncsteps._tasks.limiter import Slots
from asyncsteps._tasks.signals import MarkerTask, Signals, SignalTask, WaitForSignal
from asyncsteps._tasks.step import Step
from asyncsteps._tasks.submittable import Played

logger = logging.getLogger("asyncsteps")


class Failures:
    """The failures of a run, each once."""

    def __init__(self) -> None:
        self.errors: list[Exception] = []
        self._listed: set[int] = set()

    def add(self, error: Exception) -> bool:
        """Add a failure; whether it was not on the list."""
        if id(error) in self._listed:  # an id stands for its error as long as the list holds it
            return False
        self._listed.add(id(error))
        self.errors.append(error)
        return True


class RunPlayer:
    """Plays submittables for one run; `Player` says what each method does.

    Args:
        planner: What decides of steps.
        storing: The run's store.
        recorder: Where its markers go.
        signals: Its signals.
        slots: What bounds the activities under way.
        identity: What the done records say of the run, and what classes with ``execute()`` get as ``context``.
        check_open: Raises when the run has ended.
        planning: Whether nothing is played: every result is unknown.
    """

    def __init__(
        self,
        *,
        planner: Planner,
        storing: Storing,
        recorder: Recorder,
        signals: Signals,
        slots: Slots,
        identity: Mapping[str, Any],
        check_open: Callable[[], None],
        planning: bool,
    ) -> None:
        self.failures = Failures()
        self.steps = StepPlayer(
            self,
            planner=planner,
            storing=storing,
            recorder=recorder,
            signals=signals,
            record=identity,
            check_open=check_open,
            on_failure=self.failures.add,
        )
        self._slots = slots
        self._signals = signals
        self._recorder = recorder
        self._context = identity
        self._planning = planning

    async def play_activity(self, task: ActivityTask[Any]) -> Played:
        """Play an activity task in a slot; what it raises is its failure."""
        if self._planning:
            step = playing_step()
            return Played(Unknown(f"activity {task.name}{f' in step {step}' if step else ''}"))
        try:
            return Played(await play_task(task, slots=self._slots, context=self._context))
        except asyncio.CancelledError as error:
            current = asyncio.current_task()
            if current is None or current.cancelling():
                raise
            cancelled = ActivityCancelledError(task.name)
            cancelled.__cause__ = error
            return Played(None, cancelled)
        except Exception as error:  # noqa: BLE001 - an activity may raise anything
            note = f"in activity {task.name}"
            if note not in getattr(error, "__notes__", ()):
                error.add_note(note)
            return Played(None, error)

    async def play_step(self, step: Step) -> Played:
        """Play a step through all its phases."""
        return await self.steps.play(step)

    async def send(self, signal: SignalTask) -> Played:
        """Send a signal."""
        self._signals.send(signal.signal)
        return Played(None)

    async def wait_for(self, signal: WaitForSignal) -> Played:
        """Wait for a signal; a plan cannot."""
        name = signal.signal_name
        if self._planning and self._signals.sent(name) is None:
            raise PlanEndsError(f"the code waits for the signal {name!r}, which is not sent before")
        return Played(await self._signals.wait(name))

    def mark(self, marker: MarkerTask) -> Played:
        """Record a marker."""
        try:
            return Played(self._recorder.record(marker.marker_name, marker.details))
        except StepDefinitionError as error:
            return Played(None, error, fatal=True)

    def swallow(self, error: Exception) -> None:
        """Log and list the failures that ``error`` holds, those that are not listed already."""
        if isinstance(error, ExceptionGroup):
            for each in error.exceptions:
                self.swallow(each)
        elif self.failures.add(error):
            logger.error("%s: %s", type(error).__name__, error, exc_info=error)
