"""A store that fails, or takes its time, on command."""

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self, get_args

from asyncsteps._errors import StepDefinitionError, StoreError
from asyncsteps._plan.names import check_selector, matches
from asyncsteps._tasks.attributes import is_count, is_duration
from asyncsteps.store._protocol import DonePage, JournalFiles, OnForeign, OnProgress, StepStore, journal_files

Operation = Literal["list_done", "done_page", "is_done", "mark_done", "read_done", "withdraw"]
"""An operation of a store; ``iter_done`` counts as ``list_done``."""

GivenError = StoreError | type[StoreError]


@dataclass(frozen=True, slots=True)
class StoreCall:
    """A call of a store.

    Attributes:
        operation: Which.
        names: The names that it is about; none for ``list_done`` and ``done_page``.
    """

    operation: Operation
    names: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.operation}({', '.join(map(repr, self.names))})"


class StoreHold:
    """Holds calls of a store back until they are released.

    Attributes:
        reached: Set when a call has come to it.
    """

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self._released = asyncio.Event()

    def release(self) -> None:
        """Let the calls go on, and all that come."""
        self._released.set()

    async def passed(self) -> None:
        """Wait until it is released."""
        self.reached.set()
        await self._released.wait()


@dataclass(slots=True)
class _Rule:
    """What happens to calls of one operation.

    Attributes:
        first: The number of the first call, of those that match, that it happens to.
        last: That of the last.
        after: Whether it happens after the effect.
        met: How many calls have matched.
    """

    operation: Operation | None
    under: str
    first: float
    last: float
    after: bool
    error: GivenError | None = None
    seconds: float = 0.0
    hold: StoreHold | None = None
    met: int = 0
    happens_to: set[int] = field(default_factory=set)

    def sees(self, number: int, call: StoreCall) -> None:
        """Count a call, and note if this happens to it."""
        if self.operation is not None and self.operation != call.operation:
            return
        if self.under != "*" and not any(matches(self.under, name) for name in call.names):
            return
        self.met += 1
        if self.first <= self.met <= self.last:
            self.happens_to.add(number)

    async def happen(self, call: StoreCall) -> None:
        """Wait, and then fail, as it says."""
        if self.hold is not None:
            await self.hold.passed()
        if self.seconds:
            await asyncio.sleep(self.seconds)
        if isinstance(self.error, type):
            raise self.error(f"injected: {call} fails{' after it has had its effect' * self.after}")
        if self.error is not None:
            raise self.error


