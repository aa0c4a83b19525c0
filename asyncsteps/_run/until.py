"""Where a run stops before its code ends: after the steps that its ``until`` selects."""

from collections.abc import Awaitable, Callable, Iterable
from contextvars import ContextVar
from typing import NoReturn

from asyncsteps._errors import ActivityTimeoutError, RunStopped
from asyncsteps._plan.names import selectors_of
from asyncsteps._run.lifetime import Lifetime, Waiters
from asyncsteps._run.markers import MarkerLog
from asyncsteps._run.name_locks import NameLock, NameLocks
from asyncsteps._run.played import Played
from asyncsteps._tasks.activity import ActivityTask
from asyncsteps._tasks.step import Step
from asyncsteps._tasks.submittable import Submittable

STOPPED_MARKER = "log.stopped"
"""The name of the marker of a run that stops before its code ends."""


class _Playing:
    """An activity that is played.

    Attributes:
        until: Of which run.
        outer: The one, of any run, that it was submitted from.
        held_up: Whether something within it has waited, not begun.
    """

    __slots__ = ("held_up", "outer", "until")

    def __init__(self, until: "Until") -> None:
        self.until = until
        self.outer = _playing.get()
        self.held_up = False


_playing: ContextVar[_Playing | None] = ContextVar("asyncsteps_until_playing", default=None)
"""The activity that the current code belongs to."""


class Until:
    """Begins nothing more once a step that the selectors match has ended, and none is under way.

    What is within a step that has begun goes on, unless a matching step has ended within it. What is not begun
    waits until nothing of the run can go on; then all that is left is cancelled.

    Args:
        selectors: What the run stops after.
        play: Plays a submittable.
        lifetime: The lifetime of the run.
        locks: The names of the steps under way.
        markers: Where the stop is recorded.
        run_id: The run's id.
    """

    def __init__(
        self,
        selectors: Iterable[str],
        play: Callable[[Submittable], Awaitable[Played]],
        *,
        lifetime: Lifetime,
        locks: NameLocks,
        markers: MarkerLog,
        run_id: str,
    ) -> None:
        self._selectors = frozenset(selectors)
        self._play = play
        self._lifetime = lifetime
        self._locks = locks
        self._markers = markers
        self._run_id = run_id
        self._under_way = 0
        self._last: str | None = None
        self._reached_within: set[NameLock] = set()
        self._parked = 0
        self._waiters = Waiters(lifetime)

    def __len__(self) -> int:
        """How much waits, not begun."""
        return self._parked

    def give_up(self) -> None:
        """Stop the run: nothing that has begun can go on."""
        assert self._last is not None
        if self._lifetime.stopped is None:
            self._markers.record(STOPPED_MARKER, {"after": self._last, "until": sorted(self._selectors)})
        self._lifetime.stop(RunStopped(self._last, self._run_id))

    async def play(self, item: Submittable) -> Played:
        """Play a submittable, unless it is not to be begun."""
        if isinstance(item, Step):
            return await self._play_step(item)
        if isinstance(item, ActivityTask):
            return await self._play_activity(item)
        return await self._play(item)

    async def _play_step(self, step: Step) -> Played:
        if self._selectors.isdisjoint(selectors_of(step.step_name)):
            await self._pass()
            return await self._play(step)
        self._under_way += 1
        try:
            played = await self._play(step)
            self._last = step.step_name
            self._reached_within.update(self._locks.enclosing())
        finally:
            self._under_way -= 1
        return played

    async def _play_activity(self, task: ActivityTask[object]) -> Played:
        await self._pass()
        playing = _Playing(self)
        token = _playing.set(playing)
        try:
            played = await self._play(task)
        except BaseException as error:
            if left_by(error, self._run_id) != (None, True) or self._is_in_thread():
                raise
        else:
            if not (playing.held_up and isinstance(played.error, ActivityTimeoutError)):
                return played
        finally:
            _playing.reset(token)
        # It has ended in its thread, or overrun a timeout while something within it waited.
        return await self._wait()

    def check_retry(self) -> None:
        """Raise `RunStopped` if the current activity has failed because something within it waited."""
        playing = _playing.get()
        if playing is not None and playing.held_up:
            assert self._last is not None
            raise RunStopped(self._last, self._run_id)

    async def _pass(self) -> None:
        """Return at once if what follows may begin."""
        if self._last is None or self._under_way:
            return
        around = self._locks.enclosing()
        if around and around[-1] not in self._reached_within:
            return
        if self._is_in_thread():
            raise RunStopped(self._last, self._run_id)
        await self._wait()

    def _is_in_thread(self) -> bool:
        """Whether a thread waits for what is played: nobody could tell then whether the run goes on."""
        return any(slot.threaded for slot in self._lifetime.limiter.around())

    async def _wait(self) -> NoReturn:
        """Wait for the end of the run."""
        if self._lifetime.stopped is None:
            self._parked += 1
            self._hold_up()
            self._lifetime.stop_when_idle(self)
            try:
                await self._waiters.wait()
            finally:
                self._parked -= 1
        assert self._last is not None
        raise RunStopped(self._last, self._run_id)

    def _hold_up(self) -> None:
        playing = _playing.get()
        while playing is not None:
            playing.held_up |= playing.until is self
            playing = playing.outer


def left_by(error: BaseException, run_id: str) -> tuple[BaseException | None, bool]:
    """Return what leaves the block of a run besides its `RunStopped`, and whether that does."""

    def stops(each: BaseException) -> bool:
        return isinstance(each, RunStopped) and each.run_id == run_id

    if isinstance(error, BaseExceptionGroup):
        stopping, rest = error.split(stops)
        return rest, stopping is not None
    return (None, True) if stops(error) else (error, False)
