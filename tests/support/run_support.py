"""Helpers for the tests of runs: a store with gates, and short views of markers."""

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import anyio

from asyncsteps import MemoryStore, StepRun, StoreError

RECORD = {"run_id": "earlier", "workflow_id": "w", "version": None}


class Gate:
    """A gate that callers wait at while it is shut; ``arrived`` is set by the first."""

    def __init__(self) -> None:
        self.arrived = anyio.Event()
        self._open = anyio.Event()
        self._open.set()

    def shut(self) -> None:
        self._open = anyio.Event()

    def open(self) -> None:
        self._open.set()

    async def passed(self) -> None:
        self.arrived.set()
        await self._open.wait()


class GatedStore(MemoryStore):
    """A memory store that records calls, can fail, and has gates before marks and withdrawals."""

    def __init__(self, done: Iterable[str] = ()) -> None:
        super().__init__(dict.fromkeys(done, RECORD))
        self.marking = Gate()
        self.withdrawing = Gate()
        self.fail: set[str] = set()
        self.error: type[StoreError] = StoreError
        self.calls: list[str] = []

    def _called(self, method: str) -> None:
        self.calls.append(method)
        if method in self.fail:
            raise self.error(f"{method} fails")

    async def mark_done(self, name: str, record: Mapping[str, Any], *, first_wins: bool = False) -> bool:
        self._called("mark_done")
        await self.marking.passed()
        return await super().mark_done(name, record, first_wins=first_wins)

    async def withdraw(self, names: Iterable[str]) -> list[str]:
        self._called("withdraw")
        await self.withdrawing.passed()
        return await super().withdraw(names)

    async def done_page(self, start_after: str = "") -> Any:
        self._called("done_page")
        return await super().done_page(start_after)

    async def read_done(self, name: str) -> dict[str, Any] | None:
        self._called("read_done")
        return await super().read_done(name)

    @property
    def done(self) -> list[str]:
        return list(self.records)


@asynccontextmanager
async def run_over(store: MemoryStore, **options: Any) -> AsyncIterator[StepRun]:
    async with store, StepRun(store, workflow_id="w", **options) as run:
        yield run


def story(run: StepRun) -> list[tuple[str, str]]:
    """The step markers, as pairs of step and status."""
    return [
        (marker.details["step"], marker.details["status"]) for marker in run.markers if marker.name == "log.step"
    ]


def details(run: StepRun, step: str) -> list[dict[str, Any]]:
    """The details of one step's markers."""
    return [marker.details for marker in run.markers if marker.details["step"] == step]


async def noop() -> None:
    """An activity that does nothing."""


async def fails() -> None:
    """An activity that fails."""
    raise ValueError("no luck")
