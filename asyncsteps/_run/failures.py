"""What failed in a run, less what a later attempt made good."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from asyncsteps._errors import StepFailedError, error_text

logger = logging.getLogger("asyncsteps")


class Attempt:
    """One attempt at an activity that may be attempted again.

    Attributes:
        outer: The attempt that it is made within, or None.
        superseded: Whether another attempt followed it.
    """

    __slots__ = ("outer", "superseded")

    def __init__(self, outer: "Attempt | None") -> None:
        self.outer = outer
        self.superseded = False

    @property
    def counts(self) -> bool:
        """Whether neither this nor an attempt around it was followed by another."""
        return not self.superseded and (self.outer is None or self.outer.counts)


_current: ContextVar[Attempt | None] = ContextVar("asyncsteps_attempt", default=None)
"""The innermost attempt that the current code belongs to."""


@dataclass(frozen=True, slots=True)
class _Failure:
    error: Exception
    attempt: Attempt | None


class Failures:
    """The failures of a run, each once."""

    def __init__(self) -> None:
        self._failures: dict[int, _Failure] = {}
        self._of_step: dict[str, list[int]] = {}
        self._made_good: dict[int, Exception] = {}

    @property
    def errors(self) -> list[Exception]:
        """What failed and was not made good, in order."""
        return [each.error for each in self._failures.values() if each.attempt is None or each.attempt.counts]

    def add(self, error: Exception) -> bool:
        """Add a failure, unless it is listed or was made good; return whether it was added."""
        if id(error) in self._failures or id(error) in self._made_good:  # held, so that no other has its id
            return False
        self._failures[id(error)] = _Failure(error, _current.get())
        if isinstance(error, StepFailedError):
            self._of_step.setdefault(error.step, []).append(id(error))
        return True

    def absorb(self, error: Exception) -> None:
        """Log and list a failure that goes no further; for a group, each of its errors that is not listed yet."""
        if isinstance(error, ExceptionGroup):
            for each in error.exceptions:
                self.absorb(each)
        elif self.add(error):
            logger.error("%s", error_text(error), exc_info=error)

    def made_good(self, step: str) -> None:
        """Drop the failures of a step that was played well later."""
        for key in self._of_step.pop(step, ()):
            self._made_good[key] = self._failures.pop(key).error

    @contextmanager
    def attempt(self, before: Attempt | None) -> Iterator[Attempt]:
        """Make an attempt inside the block: what fails there counts unless another attempt follows.

        Args:
            before: The attempt that this one follows; its failures no longer count.
        """
        if before is not None:
            before.superseded = True
        attempt = Attempt(_current.get())
        token = _current.set(attempt)
        try:
            yield attempt
        finally:
            _current.reset(token)
