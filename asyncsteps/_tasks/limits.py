"""How many activities may run at once in steps that a selector matches, and the lines of those that wait."""

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Generic, TypeVar

from asyncsteps._plan.names import selectors_of


class Limit:
    """At most so many activities at once in the steps that a selector matches.

    Attributes:
        free: How many more may run now.
    """

    __slots__ = ("free",)

    def __init__(self, total: int) -> None:
        self.free = total


Limits = frozenset[Limit]

NO_LIMITS: Limits = frozenset()


class LimitsOfRun:
    """The limits of one run.

    Args:
        given: How many activities may run at once, by selector.
        names: The steps that the current code runs within.
    """

    def __init__(self, given: Mapping[str, int], names: Callable[[], Iterable[str]]) -> None:
        self._by_selector = {selector: Limit(total) for selector, total in given.items()}
        self._names = names

    @property
    def free(self) -> dict[str, int]:
        """How many more activities may run now, by selector."""
        return {selector: limit.free for selector, limit in self._by_selector.items()}

    def current(self) -> Limits:
        """The limits that an activity of the current code counts to."""
        known = self._by_selector
        if not known:
            return NO_LIMITS
        found = {selector for name in self._names() for selector in known.keys() & selectors_of(name)}
        return frozenset(known[selector] for selector in found)


Reserved = dict[Limit, int]
"""How many of what is free under a limit is kept for those that were overtaken too often."""

_PATIENCE = 16
"""How often others that count to one of its limits overtake what waits, until what it needs is kept for it."""


def are_free(limits: Limits, reserved: Mapping[Limit, int] = MappingProxyType({})) -> bool:
    """Whether one more may run under all of them."""
    return all(limit.free > reserved.get(limit, 0) for limit in limits)


def take(limits: Limits) -> None:
    """Count one more under each."""
    for limit in limits:
        limit.free -= 1


def give(limits: Limits) -> None:
    """Count one less under each."""
    for limit in limits:
        limit.free += 1


class Waiting:
    """What waits.

    Args:
        limits: What it counts to.
        number: Its number, in order of arrival.

    Attributes:
        overtaken: How often others went ahead of it that count to one of its limits.
    """

    def __init__(self, limits: Limits, number: int) -> None:
        self.limits = limits
        self.number = number
        self.overtaken = 0


W = TypeVar("W", bound=Waiting)


class Queue(Generic[W]):
    """What waits, in order of arrival. What counts to the same limits waits in one line."""

    def __init__(self) -> None:
        self._lines: dict[Limits, dict[W, None]] = {}

    def __bool__(self) -> bool:
        return bool(self._lines)

    def __contains__(self, waiter: W) -> bool:
        return waiter in self._lines.get(waiter.limits, ())

    def add(self, waiter: W) -> None:
        """Put a waiter at the end."""
        self._lines.setdefault(waiter.limits, {})[waiter] = None

    def remove(self, waiter: W) -> None:
        """Remove a waiter."""
        line = self._lines[waiter.limits]
        del line[waiter]
        if not line:
            del self._lines[waiter.limits]

    def reserve(self, reserved: Reserved) -> None:
        """Add what is kept for those that were overtaken too often."""
        for waiter in self._heads():
            _reserve(waiter, reserved)

    def let_ahead(self, limits: Limits) -> None:
        """Note that something goes ahead that counts to ``limits``."""
        if limits:
            _let_ahead(self._heads(), limits)

    def first(self, reserved: Reserved, *, having: Limits = NO_LIMITS) -> W | None:
        """Return the first waiter whose limits are free.

        Args:
            reserved: What is kept for others; this adds to it.
            having: Limits that it need not wait for.
        """
        passed: list[W] = []
        for waiter in self._heads():
            if are_free(waiter.limits - having, reserved):
                _let_ahead(passed, waiter.limits)
                return waiter
            passed.append(waiter)
            _reserve(waiter, reserved)
        return None

    def _heads(self) -> list[W]:
        """The first of each line, in order of arrival."""
        heads = [next(iter(line)) for line in self._lines.values()]
        return heads if len(heads) < 2 else sorted(heads, key=lambda waiter: waiter.number)  # noqa: PLR2004 - no order


def _reserve(waiter: Waiting, reserved: Reserved) -> None:
    if waiter.overtaken >= _PATIENCE:
        for limit in waiter.limits:
            reserved[limit] = reserved.get(limit, 0) + 1


def _let_ahead(waiters: Iterable[Waiting], limits: Limits) -> None:
    for waiter in waiters:
        waiter.overtaken += not waiter.limits.isdisjoint(limits)
