"""A run's way to its store: what is done, marks finished once begun, withdrawals that nobody overtakes."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import anyio

from asyncsteps._errors import (
    AccessDeniedError,
    ActivityTimeoutError,
    BucketNotFoundError,
    ClockSkewError,
    EndpointUnreachableError,
    RecordError,
    StepResultError,
    StoreClosedError,
    StoreError,
    WrongRegionError,
)
from asyncsteps._run.done_cache import DoneSteps
from asyncsteps._tasks.attributes import ActivityAttributes
from asyncsteps._tasks.retry import attempts
from asyncsteps.store._protocol import StepStore

T = TypeVar("T")

_FINAL = (
    AccessDeniedError,
    BucketNotFoundError,
    ClockSkewError,
    RecordError,
    StoreClosedError,
    WrongRegionError,
)
"""What trying again does not help against."""

OpenStore = Callable[[], Awaitable[StepStore]]
"""Gives the store when it is first needed."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How work that had to be finished ended.

    Attributes:
        error: Why it failed, or None.
        cancelled: The cancellation that came meanwhile and is still to be raised, or None.
    """

    error: Exception | None
    cancelled: asyncio.CancelledError | None


async def finish(work: Coroutine[Any, Any, object], *, timeout: float) -> Ended:  # noqa: ASYNC109 - after cancelling
    """Do ``work`` to its end, though the caller is cancelled meanwhile; then for at most ``timeout`` seconds."""
    # A cancel scope's shield holds off scopes only, and not Task.cancel(): so the work is a task of its own.
    task = asyncio.create_task(work)
    cancelled: asyncio.CancelledError | None = None
    try:
        await asyncio.wait({task})
    except asyncio.CancelledError as cancellation:
        cancelled = cancellation
        await _wait(task, timeout)
    if not task.done():
        task.cancel()
        await _wait(task, timeout)
        return Ended(
            StoreError(f"not known to be stored after {timeout:g} s, cut short by a cancellation"), cancelled
        )
    if task.cancelled():
        return Ended(StoreError("the store's work was cancelled from within"), cancelled)
    error = task.exception()
    if error is not None and not isinstance(error, Exception):
        raise error
    return Ended(error, cancelled)


async def _wait(task: asyncio.Task[object], seconds: float) -> None:
    """Wait for ``task``, at most so long, whatever cancels the waiting."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    with anyio.CancelScope(shield=True):
        while not task.done() and loop.time() < deadline:
            try:
                await asyncio.wait({task}, timeout=deadline - loop.time())
            except asyncio.CancelledError:
                continue  # the first one is raised when the work has ended


class Storing:
    """What a run knows of its store, and does to it.

    Args:
        open_store: Gives the store, called once.
        policy: Gives the retry and the timeouts of each question, mark and withdrawal, called once.
        mark_timeout: How long a mark or withdrawal that has begun may take to end once cancelled, in seconds.
    """

    def __init__(
        self, open_store: OpenStore, *, policy: Callable[[], ActivityAttributes], mark_timeout: float
    ) -> None:
        self._open_store = open_store
        self._policy = policy
        self._mark_timeout = mark_timeout
        self._opening: anyio.Event | None = None
        self._opened: tuple[StepStore, DoneSteps, ActivityAttributes] | None = None
        self._withdrawing: dict[str, list[anyio.Event]] = {}

    async def is_done(self, name: str) -> bool:
        """Whether ``name``, which is checked, is done.

        Raises:
            StepNameError: When the store cannot hold it.
            StoreError: When the store cannot tell.
        """
        store, done, _ = self._opened or await self._open()
        store.check_name(name)
        return await self._attempted("asking for done steps", lambda: done.is_done(name))

    async def under(self, selectors: Iterable[str]) -> list[str]:
        """The done names that any of the selectors matches."""
        _, done, _ = self._opened or await self._open()
        wanted = tuple(selectors)
        return await self._attempted("asking for done steps", lambda: done.under(wanted))

    async def saved_result(self, name: str) -> Any:
        """The result in the done record of ``name``; None when there is none."""
        store, _, _ = self._opened or await self._open()
        record = await self._attempted("reading a done step", lambda: store.read_done(name))
        return None if record is None else record.get("result")

    def savable(self, step: str, result: Any) -> Any:
        """``result`` as it comes back from JSON.

        Raises:
            StepResultError: When it is no JSON.
        """
        try:
            return json.loads(json.dumps(result, allow_nan=False))
        except (TypeError, ValueError, RecursionError) as error:
            raise StepResultError(step, error) from error

    async def mark(self, name: str, record: Mapping[str, Any]) -> Ended:
        """Mark ``name`` as done; begun, it is finished or known to have failed."""
        store, done, _ = self._opened or await self._open()

        async def work() -> None:
            await self._attempted("marking a step as done", lambda: store.mark_done(name, record))

        ended = await finish(work(), timeout=self._mark_timeout)
        if ended.error is None:
            done.marked(name)
        else:
            done.forget()  # it may be stored, or not
        return ended

    async def withdraw(self, names: list[str]) -> Ended:
        """Withdraw the marks of ``names``, whom `no_withdrawal_of` holds up until it has ended."""
        if not names:
            return Ended(None, None)
        ended_event = anyio.Event()
        for name in names:
            self._withdrawing.setdefault(name, []).append(ended_event)
        try:
            store, done, _ = self._opened or await self._open()

            async def work() -> None:
                await self._attempted("withdrawing done marks", lambda: store.withdraw(names))

            ended = await finish(work(), timeout=self._mark_timeout)
            if ended.error is None:
                done.withdrawn(names)
            else:
                done.forget()  # some may be withdrawn, or none
            return ended
        finally:
            for name in names:
                self._withdrawing[name].remove(ended_event)
                if not self._withdrawing[name]:
                    del self._withdrawing[name]
            ended_event.set()

    async def no_withdrawal_of(self, name: str) -> None:
        """Wait until no withdrawal of ``name`` is under way, which would take away a mark made meanwhile."""
        while name in self._withdrawing:
            await self._withdrawing[name][-1].wait()

    def forget(self) -> None:
        """Forget what is known of done steps."""
        if self._opened is not None:
            self._opened[1].forget()

    async def _open(self) -> tuple[StepStore, DoneSteps, ActivityAttributes]:
        """Open the store, once for all that ask; no lock, which would let them go on one by one."""
        while self._opened is None:
            if self._opening is not None:
                await self._opening.wait()
                continue
            self._opening = anyio.Event()
            try:
                policy = self._policy()
                store = await self._open_store()
                self._opened = (store, DoneSteps(store), policy)
            finally:
                self._opening.set()
                self._opening = None
        return self._opened

    async def _attempted(self, what: str, work: Callable[[], Awaitable[T]]) -> T:
        assert self._opened is not None
        store, _, policy = self._opened
        if policy.plain:
            return await work()
        try:
            return await attempts(what, policy, work, retried=(StoreError, ActivityTimeoutError), final=_FINAL)
        except ActivityTimeoutError as error:
            raise EndpointUnreachableError(
                f"{what} overran its {error.timeout} of {error.seconds:g} s; raise it in the step activity params",
                url=store.url,
            ) from error
