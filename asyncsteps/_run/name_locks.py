"""One submission of a step name at a time: the second waits for the first to end."""

from collections import defaultdict
from collections.abc import Callable
from contextvars import ContextVar, Token
from datetime import UTC, datetime
from typing import Self

from asyncsteps._errors import StepDeadlockError
from asyncsteps._run.lifetime import Lifetime, Waiters
from asyncsteps._tasks.attempt import StepNotes
from asyncsteps._tasks.retry import Named


class NameLock:
    """A step name that is held, until the block of this lock is left.

    Attributes:
        attempts: The most attempts that one activity within the step has taken so far.
        owner: The locks that it belongs to.
        name: The step's name.
        notes: The notes of the step's activities; None while there are none.
        released: Whether it has been released.
        started: When an activity within the step first began to run, in UTC; None while none did.
        waiters: Who waits for its release.
        waits_for: The names that submissions from within the step wait for, with how many wait for each.
    """

    _token: "Token[tuple[NameLock, ...]]"
    __slots__ = ("_token", "attempts", "name", "notes", "owner", "released", "started", "waiters", "waits_for")

    def __init__(self, owner: "NameLocks", name: str) -> None:
        self.owner = owner
        self.name = name
        self.released = False
        self.started: datetime | None = None
        self.attempts = 0
        self.notes: StepNotes | None = None
        self.waiters: Waiters | None = None
        self.waits_for: defaultdict[str, int] = defaultdict(int)

    def __enter__(self) -> Self:
        self._token = _enclosing.set((*_held(), self))
        return self

    def all_notes(self) -> StepNotes:
        """The notes of the step's activities, to add to."""
        self.notes = self.notes or StepNotes()
        return self.notes

    def __exit__(self, *exc_info: object) -> None:
        _enclosing.reset(self._token)
        self.owner.release(self)


_enclosing: ContextVar[tuple[NameLock, ...]] = ContextVar("asyncsteps_enclosing_steps", default=())
"""The steps, of any run, that the current code runs within; a task may outlive some of them."""


def _held() -> list[NameLock]:
    """The steps that the current code runs within, less those that it has outlived."""
    return [lock for lock in _enclosing.get() if not lock.released]


def enclosing_step() -> str | None:
    """The name of the innermost step that the current code runs within; None outside of steps."""
    return next((lock.name for lock in reversed(_enclosing.get()) if not lock.released), None)


def note_running(activity: Named, attempt: int = 1) -> None:
    """Note that an activity begins to run within the enclosing steps, for the ``attempt``-th time."""
    for lock in _enclosing.get():
        lock.attempts = max(lock.attempts, attempt)
        if lock.started is None:
            lock.started = datetime.now(UTC)
            if lock.owner.on_start is not None:
                lock.owner.on_start(lock, activity)


class NameLocks:
    """The names of the steps under way in one run.

    Args:
        lifetime: The lifetime of the run.
        on_start: Called when the first activity of a step begins to run.
    """

    def __init__(self, lifetime: Lifetime, on_start: Callable[[NameLock, Named], object] | None = None) -> None:
        self._lifetime = lifetime
        self.on_start = on_start
        self._locks: dict[str, NameLock] = {}

    def held(self, *, running: bool) -> tuple[str, ...]:
        """The names whose steps run, or are queued, in the order in which they were acquired."""
        return tuple(name for name, lock in list(self._locks.items()) if (lock.started is not None) is running)

    def innermost(self) -> NameLock | None:
        """The innermost step of this run that the current code runs within; None outside of its steps."""
        for lock in reversed(_enclosing.get()):
            if lock.owner is self and not lock.released:
                return lock
        return None

    def enclosing(self) -> list[NameLock]:
        """The steps of this run that the current code runs within, outermost first."""
        return [lock for lock in _held() if lock.owner is self]

    async def acquire(self, name: str) -> NameLock:
        """Acquire ``name``; enter the lock, to hold it inside the block.

        Raises:
            StepDeadlockError: When it would never be released, because the submissions wait for each other.
        """
        if name in self._locks:
            await self._wait(name, [lock for lock in _held() if lock.owner is self])
        lock = self._locks[name] = NameLock(self, name)
        return lock

    def release(self, lock: NameLock) -> None:
        """Release a name, and wake those that wait for it."""
        del self._locks[lock.name]
        lock.released = True
        if lock.waiters is not None:
            lock.waiters.wake()

    async def _wait(self, name: str, enclosing: list[NameLock]) -> None:
        """Wait until ``name`` is free; the ``enclosing`` steps cannot end before that."""
        cycle = self._cycle(name, {lock.name for lock in enclosing})
        if cycle is not None:
            raise StepDeadlockError(cycle)
        for lock in enclosing:
            lock.waits_for[name] += 1
        try:
            while name in self._locks:
                holder = self._locks[name]
                if holder.waiters is None:
                    holder.waiters = Waiters(self._lifetime)
                await holder.waiters.wait()
        finally:
            for lock in enclosing:
                lock.waits_for[name] -= 1

    def _cycle(self, name: str, enclosing: set[str]) -> tuple[str, ...] | None:
        """The chain of waits from ``name`` to one of the ``enclosing`` steps; None when there is none."""
        paths: list[tuple[str, ...]] = [(name,)]
        seen = {name}
        while paths:
            path = paths.pop()
            if path[-1] in enclosing:
                return path
            holder = self._locks.get(path[-1])
            for step, waits in () if holder is None else holder.waits_for.items():
                if waits and step not in seen:
                    seen.add(step)
                    paths.append((*path, step))
        return None
