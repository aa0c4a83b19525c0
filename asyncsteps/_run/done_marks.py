"""Reads and writes the done marks of a run."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import anyio

from asyncsteps._errors import (
    FINAL_ERRORS,
    ActivityTimeoutError,
    EndpointUnreachableError,
    StepResultError,
    StoreError,
)
from asyncsteps._run.done_cache import DoneCache
from asyncsteps._tasks.attributes import ActivityAttributes
from asyncsteps._tasks.retry import attempts
from asyncsteps._tasks.shield import through_cancellations
from asyncsteps.store._budget import one_budget
from asyncsteps.store._protocol import StepStore

if TYPE_CHECKING:
    from asyncsteps._run.events import Events

P = ParamSpec("P")
T = TypeVar("T")

_ASKED_AGAIN = 2
"""Further attempts at a question to the store, unless the step activities' ``retry`` sets them."""

OpenStore = Callable[[], Awaitable[StepStore]]
"""Opens the store when it is first needed."""


@dataclass(frozen=True, slots=True)
class Finished:
    """The outcome of `finish`.

    Attributes:
        error: Why the work failed, or None.
        cancelled: The caller's cancellation meanwhile, still to be raised, or None.
    """

    error: BaseException | None = None
    cancelled: asyncio.CancelledError | None = None


_WELL = Finished()


