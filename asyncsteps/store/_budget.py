"""The time that the requests of one operation may take together, and how often they are tried."""

import asyncio
import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass

_current: ContextVar["TimeBudget | None"] = ContextVar("asyncsteps_time_budget", default=None)


@dataclass(slots=True)
class Attempts:
    """The attempts at one request.

    Attributes:
        made: The number of attempts so far.
        failure: How the last one failed, until the next begins.
    """

    made: int = 0
    failure: Exception | None = None

    def answered(self) -> None:
        """Forget them after an answer: another request that shares them begins anew."""
        self.made, self.failure = 0, None

    def __str__(self) -> str:
        return "1 attempt" if self.made == 1 else f"{self.made} attempts"


class TimeBudget:
    """The time that the requests of one operation use up together.

    The clock starts with the first request, and runs through the pauses between requests. It stands while the
    operation only waits for its turn to send, so that a long queue fails nothing.

    Args:
        parts: How many times a store's timeout it is.
        retried: Whether the caller sends failed requests again: each then gets half of the time that is left.
        before: The budget of an earlier try, whose time is used up and whose attempts are counted.

    Attributes:
        attempts: The attempts made, those of earlier requests included, where ``retried``.
        retried: As given.
    """

    __slots__ = ("_begun", "_in_flight", "_parts", "_since", "_spent", "_waiting", "attempts", "retried")

    def __init__(self, *, parts: int = 1, retried: bool = False, before: "TimeBudget | None" = None) -> None:
        self.retried = retried
        self.attempts: Attempts = Attempts(before.attempts.made if before is not None else 0)
        self._parts = parts
        self._spent = before.spent if before is not None else 0.0
        self._since: float | None = None
        self._begun = False
        self._in_flight = self._waiting = 0

    @property
    def spent(self) -> float:
        """The seconds used up."""
        return self._spent + (loop_time() - self._since if self._since is not None else 0.0)

    def share(self, seconds: float) -> float:
        """Return how long the next request may take, where the store's timeout is ``seconds``."""
        left = max(0.0, self._parts * seconds - self.spent)
        return left / 2 if self.retried else min(seconds, left)

    def wait(self) -> None:
        """Note that a request waits for its turn."""
        self._waiting += 1
        self._tick()

    def go_on(self) -> None:
        """Note that a request waits no more."""
        self._waiting -= 1
        self._tick()

    def charge(self, failed: "TimeBudget") -> None:
        """Use up what a part of the operation did that failed."""
        self._spent = max(self._spent, failed.spent)
        self.attempts.made = max(self.attempts.made, failed.attempts.made)

    def begin(self) -> None:
        """Note that a request is sent."""
        self._begun = True
        self._in_flight += 1
        self._tick()

    def end(self) -> None:
        """Note that a request is over."""
        self._in_flight -= 1
        self._tick()

    def _tick(self) -> None:
        if not self._begun:
            return
        now = loop_time()
        if self._since is not None:
            self._spent += now - self._since
        self._since = now if self._in_flight > 0 or self._waiting == 0 else None


def loop_time() -> float:
    """The time of the running event loop, in seconds."""
    return asyncio.get_running_loop().time()


def current_budget() -> TimeBudget | None:
    """Return the budget of the operation that is under way, or None."""
    return _current.get()


@contextlib.contextmanager
def budgeted(budget: TimeBudget) -> Iterator[None]:
    """Let the requests inside the block use up ``budget``."""
    reset = _current.set(budget)
    try:
        yield
    finally:
        _current.reset(reset)


@contextlib.contextmanager
def one_budget(*, parts: int = 1, retried: bool = False) -> Iterator[TimeBudget]:
    """Let the requests inside the block use up one budget: that of the caller if it has one, else a new one."""
    with budgeted(budget := _current.get() or TimeBudget(parts=parts, retried=retried)):
        yield budget
