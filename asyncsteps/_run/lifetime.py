"""The lifetime of a run: entered once, open in between, closed for ever."""

from collections.abc import Iterator
from contextlib import contextmanager

import anyio

from asyncsteps._errors import RunClosedError


class Lifetime:
    """Whether a run takes work, and what it has under way."""

    def __init__(self) -> None:
        self._entered = False
        self._closed = False
        self._under_way = 0
        self._idle = anyio.Event()

    def enter(self) -> None:
        """Open.

        Raises:
            RunClosedError: The second time.
        """
        if self._entered:
            raise RunClosedError("a StepRun is entered once: make a new one for another run")
        self._entered = True

    def check_open(self) -> None:
        """Check that work is taken.

        Raises:
            RunClosedError: Before the run is entered, and after it has ended.
        """
        if self._closed:
            raise RunClosedError("the run has ended: submit within its 'async with' block")
        if not self._entered:
            raise RunClosedError("the run is not entered: use it within 'async with StepRun(...) as run:'")

    @contextmanager
    def working(self) -> Iterator[None]:
        """Count what is under way."""
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._idle.set()

    async def until_idle(self) -> None:
        """Wait until nothing is under way."""
        while self._under_way:
            self._idle = anyio.Event()
            await self._idle.wait()

    def close(self) -> None:
        """Take no more work."""
        self._closed = True
