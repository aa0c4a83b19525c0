"""One submission of a step name at a time: the second waits for the first to end."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar

import anyio

from asyncsteps._errors import StepDeadlockError


class _Lock:
    """A step name that is held.

    Attributes:
        owner: The locks that it belongs to.
        name: The step's name.
        released: Whether it has been released.
        waiter: The event of its release; None while nobody waits.
        waits_for: The names that submissions from within the step wait for, with how many wait for each.
    """

    __slots__ = ("name", "owner", "released", "waiter", "waits_for")

    def __init__(self, owner: "NameLocks", name: str) -> None:
        self.owner = owner
        self.name = name
        self.released = False
        self.waiter: anyio.Event | None = None
        self.waits_for: Counter[str] = Counter()


_enclosing: ContextVar[tuple[_Lock, ...]] = ContextVar("asyncsteps_enclosing_steps", default=())
"""The steps, of any run, that the current code runs within; a task may outlive some of them."""


def enclosing_step() -> str | None:
    """The name of the innermost step that the current code runs within; None outside of steps."""
    return next((lock.name for lock in reversed(_enclosing.get()) if not lock.released), None)


class NameLocks:
    """The names of the steps under way in one run."""

    def __init__(self) -> None:
        self._locks: dict[str, _Lock] = {}

    @property
    def held(self) -> tuple[str, ...]:
        """The names that are held, in the order in which they were acquired."""
        return tuple(self._locks)

    @asynccontextmanager
    async def hold(self, name: str) -> AsyncIterator[None]:
        """Acquire ``name``, and hold it inside the block.

        Raises:
            StepDeadlockError: When it would never be released, because the submissions wait for each other.
        """
        enclosing = tuple(lock for lock in _enclosing.get() if not lock.released)
        if name in self._locks:
            await self._wait(name, [lock for lock in enclosing if lock.owner is self])
        lock = self._locks[name] = _Lock(self, name)
        token = _enclosing.set((*enclosing, lock))
        try:
            yield
        finally:
            _enclosing.reset(token)
            del self._locks[name]
            lock.released = True
            if lock.waiter is not None:
                lock.waiter.set()

    async def _wait(self, name: str, enclosing: list[_Lock]) -> None:
        """Wait until ``name`` is free; the ``enclosing`` steps cannot end before that."""
        cycle = self._cycle(name, {lock.name for lock in enclosing})
        if cycle is not None:
            raise StepDeadlockError(cycle)
        for lock in enclosing:
            lock.waits_for[name] += 1
        try:
            while name in self._locks:
                holder = self._locks[name]
                if holder.waiter is None:
                    holder.waiter = anyio.Event()
                await holder.waiter.wait()
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
            for step in () if holder is None else +holder.waits_for:
                if step not in seen:
                    seen.add(step)
                    paths.append((*path, step))
        return None
