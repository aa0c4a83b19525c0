"""An event loop in virtual time: waiting takes no time, and durations are exact."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class _NoWaiting(selectors.DefaultSelector):
    """Polls instead of waiting, and adds up how long it would have waited."""

    def __init__(self) -> None:
        super().__init__()
        self.waited = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        events: list[tuple[selectors.SelectorKey, int]] = super().select(0)
        if not events:
            if timeout is None:
                raise RuntimeError("deadlock: nothing is ready and nothing is scheduled")
            self.waited += max(0.0, timeout)
        return events


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """Time passes only while every task waits, and then at once: an hour's sleep takes no time."""

    def __init__(self) -> None:
        self._virtual = _NoWaiting()
        super().__init__(self._virtual)

    def time(self) -> float:
        return self._virtual.waited

    def pass_time(self, seconds: float) -> None:
        """Let time pass at once, as work does that holds the loop up."""
        self._virtual.waited += seconds


def run_virtually(main: Coroutine[Any, Any, T]) -> T:
    """Run ``main`` on a loop in virtual time."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main)