async def finish(work: Coroutine[Any, Any, object], *, timeout: float) -> Finished:  # noqa: ASYNC109 - see below
    """Finish ``work`` even if the caller is cancelled, at most ``timeout`` seconds after that."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()
    cancelled: asyncio.CancelledError | None = None
    overrun = False

    def wake(_: object = None) -> None:
        if not ended.done():
            ended.set_result(None)

    def cut_short() -> None:
        nonlocal overrun
        overrun = task.cancel()

    async def do() -> None:
        try:
            await work
        finally:
            wake()  # a turn of the event loop before the task's callbacks

    # A task, because a shielded cancel scope does not keep out Task.cancel().
    task = loop.create_task(do())
    task.add_done_callback(wake)  # also when it is cancelled before it has begun
    try:
        await ended
    except asyncio.CancelledError as cancellation:
        cancelled = cancellation
        timer = loop.call_later(timeout, cut_short)
        await through_cancellations(task)
        timer.cancel()
    if task.cancelled():
        work.close()  # it may not have begun
        how = f"after {timeout:g} s, cut short by a cancellation" if overrun else "cancelled from within"
        return Finished(StoreError(f"not known to be stored {how}"), cancelled)
    error = task.exception()
    if error is None and cancelled is None:
        return _WELL
    return Finished(error, cancelled)


class StoredMarks:
    """The done marks in a run's store.

    Args:
        open_store: Opens the store.
        policy: Returns the retry and the timeouts of requests to the store; called when it is opened.
        mark_timeout: Seconds that a mark or a withdrawal under way may take after a cancellation.
        events: Tells the subscribers of each call; None where there are none.
    """

    def __init__(
        self,
        open_store: OpenStore,
        *,
        policy: Callable[[], ActivityAttributes],
        mark_timeout: float,
        events: "Events | None" = None,
    ) -> None:
        self._events = events
        self._open_store = open_store
        self._policy = policy
        self._mark_timeout = mark_timeout
        self._opening: asyncio.Future[None] | None = None
        self._opened: tuple[StepStore, DoneCache, ActivityAttributes] | None = None
        self._withdrawing: dict[str, list[anyio.Event]] = {}

    @property
    def store(self) -> StepStore | None:
        """The store, once it is open."""
        return None if self._opened is None else self._opened[0]

    async def is_done(self, name: str) -> bool:
        """Whether ``name`` is done.

        Raises:
            StepNameError: When the store cannot hold the name.
            StoreError: When the store cannot tell.
        """
        store, cache, _ = self._opened or await self._open()
        store.check_name(name)
        return await cache.is_done(name)

    async def matching(self, selectors: Iterable[str]) -> list[str]:
        """Return the done names that any of the selectors matches."""
        _, cache, _ = self._opened or await self._open()
        return await cache.matching(selectors)

    async def record(self, name: str) -> Mapping[str, Any] | None:
        """Return the record stored for ``name``, or None if its mark is gone, which the cache then knows.

        Raises:
            RecordError: When it cannot be read.
        """
        store, cache, _ = self._opened or await self._open()
        record = await self._work("reading a done step", store.read_done, name)
        if record is None:
            cache.withdrawn([name])
        return record

    def savable(self, step: str, result: Any) -> Any:
        """Return ``result`` as it will be read back from JSON.

        Raises:
            StepResultError: When it is not JSON.
        """
        try:
            return json.loads(json.dumps(result, allow_nan=False))
        except (TypeError, ValueError, RecursionError) as error:
            raise StepResultError(step, error) from error

    async def mark(self, name: str, record: Mapping[str, Any]) -> Finished:
        """Mark ``name`` as done. Once begun, this ends with the mark stored, or with an error."""
        store, cache, _ = self._opened or await self._open()
        finished = await finish(
            self._work("marking a step as done", store.mark_done, name, record), timeout=self._mark_timeout
        )
        if finished.error is None:
            cache.marked(name)
        else:
            cache.forget()  # it may be stored, or not
        return finished

    async def withdraw(self, step: str, names: list[str]) -> Finished:
        """Withdraw the marks of ``names``, which playing ``step`` makes stale."""
        del step
        if not names:
            return _WELL
        ended = anyio.Event()
        for name in names:
            self._withdrawing.setdefault(name, []).append(ended)
        try:
            store, cache, _ = self._opened or await self._open()
            finished = await finish(
                self._work("withdrawing done marks", store.withdraw, names), timeout=self._mark_timeout
            )
            if finished.error is None:
                cache.withdrawn(names)
            else:
                cache.forget()  # some may be withdrawn, or none
            return finished
        finally:
            for name in names:
                self._withdrawing[name].remove(ended)
                if not self._withdrawing[name]:
                    del self._withdrawing[name]
            ended.set()

    async def withdrawals_ended(self, name: str) -> None:
        """Wait until no withdrawal of ``name`` is under way: it would delete a mark made meanwhile."""
        while name in self._withdrawing:
            await self._withdrawing[name][-1].wait()

    def forget(self) -> None:
        """Forget what is known of done steps."""
        if self._opened is not None:
            self._opened[1].forget()

    async def _open(self) -> tuple[StepStore, DoneCache, ActivityAttributes]:
        """Open the store, once for all that wait; its error is raised in each of them."""
        while self._opened is None:
            if self._opening is not None:
                await asyncio.shield(self._opening)
                continue
            self._opening = opening = asyncio.get_running_loop().create_future()
            try:
                policy = self._policy()
                store = await self._open_store()
                self._opened = (store, DoneCache(store, self._ask), policy)
            except Exception as error:
                opening.set_exception(error)
                opening.exception()  # retrieved, whether or not anybody waits
                raise
            finally:
                self._opening = None
                if not opening.done():
                    opening.set_result(None)  # a cancelled caller leaves the opening to the next
        return self._opened

    async def _ask(self, call: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Ask the store, by default with retries, since many may wait for the answer."""
        assert self._opened is not None
        policy = self._opened[2]
        if self._events is not None:
            call = self._events.timed("asking for done steps", call)
        if policy.retry:
            return await self._attempt(policy, "asking for done steps", call, *args, **kwargs)
        with one_budget(retried=True):
            policy = policy.with_attribute("retry", _ASKED_AGAIN)
            return await self._attempt(policy, "asking for done steps", call, *args, **kwargs)

    def _work(
        self, what: str, function: Callable[P, Coroutine[Any, Any, T]], *args: P.args, **kwargs: P.kwargs
    ) -> Coroutine[Any, Any, T]:
        """Call a function of the store, with the policy's attempts and timeouts if it has any."""
        assert self._opened is not None
        policy = self._opened[2]
        if self._events is not None:
            function = self._events.timed(what, function)
        if policy.plain:
            return function(*args, **kwargs)
        return self._attempt(policy, what, function, *args, **kwargs)

    async def _attempt(
        self,
        policy: ActivityAttributes,
        what: str,
        function: Callable[P, Awaitable[T]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Call a function of the store, with the attempts and timeouts of a policy."""
        try:
            return await attempts(
                what,
                policy,
                partial(function, *args, **kwargs),
                retried=lambda error: (
                    isinstance(error, StoreError | ActivityTimeoutError) and not isinstance(error, FINAL_ERRORS)
                ),
            )
        except ActivityTimeoutError as error:
            raise EndpointUnreachableError(
                f"{what} overran its {error.timeout} of {error.seconds:g} s; raise it in the step activity params",
                url=self._opened[0].url if self._opened else None,
            ) from error
