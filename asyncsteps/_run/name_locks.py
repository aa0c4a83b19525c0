"""The order of submissions of one step name: the second waits for the first to end."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar

import anyio

from asyncsteps._errors import StepDeadlockError


class _Turn:
    """A turn under way.

    Attributes:
        turns: Whose.
        name: The step's name.
        over: Whether it has ended.
        ended: The event of its end, once somebody waits for that.
        waits: The names that submissions from within it wait for.
    """

    __slots__ = ("ended", "name", "over", "turns", "waits")

    def __init__(self, turns: "Turns", name: str) -> None:
        self.turns = turns
        self.name = name
        self.over = False
        self.ended: anyio.Event | None = None
        self.waits: Counter[str] = Counter()


_lineage: ContextVar[tuple[_Turn, ...]] = ContextVar("asyncsteps_lineage", default=())
"""The steps, of whichever run, that the current code is played by; those that it has outlived among them."""


def playing_step() -> str | None:
    """The name of the innermost step that the current code is played by; None outside any."""
    return next((turn.name for turn in reversed(_lineage.get()) if not turn.over), None)


class Turns:
    """Whose turn it is, for each name of a run."""

    def __init__(self) -> None:
        self._holders: dict[str, _Turn] = {}

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
        lineage = tuple(turn for turn in _lineage.get() if not turn.over)
        if name in self._holders:
            await self._wait(name, [turn for turn in lineage if turn.turns is self])
        turn = self._holders[name] = _Turn(self, name)
        token = _lineage.set((*lineage, turn))
        try:
            yield
        finally:
            _lineage.reset(token)
            del self._holders[name]
            turn.over = True
            if turn.ended is not None:
                turn.ended.set()

    async def _wait(self, name: str, within: list[_Turn]) -> None:
        """Wait until nobody holds ``name``; ``within`` are the steps that cannot end before that."""
        cycle = self._path(name, {turn.name for turn in within})
        if cycle is not None:
            raise StepDeadlockError(cycle)
        for turn in within:
            turn.waits[name] += 1
        try:
            while name in self._holders:
                holder = self._holders[name]
                if holder.ended is None:
                    holder.ended = anyio.Event()
                await holder.ended.wait()
        finally:
            for turn in within:
                turn.waits[name] -= 1

    def _path(self, name: str, within: set[str]) -> tuple[str, ...] | None:
        """How ``name`` waits, over others, for one of ``within``; None when it does not."""
        paths: list[tuple[str, ...]] = [(name,)]
        seen = {name}
        while paths:
            path = paths.pop()
            if path[-1] in within:
                return path
            holder = self._holders.get(path[-1])
            for step in () if holder is None else +holder.waits:
                if step not in seen:
                    seen.add(step)
                    paths.append((*path, step))
        return None
