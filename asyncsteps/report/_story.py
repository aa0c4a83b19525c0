"""The story of a run, put together from its events: one span for each submission of a step that was decided."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Self

from asyncsteps._journal.lines import Event, texts_of, time_of
from asyncsteps._journal.texts import shortened, shortened_reason, without_secrets
from asyncsteps._journal.values import number_of, text_of
from asyncsteps._plan.model import STEP_MARKER, Marker

_LONGEST = 1e15
"""Microseconds; whatever lasts longer is not believed."""

_WITHOUT_END = {"killed": "its process was killed", "running": "the run goes on"}

_ENDS = ("completed", "failed", "cancelled", "skipped")


@dataclass(frozen=True, slots=True, kw_only=True)
class StepSpan:
    """One submission of a step, from its decision to its end.

    Attributes:
        step: The step's name.
        status: ``completed``, ``failed``, ``cancelled``, ``skipped``; ``scheduled`` where no end is known.
        forced: Whether it was forced or skipped on purpose.
        reasons: Why, in full.
        queued: When it was submitted, in UTC.
        started: When its first activity began to run; None where none did.
        ended: When it ended; None where no end is known.
        attempts: When further attempts at one of its activities were decided, in order, as far as that is known.
        tried: The most attempts that one of its activities took; 0 where that is not known.
        error: What it failed with, or None.
    """

    step: str
    status: str
    forced: bool = False
    reasons: tuple[str, ...] = ()
    queued: datetime
    started: datetime | None = None
    ended: datetime | None = None
    attempts: tuple[datetime, ...] = ()
    tried: int = 0
    error: str | None = None

    @property
    def seconds(self) -> float | None:
        """How long it ran, in seconds; None where it did not, or no end is known."""
        return None if self.started is None or self.ended is None else (self.ended - self.started).total_seconds()


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStory:
    """What happened in a run.

    Attributes:
        run_id: The run's id.
        workflow_id: The workflow's.
        began: When the run began, in UTC.
        ended: When it ended, or the last that is known of one that has not.
        outcome: ``completed``, ``failed``, ``cancelled``; None where it has not ended, or was killed.
        about: What else its first event tells, such as host and versions.
        spans: The submissions that were decided, in the order of their decisions.
        notes: What is missing or odd, for people.
    """

    run_id: str
    workflow_id: str
    began: datetime
    ended: datetime
    outcome: str | None = None
    about: Mapping[str, Any] = field(default_factory=dict)
    spans: tuple[StepSpan, ...] = ()
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, events: Iterable[Event], *, outcome: str | None = None) -> Self:
        """Put together the story of one run from the events of its journal, in order.

        What is not understood is left out, so journals of later versions can be shown.

        Args:
            events: The events, as `asyncsteps.journal.story` returns them.
            outcome: How a run without an end is known to have ended, such as ``killed``.

        Raises:
            ValueError: When no event has a time.
        """
        return cls(**_Telling(events).told(outcome))

    @classmethod
    def of_markers(
        cls,
        markers: Iterable[Marker],
        *,
        run_id: str,
        workflow_id: str,
        began: datetime,
        ended: datetime,
        outcome: str,
        about: Mapping[str, Any] | None = None,
        notes: Iterable[str] = (),
    ) -> Self:
        """Put together the story of a run of this process from its markers, as `StepRun.markers` has them.

        When attempts were decided, the journal alone tells. What ``about`` names like a credential is left out.

        Args:
            markers: The markers.
            run_id: The run's id.
            workflow_id: The workflow's.
            began: When the run began.
            ended: When it ended.
            outcome: ``completed``, ``failed`` or ``cancelled``.
            about: JSON values to show.
            notes: Texts to show.
        """
        identity = {"run": run_id, "workflow": workflow_id}
        events = [
            {"event": "started", "at": began.isoformat(), **identity, **without_secrets(about or {})},
            *(_event(marker) for marker in markers if marker.name == STEP_MARKER),
            {"event": "ended", "at": ended.isoformat(), "outcome": outcome},
        ]
        told = _Telling(events).told(None)
        return cls(**{**told, "notes": (*told["notes"], *map(shortened, notes))})


class _Telling:
    """Collects the parts of a story, event by event."""

    def __init__(self, events: Iterable[Event]) -> None:
        self._head: dict[str, Any] = {}
        self._end: Event = {}
        self._lists: dict[int, tuple[str, ...]] = {}
        self._open: dict[str, dict[str, Any]] = {}
        self._spans: list[dict[str, Any]] = []
        self._retried: dict[str, list[datetime]] = {}
        self._times: list[datetime] = []
        self._lost = 0
        for event in events:
            at = time_of(event.get("at"))
            if at is not None:
                self._times.append(at)
                self._take(event, at)
        if not self._times:
            raise ValueError("there is nothing to tell: no event has a time")

    def _take(self, event: Event, at: datetime) -> None:
        kind = event.get("event")
        if kind == "started":
            for key, value in event.items():
                self._head.setdefault(key, value)
        elif kind == "ended":
            self._end = event
        elif kind == "reasons":
            if isinstance(number := event.get("list"), int):
                self._lists[number] = tuple(texts_of(event.get("reasons")))
        elif kind == "lost":
            self._lost += 1
        elif isinstance(step := event.get("step"), str):
            self._take_step(str(kind), step, event, at)
        elif kind == "skipped":
            self._take_skipped(texts_of(event.get("names")), event, at)

    def _take_step(self, kind: str, step: str, event: Event, at: datetime) -> None:
        if kind == "retrying":
            self._retried.setdefault(step, []).append(at)
        elif kind == "scheduled":
            self._begin(step, event, at - _time_in(event, "queue_us"))
        elif kind in _ENDS:
            began = at - _time_in(event, "us")
            span = self._open.get(step) or self._begin(step, event, began - _time_in(event, "queue_us"))
            del self._open[step]
            span |= {"status": kind, "ended": at, "error": text_of(event.get("error"))}
            span["attempts"] = tuple(self._retried.pop(step, ()))
            span["tried"] = int(number_of(event.get("attempts")))
            if "us" in event:
                span["started"] = max(span["queued"], began)

    def _take_skipped(self, names: Iterable[str], event: Event, at: datetime) -> None:
        for name in names:
            self._take_step("skipped", name, event, at)

    def _begin(self, step: str, event: Event, queued: datetime) -> dict[str, Any]:
        number = event.get("list")
        known = self._lists.get(number) if isinstance(number, int) else None
        reasons = known or tuple(texts_of(event.get("reasons")))
        span = {
            "step": step,
            "status": "scheduled",
            "forced": event.get("forced") is True,
            "reasons": reasons,
            "queued": queued,
        }
        self._open[step] = span
        self._spans.append(span)
        return span

    def told(self, outcome: str | None) -> dict[str, Any]:
        """Return the fields of the story; ``outcome`` is that of a run without an end."""
        first, last = min(self._times), max(self._times)
        known = {"event", "at", "run", "workflow", "journal", "segment"}
        notes = []
        if not self._end:
            notes.append(f"No end is recorded: {_WITHOUT_END.get(outcome or '', 'it goes on, or was killed')}.")
        if self._lost:
            notes.append("Some events are missing: they could not be written at the time.")
        outcome = self._end.get("outcome", outcome)
        return {
            "run_id": str(self._head.get("run", "")),
            "workflow_id": str(self._head.get("workflow", "")),
            "began": first,
            "ended": last,
            "outcome": outcome if isinstance(outcome, str) else None,
            "about": {key: value for key, value in self._head.items() if key not in known},
            "spans": tuple(StepSpan(**span) for span in self._spans),
            "notes": tuple(notes),
        }


def _event(marker: Marker) -> Event:
    """Return the event of a step's marker, as the journal's line has it."""
    details = marker.details
    event = {
        "event": details["status"],
        "at": marker.at.isoformat(),
        "step": details["step"],
        "forced": details["forced"],
        "reasons": [shortened_reason(reason) for reason in details["reasons"]],
        **durations(marker.queue_seconds, marker.seconds),
    }
    if marker.started is not None:
        event["attempts"] = marker.attempts
    if "error" in details:
        event["error"] = shortened(details["error"])
    return event


def durations(queue_seconds: float | None, seconds: float | None) -> dict[str, Any]:
    """Return how long a step waited, and ran if it has, as the journal's line has it."""
    told = {"queue_us": round((queue_seconds or 0) * 1e6)}
    return told if seconds is None else told | {"us": round(seconds * 1e6)}


def _time_in(event: Event, member: str) -> timedelta:
    """The microseconds of a member as a duration; none where they are not to be believed."""
    value = event.get(member)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _LONGEST:
        return timedelta()
    return timedelta(microseconds=value)
