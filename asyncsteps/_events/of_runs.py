"""Events of a run as a whole."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from asyncsteps._events.base import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted(Event):
    """The block of a run was entered.

    Attributes:
        version: The workflow's version.
        force: The selectors that it was given to force, with their reasons.
        skip: The selectors that it was given to skip, with their reasons.
        max_parallel: The most activities at once.
        limits: The most activities at once in the steps that a selector matches.
        until: The selectors of the steps that the run stops after.
    """

    kind: ClassVar[str] = "run.started"

    version: str | None
    force: tuple[tuple[str, str | None], ...]
    skip: tuple[tuple[str, str | None], ...]
    max_parallel: int
    limits: Mapping[str, int]
    until: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnded(Event):
    """The block of a run is left; nothing of it is under way any more.

    Attributes:
        outcome: ``completed``; ``failed``: a step failed or an error left the block; ``cancelled``.
        seconds: How long it took.
        counts: How many markers of steps there are, by status.
        failures: How many failures there are.
        error: What left the block, as text.
        stopped_after: The step that the run has stopped after, by its ``until``.
    """

    kind: ClassVar[str] = "run.ended"

    outcome: Literal["completed", "failed", "cancelled"]
    seconds: float
    counts: Mapping[str, int]
    failures: int
    error: str | None
    stopped_after: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalSent(Event):
    """A signal was sent.

    Attributes:
        name: Its name.
        step: The step whose end it tells, or None.
    """

    kind: ClassVar[str] = "signal.sent"

    name: str
    step: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectorAdded(Event):
    """The code has added a selector.

    Attributes:
        force: The selector, if it forces; else None.
        skip: The selector, if it skips; else None.
        reason: Its reason.
    """

    kind: ClassVar[str] = "selector.added"

    force: str | None
    skip: str | None
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkerRecorded(Event):
    """A marker of the user's own was recorded.

    Attributes:
        name: Its name.
        details: JSON values.
    """

    kind: ClassVar[str] = "marker.recorded"

    name: str
    details: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class EventsDropped(Event):
    """Events were dropped, before the next one, because this subscriber was too slow.

    Attributes:
        number: How many.
    """

    kind: ClassVar[str] = "events.dropped"

    number: int
