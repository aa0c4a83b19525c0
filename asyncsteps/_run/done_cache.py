"""Is this name done? A run's answers, at the cost of what the run touches and not of all that was ever done.

One page of a listing, fetched from just before a name, answers for every name in the range that it covers. So
what is known is a set of intervals, and a question inside them costs no request.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Awaitable, Callable, Iterable
from types import TracebackType
from typing import ParamSpec, Protocol, TypeVar

import anyio

from asyncsteps._errors import FINAL_ERRORS
from asyncsteps._plan.names import EVERYTHING, below, is_step_name, matches, selects_alone
from asyncsteps._plan.order import just_before
from asyncsteps._run.known_names import KnownNames
from asyncsteps.store._protocol import StepStore

P = ParamSpec("P")
T = TypeVar("T")

_MAX_FETCHES = 32
"""Pages fetched at once for one run; the store's own concurrency bounds them further."""


class Ask(Protocol):
    """Asks the store with a call of its own, again after an error that may pass."""

    async def __call__(self, call: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Await ``call(*args, **kwargs)``, retrying errors that may pass."""
        ...


async def once(call: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Ask once."""
    return await call(*args, **kwargs)


class _Question:
    """A name that somebody waits to know; its first asker may be told to fetch the page that answers it."""

    __slots__ = ("error", "fetch", "name", "trace", "turn")

    def __init__(self, name: str) -> None:
        self.name = name
        self.turn = anyio.Event()
        self.fetch = False
        self.error: Exception | None = None
        self.trace: TracebackType | None = None


class DoneCache:
    """What one run knows of the done steps of a store.

    An answer is as of its fetch and stands until `forget`; the run's own marks and withdrawals are seen at once.
    Concurrent questions share pages: the more of them one page answers, the fewer are fetched side by side. No
    task is ever started: whoever asks fetches, for itself and for those that wait.

    Args:
        store: The store, which must be open while questions are asked.
        ask: How it is asked.
    """

    def __init__(self, store: StepStore, ask: Ask = once) -> None:
        self._store = store
        self._ask_store = ask
        self._known = KnownNames()
        self._own: dict[str, bool] = {}
        self._generation = 0
        self._pending: dict[str, list[_Question]] = {}
        self._order: list[str] = []
        self._fetches: list[str] = []
        self._answers_per_page: float | None = None

    async def is_done(self, name: str) -> bool:
        """Whether ``name`` is done.

        Raises:
            StoreError: When the store cannot tell; a later question asks it anew.
        """
        while True:
            own = self._own.get(name)
            if own is not None:
                return own
            if name in self._known:
                return True
            if self._known.covers(name):
                return False
            await self._ask(name)

    async def matching(self, selectors: Iterable[str]) -> list[str]:
        """The done names that any of the selectors matches, sorted; all are asked for side by side.

        Raises:
            StoreError: When the store cannot tell.
        """
        wanted = tuple(dict.fromkeys(selectors))
        if EVERYTHING in wanted:
            wanted = (EVERYTHING,)
        found: set[str] = set()
        errors: list[Exception] = []

        async def ask(selector: str) -> None:
            try:
                found.update(await self._matching(selector))
            except Exception as error:  # noqa: BLE001 - raised below, as it is and not within a group
                errors.append(error)

        if len(wanted) == 1:
            await ask(wanted[0])
        else:
            async with anyio.create_task_group() as tasks:
                for selector in wanted:
                    tasks.start_soon(ask, selector)
        if errors:
            raise errors[0]
        for name, done in self._own.items():
            if not done:
                found.discard(name)
            elif any(matches(selector, name) for selector in wanted):
                found.add(name)
        return sorted(found)

    async def _matching(self, selector: str) -> list[str]:
        """The done names that one selector matches, as they were fetched."""
        low, high = below(selector)
        alone = () if selector == EVERYTHING else selects_alone(selector)
        names = [name for name in alone if is_step_name(name) and await self.is_done(name)]
        known, generation = self._known, self._generation
        if selector != EVERYTHING and known.reach(low) == low:
            await self._ask(low)  # one page, which answers for the neighbours too
        if not covers(known.reach(low), high) or generation != self._generation:
            listed = await self._ask_store(self._store.list_done, selector)
            self._learn(generation, low, high, [each for each in listed if each not in alone])
            return [*names, *listed]
        return [*names, *known.between(low, high)]

    def marked(self, name: str) -> None:
        """Note that this run marked ``name`` as done."""
        self._own[name] = True

    def withdrawn(self, names: Iterable[str]) -> None:
        """Note that this run withdrew the marks of ``names``."""
        self._own.update(dict.fromkeys(names, False))

    def forget(self) -> None:
        """Forget every answer, so that the next questions see what other runs have marked or withdrawn."""
        self._known = KnownNames()
        self._own.clear()
        self._generation += 1

    def _learn(self, generation: int, low: str, high: str | None, names: Iterable[str]) -> None:
        if generation == self._generation:
            self._known.learn(low, high, names)

    async def _ask(self, name: str) -> None:
        """Wait for an answer about ``name``, or raise the error that prevented one."""
        question = _Question(name)
        askers = self._pending.setdefault(name, [])
        if not askers:
            insort(self._order, name)
        askers.append(question)
        try:
            self._dispatch()
            await question.turn.wait()
            if question.fetch:
                await self._fetch(question)
        finally:
            self._leave(question)
        if question.error is not None:
            # All askers raise the same error; its traceback is reset, so that it does not grow.
            raise question.error.with_traceback(question.trace)

    def _leave(self, question: _Question) -> None:
        """Withdraw a question. If it was due to fetch, another asker of the name takes over."""
        if question.fetch:
            self._fetches.remove(question.name)
        askers = self._pending.get(question.name, [])
        if question in askers:
            askers.remove(question)
            if not askers:
                self._drop(question.name)
        self._dispatch()

    def _drop(self, name: str) -> list[_Question]:
        del self._order[bisect_left(self._order, name)]
        return self._pending.pop(name)

    async def _fetch(self, question: _Question) -> None:
        name, waiting = question.name, len(self._order)
        try:
            through = await self._fetch_through(name)
        except Exception as error:  # noqa: BLE001 - each asker raises it
            self._answer(self._expected_of(name, error), error)
            return
        answered = self._order[bisect_left(self._order, name) :]
        if through is not None:
            del answered[bisect_right(answered, through) :]
        self._estimate(name, len(answered), waiting)
        self._answer(answered)

    async def _fetch_through(self, name: str) -> str | None:
        """Learn the names from ``name`` on, a page of them at least; return how far they are known then."""
        generation, start = self._generation, just_before(name)
        while True:
            page = await self._ask_store(self._store.done_page, start)
            self._learn(generation, start, page.through, page.names)
            if page.through is None or page.through >= name:
                return page.through
            start = page.through

    def _expected_of(self, name: str, error: Exception) -> list[str]:
        """The waiting names that a page from ``name`` on was to answer, had it come."""
        first, follower = bisect_left(self._order, name), bisect_right(self._fetches, name)
        end = bisect_left(self._order, self._fetches[follower]) if follower < len(self._fetches) else None
        expected = self._order[first:end]
        if isinstance(error, FINAL_ERRORS):
            return expected  # each of them would hear the same
        if self._answers_per_page is None:
            self._answers_per_page = 1  # nothing is known: the others ask side by side
        return expected[: max(1, int(self._answers_per_page))]

    def _estimate(self, name: str, answered: int, waiting: int) -> None:
        """Learn how many questions a page answers, where the page and not the questions set the limit."""
        first = bisect_left(self._order, name)
        follower = bisect_right(self._fetches, name)
        end = (
            bisect_left(self._order, self._fetches[follower])
            if follower < len(self._fetches)
            else len(self._order)
        )
        before = self._answers_per_page
        if first + answered >= end:
            if waiting > 1:
                self._answers_per_page = max(before or 1, answered)
        else:
            self._answers_per_page = answered if before is None else (before + answered) / 2

    def _answer(self, names: list[str], error: Exception | None = None) -> None:
        trace = None if error is None else error.__traceback__
        for name in names:
            for question in self._drop(name):
                question.error, question.trace = error, trace
                question.turn.set()

    def _dispatch(self) -> None:
        """Start as many page fetches as the waiting questions justify, each for different questions."""
        expected = max(1, int(self._answers_per_page or len(self._order)))
        worth = -(-len(self._order) // expected)
        while len(self._fetches) < min(worth, _MAX_FETCHES):
            name = self._next_to_fetch(expected)
            if name is None:
                return
            question = self._pending[name][0]
            question.fetch = True
            insort(self._fetches, name)
            question.turn.set()

    def _next_to_fetch(self, expected: int) -> str | None:
        """The very first question, or about the middle of the longest sequence that waits for one fetch.

        A whole number of expected pages after that fetch, so that no page leaves a rest behind.
        """
        order, fetches = self._order, self._fetches
        if not order:
            return None
        if not fetches or order[0] < fetches[0]:
            return order[0]
        starts = [bisect_left(order, name) for name in fetches]
        ends = [*starts[1:], len(order)]
        length, start = max((end - start, start) for start, end in zip(starts, ends, strict=True))
        if length <= expected:
            return None
        return order[start + max(1, length // 2 // expected) * expected]


def covers(reached: str | None, high: str | None) -> bool:
    """Whether what is known up to ``reached`` takes in all up to ``high``."""
    return reached is None or (high is not None and reached >= high)
