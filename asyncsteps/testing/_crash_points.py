"""A store as one run reaches it until it crashes, and the moments at which it can."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Self

from asyncsteps._errors import StepDefinitionError
from asyncsteps._plan.model import STEP_MARKER, Marker, Status
from asyncsteps._run.run import StepRun
from asyncsteps._tasks.attributes import is_count
from asyncsteps.store._protocol import JournalFile, JournalFiles, StepStore
from asyncsteps.testing._faulty_store import FaultyStore, Operation, StoreCall


class SimulatedCrash(BaseException):
    """The run has crashed: what it still does is lost. Raised wherever it uses the store or begins a step.

    Not an ``Exception``: code that handles errors is not to go on.
    """


@dataclass(frozen=True, slots=True)
class CrashPoint:
    """A moment at which a run crashes. Make it with `request`, `start` or `mark`.

    Attributes:
        kind: What it is counted or named by.
        number: The number of a request; 0 for others.
        step: The name of a step; empty for a request.
        applied: Whether the crash comes after the effect, and before the reply.
    """

    kind: Literal["request", "start", "mark"]
    number: int = 0
    step: str = ""
    applied: bool = False

    @classmethod
    def request(cls, number: int, *, applied: bool = False) -> Self:
        """Crash before the n-th request to the store, 1 being the first, or when it has been ``applied``.

        Raises:
            StepDefinitionError: When ``number`` is not an int of at least 1.
        """
        if not is_count(number, least=1):
            raise StepDefinitionError(f"number={number!r} is refused: it is an int of at least 1")
        return cls("request", number=number, applied=applied)

    @classmethod
    def start(cls, step: str) -> Self:
        """Crash when this step begins, before it withdraws marks and before its activities."""
        return cls("start", step=step)

    @classmethod
    def mark(cls, step: str, *, applied: bool = False) -> Self:
        """Crash before the mark of this step, after its activities, or when the mark has been ``applied``."""
        return cls("mark", step=step, applied=applied)

    def __str__(self) -> str:
        what = f"request {self.number}" if self.kind == "request" else f"the {self.kind} of step {self.step!r}"
        return f"at {what}" if self.kind == "start" else f"{'after' if self.applied else 'before'} {what}"

    def is_at(self, call: StoreCall, number: int, *, applied: bool) -> bool:
        """Whether it is before, or after, this request."""
        if applied is not self.applied:
            return False
        if self.kind == "mark":
            return call.operation == "mark_done" and self.step in call.names
        return self.kind == "request" and self.number == number


class _CutOffFiles(JournalFiles):
    """The journals of a store, as long as the run lives."""

    def __init__(self, files: JournalFiles, client: "CrashingStore") -> None:
        self._files = files
        self._client = client

    @property
    def where(self) -> str:
        return self._files.where

    @property
    def remote(self) -> bool:
        return self._files.remote

    async def names(self) -> list[str]:
        return await self._files.names() if self._client.alive else []

    async def read(self, name: str) -> JournalFile | None:
        return await self._files.read(name) if self._client.alive else None

    async def write(self, name: str, body: bytes) -> None:
        if self._client.alive:
            await self._files.write(name, body)

    async def remove(self, names: Sequence[str]) -> None:
        if self._client.alive:
            await self._files.remove(names)


@dataclass(slots=True)
class Marks:
    """The marks that a run has made, and not withdrawn since, in order."""

    names: dict[str, None] = field(default_factory=dict)

    def note(self, operation: Operation, names: Iterable[str]) -> None:
        for name in names:
            if operation == "mark_done":
                self.names[name] = None
            elif operation == "withdraw":
                self.names.pop(name, None)


class CrashingStore(FaultyStore):
    """A store as one run reaches it, until the run crashes.

    Args:
        store: The store.
        at: When it crashes. None: it does not.

    Attributes:
        alive: Whether it has not crashed.
    """

    def __init__(self, store: StepStore, at: CrashPoint | None) -> None:
        super().__init__(store)
        self.alive = True
        self.run: StepRun | None = None
        self.task: asyncio.Task[Any] | None = None
        self.markers: tuple[Marker, ...] = ()
        self.acknowledged, self.applied = Marks(), Marks()
        self._at = at

    @property
    def journal_files(self) -> JournalFiles | None:
        files = super().journal_files
        return None if files is None else _CutOffFiles(files, self)

    def enter(self, run: StepRun) -> None:
        """Note the run."""
        self.run = run

    def watch(self, marker: Marker) -> None:
        """Crash where a step begins, if it is then; begin none after the crash."""
        if marker.name != STEP_MARKER or marker.details["status"] not in {Status.SCHEDULED, Status.SKIPPED}:
            return
        self._check()
        begins = marker.details["status"] == Status.SCHEDULED
        if (
            self._at is not None
            and self._at.kind == "start"
            and begins
            and marker.details["step"] == self._at.step
        ):
            self._crash()

    @contextlib.asynccontextmanager
    async def _call(self, operation: Operation, names: Iterable[str] = ()) -> AsyncIterator[None]:
        self._check()
        call = StoreCall(operation, tuple(names))
        self.calls.append(call)
        number = len(self.calls)
        self._crash_at(call, number, applied=False)
        if operation == "withdraw":
            self.acknowledged.note(operation, call.names)
        yield
        self.applied.note(operation, call.names)
        self._crash_at(call, number, applied=True)
        self._check()
        self.acknowledged.note(operation, call.names)

    def _crash_at(self, call: StoreCall, number: int, *, applied: bool) -> None:
        if self._at is not None and self._at.is_at(call, number, applied=applied):
            self._crash()

    def _check(self) -> None:
        if not self.alive:
            raise SimulatedCrash(f"the run has crashed {self._at}")

    def _crash(self) -> None:
        self.alive = False
        self.markers = tuple(self.run.markers) if self.run is not None else ()
        if self.task is not None and self.task is not asyncio.current_task():
            self.task.cancel()
        self._check()