class FaultyStore(StepStore):
    """A store over another one, that fails or takes its time on command, and otherwise does what that does.

    Enter it in the place of the other store, or give it one that is open. Rules apply to calls that come later. If
    several match a call, each happens, in order, until one fails. Names are checked before, as by every store.

    Args:
        store: The store.

    Attributes:
        store: The store.
        calls: All calls so far, in order.
    """

    def __init__(self, store: StepStore) -> None:
        if not isinstance(store, StepStore):
            raise StepDefinitionError(f"{store!r} is no store: give FaultyStore one, such as MemoryStore()")
        self.store = store
        self.calls: list[StoreCall] = []
        self._rules: list[_Rule] = []
        self._stack = contextlib.AsyncExitStack()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} over {self.store!r}>"

    async def __aenter__(self) -> Self:
        entering: Any = self.store
        await self._stack.enter_async_context(entering)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._stack.aclose()

    @property
    def url(self) -> str:
        """That of the store."""
        return self.store.url

    @property
    def journal_files(self) -> JournalFiles | None:
        """Where the store keeps journals; they never fail here."""
        return journal_files(self.store)

    def fail(
        self,
        operation: Operation | None = None,
        error: GivenError = StoreError,
        *,
        under: str = "*",
        nth: int = 1,
        times: int | None = 1,
        after: bool = False,
    ) -> None:
        """Have calls fail.

        Args:
            operation: Of which operation. None: of any.
            error: What they raise: a `StoreError`, or a class of them.
            under: Only calls about a name that this selector matches.
            nth: The first call that fails, of those that match from now on; 1 is the next.
            times: How many calls fail. None: all from then on.
            after: Whether they fail after the effect, as when a reply is lost.

        Raises:
            StepDefinitionError: When the error is no `StoreError`, as the contract of stores demands, or another
                argument is refused.
            SelectorError: When ``under`` is malformed.
        """
        kind: object = error if isinstance(error, type) else type(error)
        if not (isinstance(kind, type) and issubclass(kind, StoreError)):
            raise StepDefinitionError(
                f"error={error!r} is refused: a store raises nothing but StoreError and its subclasses; to crash "
                "a run, use crash_and_rerun()"
            )
        self._add(operation, under, nth, times, after=after).error = error

    def delay(
        self,
        operation: Operation | None = None,
        seconds: float = 1.0,
        *,
        under: str = "*",
        nth: int = 1,
        times: int | None = None,
        after: bool = False,
    ) -> None:
        """Have calls take longer: by so many seconds of the event loop, which virtual time makes short.

        The other arguments are those of `fail`; ``times`` is None by default, for all calls.

        Raises:
            StepDefinitionError: When ``seconds`` is not a number of 0 or more, or another argument is refused.
            SelectorError: When ``under`` is malformed.
        """
        if not is_duration(seconds):
            raise StepDefinitionError(f"seconds={seconds!r} is refused: it is a number of 0 or more")
        self._add(operation, under, nth, times, after=after).seconds = seconds

    def hold(
        self,
        operation: Operation | None = None,
        *,
        under: str = "*",
        nth: int = 1,
        times: int | None = 1,
        after: bool = False,
    ) -> StoreHold:
        """Hold calls back until `StoreHold.release` is called. The arguments are those of `fail`."""
        rule = self._add(operation, under, nth, times, after=after)
        rule.hold = StoreHold()
        return rule.hold

    def heal(self) -> None:
        """Drop all rules, and let go what is held back."""
        for rule in self._rules:
            if rule.hold is not None:
                rule.hold.release()
        self._rules.clear()

    def _add(self, operation: Operation | None, under: str, nth: int, times: int | None, *, after: bool) -> _Rule:
        if operation is not None and operation not in get_args(Operation):
            known = ", ".join(get_args(Operation))
            raise StepDefinitionError(f"operation={operation!r} is refused: it is one of {known}, or None")
        for name, given in (("nth", nth), ("times", 1 if times is None else times)):
            if not is_count(given, least=1):
                raise StepDefinitionError(f"{name}={given!r} is refused: it is an int of at least 1")
        last = math.inf if times is None else nth + times - 1
        rule = _Rule(operation, check_selector(under), nth, last, after)
        self._rules.append(rule)
        return rule

    @contextlib.asynccontextmanager
    async def _call(self, operation: Operation, names: Iterable[str] = ()) -> AsyncIterator[None]:
        """A block that has the effect of a call."""
        call, number, rules = StoreCall(operation, tuple(names)), len(self.calls), list(self._rules)
        if rules:
            for name in call.names:
                self.store.check_name(name)  # as the store would, had nothing happened before
        self.calls.append(call)
        for rule in rules:
            rule.sees(number, call)
        for rule in rules:
            if number in rule.happens_to and not rule.after:
                await rule.happen(call)
        yield
        for rule in rules:
            if number in rule.happens_to and rule.after:
                await rule.happen(call)

    def check_name(self, name: str) -> None:
        """Check that ``name`` can be stored here."""
        self.store.check_name(name)

    async def list_done(
        self, under: str = "*", *, on_foreign: OnForeign | None = None, on_progress: OnProgress | None = None
    ) -> list[str]:
        """Return all done names that the selector ``under`` matches, sorted, each once."""
        async with self._call("list_done"):
            return await self.store.list_done(under, on_foreign=on_foreign, on_progress=on_progress)

    def iter_done(
        self, under: str = "*", *, on_foreign: OnForeign | None = None, on_progress: OnProgress | None = None
    ) -> AsyncIterator[list[str]]:
        """Yield the names of `list_done` in batches as they arrive, each name once, in no particular order."""
        return self._iterate(self.store.iter_done(under, on_foreign=on_foreign, on_progress=on_progress))

    async def _iterate(self, batches: Any) -> AsyncIterator[list[str]]:
        async with contextlib.aclosing(batches), self._call("list_done"):
            async for names in batches:
                yield names

    async def done_page(self, start_after: str = "") -> DonePage:
        """Return one request's worth of done names greater than ``start_after``, in order."""
        async with self._call("done_page"):
            return await self.store.done_page(start_after)

    async def is_done(self, name: str) -> bool:
        """Ask the storage whether ``name`` is done."""
        async with self._call("is_done", [name]):
            return await self.store.is_done(name)

    async def mark_done(self, name: str, record: Mapping[str, Any], *, first_wins: bool = False) -> bool:
        """Record ``name`` as done; return whether this call's record is the stored one."""
        async with self._call("mark_done", [name]):
            return await self.store.mark_done(name, record, first_wins=first_wins)

    async def read_done(self, name: str) -> dict[str, Any] | None:
        """Return the record of ``name``, or None when it is not done."""
        async with self._call("read_done", [name]):
            return await self.store.read_done(name)

    async def withdraw(self, names: Iterable[str]) -> list[str]:
        """Withdraw done marks; return those that were there, sorted."""
        if not isinstance(names, Iterable):
            return await self.store.withdraw(names)  # which refuses them
        wanted = [names] if isinstance(names, str) else list(names)
        async with self._call("withdraw", wanted):
            return await self.store.withdraw(wanted)
