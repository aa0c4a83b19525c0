"""The order of submissions of one step name: the second waits for the first to end."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar

import anyio

from asyncsteps._errors import StepDeadlockError

_Lineage = tuple[tuple["Turns", str], ...]

_lineage: ContextVar[_Lineage] = ContextVar("asyncsteps_lineage", default=())
"""The steps, of whichever run, that the current code is played by."""


class Turns:
    """Whose turn it is, for each name of a run."""

    def __init__(self) -> None:
        self._holders: dict[str, anyio.Event | None] = {}
        self._waits: dict[str, Counter[str]] = {}

    @property
    def held(self) -> tuple[str, ...]:
        """The names whose turn is under way, in order of their begin."""
        return tuple(self._holders)

    @asynccontextmanager
    async def turn(self, name: str) -> AsyncIterator[None]:
        """Wait for the turn of ``name``, and hold it.

        Raises:
            StepDeadlockError: When it could never come, as the submissions wait for each other.
        """
        lineage = _lineage.get()
        if name in self._holders:
            await self._wait(name, tuple(held for turns, held in lineage if turns is self))
        self._holders[name] = None
        token = _lineage.set((*lineage, (self, name)))
        try:
            yield
        finally:
            _lineage.reset(token)
            ended = self._holders.pop(name)
            if ended is not None:
                ended.set()

    async def _wait(self, name: str, within: tuple[str, ...]) -> None:
        """Wait until nobody holds ``name``; ``within`` are the steps that cannot end before that."""
        cycle = self._path(name, within)
        if cycle is not None:
            raise StepDeadlockError(cycle)
        for step in within:
            self._waits.setdefault(step, Counter())[name] += 1
        try:
            while name in self._holders:
                ended = self._holders[name]
                if ended is None:
                    ended = self._holders[name] = anyio.Event()
                await ended.wait()
        finally:
            for step in within:
                self._waits[step][name] -= 1
                self._waits[step] += Counter()  # drops what has come to zero
                if not self._waits[step]:
                    del self._waits[step]

    def _path(self, name: str, within: tuple[str, ...]) -> tuple[str, ...] | None:
        """How ``name`` waits, over others, for one of ``within``; None when it does not."""
        paths: list[tuple[str, ...]] = [(name,)]
        seen = {name}
        while paths:
            path = paths.pop()
            if path[-1] in within:
                return path
            for step in self._waits.get(path[-1], ()):
                if step not in seen:
                    seen.add(step)
                    paths.append((*path, step))
        return None
