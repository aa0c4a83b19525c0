"""What failed in a run, less what a later attempt made good."""

import logging
from contextvars import ContextVar, Token
from dataclasses import dataclass
from types import TracebackType

from asyncsteps._errors import StepFailedError, error_text

logger = logging.getLogger("asyncsteps")


class _Attempt:
    """One attempt at an activity that may be attempted again.

    Attributes:
        outer: The attempt that it is made within, or None.
        ended: Whether it has ended.
        superseded: Whether another attempt that followed it has ended, with a result or with a failure.
    """

    __slots__ = ("ended", "outer", "superseded")

    def __init__(self) -> None:
        self.outer = _innermost()
        self.ended = self.superseded = False

    @property
    def counts(self) -> bool:
        """Whether neither this nor an attempt around it was superseded."""
        attempt: _Attempt | None = self
        while attempt is not None and not attempt.superseded:
            attempt = attempt.outer
        return attempt is None

    def encloses(self, attempt: "_Attempt | None") -> bool:
        """Whether ``attempt`` is this one, or was made within it."""
        while attempt is not None and attempt is not self:
            attempt = attempt.outer
        return attempt is self


_current: ContextVar[_Attempt | None] = ContextVar("asyncsteps_attempt", default=None)
"""The attempt that the current code was started by."""


def _innermost() -> _Attempt | None:
    """Return the innermost attempt that has not ended; a task may outlive the one that started it."""
    attempt = _current.get()
    while attempt is not None and attempt.ended:
        attempt = attempt.outer
    return attempt


class Attempts:
    """The attempts at one activity: each is a block, and what fails in it counts unless another one follows.

    Attributes:
        number: The number of the last, from 1.
    """

    def __init__(self) -> None:
        self.number = 0
        self._before: list[_Attempt] = []
        self._attempt: _Attempt | None = None
        self._token: Token[_Attempt | None] | None = None

    def __enter__(self) -> None:
        self.number += 1
        self._attempt = _Attempt()
        self._token = _current.set(self._attempt)

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._attempt is not None
        assert self._token is not None
        _current.reset(self._token)
        self._attempt.ended = True
        if exc_type is None or issubclass(exc_type, Exception):  # a cancelled attempt makes nothing good
            for before in self._before:
                before.superseded = True
            self._before.clear()
        self._before.append(self._attempt)


@dataclass(frozen=True, slots=True)
class _Failure:
    error: Exception
    attempt: _Attempt | None


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
        if id(error) in self._made_good:  # held, as those listed are, so that no other has its id
            return False
        listed = self._failures.get(id(error))
        attempt = _current.get()
        if listed is not None and attempt is not None and attempt.ended and attempt.encloses(listed.attempt):
            return False  # it failed before the attempt ended, and only comes by here
        self._failures[id(error)] = _Failure(
            error, _innermost()
        )  # else the last attempt that it came from decides
        if listed is not None:
            return False
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
        """Drop the failures of a step that later succeeded."""
        for key in self._of_step.pop(step, ()):
            self._made_good[key] = self._failures.pop(key).error
