"""An activity's attributes: simpleflow's names, checked when the activity is made."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from math import isfinite
from typing import Any

from asyncsteps._errors import StepDefinitionError

Seconds = float | str
"""A timeout: seconds, or as in simpleflow a str holding a number of seconds; ``"NONE"``, SWF's word, is none."""


def as_seconds(timeout: object, what: str) -> float | None:
    """A timeout in seconds, from a number or a numeric str; None and ``"NONE"`` are no timeout.

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


def is_text(value: object) -> bool:
    """Whether ``value`` is a str of at least one character."""
    return isinstance(value, str) and bool(value)


@dataclass(frozen=True, slots=True)
class ActivityAttributes:
    """What simpleflow and SWF know of an activity beside its callable.

    Natively ``retry``, ``raises_on_failure`` and the timeouts but the heartbeat are honoured; the rest is for SWF.

    Attributes:
        name: The complete activity type name; None: the callable's module and name.
        version: Activity type version.
        task_list: SWF task list.
        task_priority: SWF task priority.
        retry: Further attempts after a failed one.
        raises_on_failure: Whether a failure reaches the caller of ``submit``; None: natively it does, under SWF
            it does not, as in simpleflow. Within chains, groups and steps those decide.
        start_to_close_timeout: For each attempt, in seconds.
        schedule_to_close_timeout: For all attempts and waits together, in seconds.
        schedule_to_start_timeout: For the wait for a slot, in seconds.
        heartbeat_timeout: For SWF only, in seconds.
        idempotent: Whether SWF may run one task for equal arguments.
        meta: Free, for SWF.
    """

    name: str | None = None
    version: str | None = None
    task_list: str | None = None
    task_priority: int | str | None = None
    retry: int = 0
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

    def __post_init__(self) -> None:
        """Check every attribute.

        Raises:
            StepDefinitionError: Naming the attribute that is refused.
        """
        if not is_count(self.retry, least=0):
            raise StepDefinitionError(
                f"retry={self.retry!r} is refused: it is the number of further attempts, an int of at least 0"
            )
        if not isinstance(self.raises_on_failure, bool | None):
            raise StepDefinitionError(
                f"raises_on_failure={self.raises_on_failure!r} is refused: it is a bool or None"
            )
        if self.name is not None and not is_text(self.name):
            raise StepDefinitionError(f"name={self.name!r} is refused: it is a str of at least one character")
        for timeout in ("start_to_close", "schedule_to_close", "schedule_to_start"):
            seconds = as_seconds(getattr(self, f"{timeout}_timeout"), f"{timeout}_timeout")
            object.__setattr__(self, timeout, seconds)
        as_seconds(self.heartbeat_timeout, "heartbeat_timeout")

    @property
    def plain(self) -> bool:
        """Whether one attempt with no timeout is all there is to do."""
        return not (self.retry or self.start_to_close or self.schedule_to_close or self.schedule_to_start)

    def with_attribute(self, attribute: str, value: object) -> "ActivityAttributes":
        """A copy with one attribute set.

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
