"""The attributes of activities: simpleflow's names, checked when the activity is made."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from math import isfinite
from typing import Any

from asyncsteps._errors import StepDefinitionError

RETRY_WAIT = 0.1
"""The default of ``retry_wait``, in seconds."""

LONGEST_RETRY_WAIT = 30.0
"""The longest wait between attempts, in seconds, unless ``retry_wait`` is a callable."""

Seconds = float | str
"""A timeout in seconds, as a number or, as in simpleflow, a str. SWF's ``"NONE"`` is no timeout."""


def as_seconds(timeout: object, what: str) -> float | None:
    """Return a timeout in seconds; None and ``"NONE"`` are no timeout.

    Raises:
        StepDefinitionError: When it is neither, or not greater than zero.
    """
    if timeout is None or timeout == "NONE":
        return None
    seconds: float | None = None
    if isinstance(timeout, int | float | str) and not isinstance(timeout, bool):
        try:
            seconds = float(timeout)
        except ValueError:
            seconds = None
    if seconds is None or not isfinite(seconds) or seconds <= 0:
        raise StepDefinitionError(
            f"{what}={timeout!r} is refused: a timeout is a number of seconds greater than zero (an int, a float "
            "or a str holding one), or None"
        )
    return seconds


def is_count(value: object, *, least: int) -> bool:
    """Whether ``value`` is an int, and no bool, of at least ``least``."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def is_duration(value: object) -> bool:
    """Whether ``value`` is a finite number, and no bool, of at least 0."""
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value) and value >= 0


def _is_error_filter(value: object) -> bool:
    """Whether ``value`` is an exception type, a tuple of them, or a predicate."""
    if callable(value) and not isinstance(value, type):
        return True
    types = value if isinstance(value, tuple) else (value,)
    return all(isinstance(each, type) and issubclass(each, Exception) for each in types)


def is_text(value: object) -> bool:
    """Whether ``value`` is a str of at least one character."""
    return isinstance(value, str) and bool(value)


@dataclass(frozen=True, slots=True)
class ActivityAttributes:
    """What simpleflow and SWF know of an activity besides its callable.

    Native runs honour ``retry``, ``retry_wait``, ``retry_on``, ``raises_on_failure`` and all timeouts.
    SWF ignores ``retry_wait`` and ``retry_on``: simpleflow schedules a failed activity again at once.

    Attributes:
        name: The complete activity type name; None: the callable's module and name.
        version: Activity type version.
        task_list: SWF task list.
        task_priority: SWF task priority.
        retry: Further attempts after a failed one.
        retry_wait: The wait before another attempt. As a number, the longest first wait in seconds; it doubles
            after each attempt, up to 30, and a random part of it is waited ("full jitter"). A callable takes the
            number of the failed attempt, from 1, and returns seconds.
        retry_on: The errors to retry: an exception type, a tuple of them, or a predicate of the error.
        raises_on_failure: Whether a failure reaches the caller of ``submit``. None: it does natively, and does not
            under SWF, as in simpleflow. Chains, groups and steps decide for what is within them.
        start_to_close_timeout: For each attempt, in seconds.
        schedule_to_close_timeout: For all attempts and waits together, in seconds.
        schedule_to_start_timeout: For the wait for a slot, in seconds.
        heartbeat_timeout: For the time from a call of ``current_step().heartbeat()`` to the next, in seconds. An
            activity that never calls it is not timed. Under simpleflow the worker process sends heartbeats.
        idempotent: Whether SWF may run one task for equal arguments.
        meta: Free, for SWF.
    """

    name: str | None = None
    version: str | None = None
    task_list: str | None = None
    task_priority: int | str | None = None
    retry: int = 0
    retry_wait: float | Callable[[int], float] = RETRY_WAIT
    retry_on: type[Exception] | tuple[type[Exception], ...] | Callable[[Exception], bool] = Exception
    raises_on_failure: bool | None = None
    start_to_close_timeout: Seconds | None = None
    schedule_to_close_timeout: Seconds | None = None
    schedule_to_start_timeout: Seconds | None = None
    heartbeat_timeout: Seconds | None = None
    idempotent: bool | None = None
    meta: Any = None
    start_to_close: float | None = field(init=False)
    schedule_to_close: float | None = field(init=False)
    schedule_to_start: float | None = field(init=False)
    heartbeat: float | None = field(init=False)
    plain: bool = field(init=False, repr=False)
    """Whether there is a single attempt without timeouts."""

    def __post_init__(self) -> None:
        """Check every attribute.

        Raises:
            StepDefinitionError: Naming the attribute that is refused.
        """
        if not is_count(self.retry, least=0):
            raise StepDefinitionError(
                f"retry={self.retry!r} is refused: it is the number of further attempts, an int of at least 0"
            )
        if not callable(self.retry_wait) and not is_duration(self.retry_wait):
            raise StepDefinitionError(
                f"retry_wait={self.retry_wait!r} is refused: it is a number of seconds of at least 0, or a "
                "callable that takes the number of the failed attempt and returns the seconds"
            )
        if not _is_error_filter(self.retry_on):
            raise StepDefinitionError(
                f"retry_on={self.retry_on!r} is refused: it is an exception type, a tuple of them, or a callable "
                "that takes the error and returns whether it is worth another attempt"
            )
        if not isinstance(self.raises_on_failure, bool | None):
            raise StepDefinitionError(
                f"raises_on_failure={self.raises_on_failure!r} is refused: it is a bool or None"
            )
        if self.name is not None and not is_text(self.name):
            raise StepDefinitionError(f"name={self.name!r} is refused: it is a str of at least one character")
        for timeout in ("start_to_close", "schedule_to_close", "schedule_to_start", "heartbeat"):
            seconds = as_seconds(getattr(self, f"{timeout}_timeout"), f"{timeout}_timeout")
            object.__setattr__(self, timeout, seconds)
        timed = self.start_to_close or self.schedule_to_close or self.schedule_to_start
        object.__setattr__(self, "plain", not (self.retry or timed))

    def is_retried(self, error: Exception) -> bool:
        """Whether ``retry_on`` selects ``error``."""
        if isinstance(self.retry_on, type | tuple):
            return isinstance(error, self.retry_on)
        return bool(self.retry_on(error))

    def with_attribute(self, attribute: str, value: object) -> "ActivityAttributes":
        """Return a copy with one attribute set.

        Raises:
            StepDefinitionError: When there is no such attribute, or the value is refused.
        """
        if attribute not in _SETTABLE:
            raise StepDefinitionError(
                f"{attribute!r} is no attribute of an activity; there are: {', '.join(_SETTABLE)}"
            )
        changes: Mapping[str, Any] = {attribute: value}
        return replace(self, **changes)


_SETTABLE = tuple(each.name for each in fields(ActivityAttributes) if each.init)
