"""Encodes and decodes the lines of a journal; docs/journal.md has their schema."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from json.encoder import encode_basestring_ascii as _quoted
from typing import Any

from asyncsteps._journal.texts import collapsed, shortened, shortened_reason
from asyncsteps._plan.model import STEP_MARKER, Marker, Status

VERSION = 1
"""The version of the lines. What a later one adds is ignored; what it changes is said."""

_MANY_REASONS = 5
"""A longer list of reasons is written once, and referred to from then on."""

_LISTS_KNOWN = 1_000
_LONG_LISTS_KNOWN = 16
"""How many lists of reasons are encoded once."""

_NAMES_A_LINE = 1_000
_MICROSECOND = timedelta(microseconds=1)
_MILLION = 1_000_000
_YEARS = 1900, 9000
"""Times outside are not believed: nothing can be added to or taken from the first and the last."""

_BOOLEANS = {True: "true", False: "false"}

_STATUS_EVENTS = frozenset(status.encode() for status in Status)
_json = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"), default=shortened).encode

Event = Mapping[str, Any]
"""A line, decoded."""


class Encoder:
    """Encodes the events of one run.

    Args:
        run_id: The run's id, which is in every line.
        workflow_id: The workflow's, likewise.
    """

    def __init__(self, run_id: str, workflow_id: str) -> None:
        self._run = f'"run":{_quoted(run_id)},"workflow":{_quoted(workflow_id)}'
        self._lists: dict[tuple[str, ...], str] = {}
        self._long_lists: dict[tuple[str, ...], int] = {}
        self._count = 0
        self._second: tuple[int, int, int, int] | None = None
        self._prefix = ""

    def marker(self, marker: Marker, scheduled: datetime | None = None) -> str:
        """Return the line of a marker; of a user's own, its name alone.

        Args:
            marker: The marker.
            scheduled: When the step was scheduled, if no line of its own says so.
        """
        if marker.name != STEP_MARKER:
            return self.event("marker", marker.at, {"name": marker.name})
        details, at, queued, started = marker.details, marker.at, marker.queued, marker.started
        given = details["reasons"]
        before, reasons = self._reasons(given, at) if given else ("", "[]")
        error = f',"error":{_quoted(shortened(details["error"]))}' if "error" in details else ""
        times = ""
        if queued is not None:
            times = f',"queue_us":{((started or at) - queued) // _MICROSECOND}'
        if started is not None:
            times += f',"us":{(at - started) // _MICROSECOND},"attempts":{marker.attempts}'
        if scheduled is not None:
            times += f',"scheduled_us":{(at - scheduled) // _MICROSECOND}'
        return (
            f'{before}{{"event":"{details["status"]}","at":"{self._stamp(at)}",{self._run},"step":'
            f'{_quoted(details["step"])},"forced":{_BOOLEANS[details["forced"]]},"reasons":{reasons}{times}{error}}}\n'
        )

    def event(self, event: str, at: datetime, fields: Mapping[str, Any]) -> str:
        """Return the lines of any other event; names that are too many for one line take several."""
        reason, names = fields.get("reason"), fields.get("names")
        if isinstance(reason, str):
            fields = {**fields, "reason": shortened_reason(reason)}
        if names is not None and len(names) > _NAMES_A_LINE:
            parts = [names[start : start + _NAMES_A_LINE] for start in range(0, len(names), _NAMES_A_LINE)]
            return "".join(self.event(event, at, {**fields, "names": part}) for part in parts)
        more = _json(dict(fields))[1:] if fields else "}"
        return f'{{"event":"{event}","at":"{self._stamp(at)}",{self._run}{"," if fields else ""}{more}\n'

    def forget_lists(self) -> None:
        """Write long lists of reasons again: the lines that have them are lost."""
        self._long_lists.clear()

    def _reasons(self, reasons: list[str], at: datetime) -> tuple[str, str]:
        """Return the line with the whole list that goes before, if it is new, and what the step's line says."""
        key = tuple(reasons)
        if len(key) > _MANY_REASONS:
            before, number = self._long_list(key, at)
            return before, f'{_json([shortened_reason(each) for each in collapsed(key)])},"list":{number}'
        told = self._lists.get(key)
        if told is None:
            if len(self._lists) >= _LISTS_KNOWN:
                self._lists.clear()
            told = self._lists[key] = _json([shortened_reason(each) for each in key])
        return "", told

    def _long_list(self, key: tuple[str, ...], at: datetime) -> tuple[str, int]:
        """Return the line of a list, if it is new, and its number; one that goes on from the last: the rest."""
        number = self._long_lists.get(key)
        if number is not None:
            return "", number
        last, more = next(reversed(self._long_lists.items()), ((), 0)), {}
        tail = key
        if last[0] and key[: len(last[0])] == last[0]:
            tail, more = key[len(last[0]) :], {"after": last[1]}
        self._count += 1
        self._long_lists[key] = self._count
        if len(self._long_lists) > _LONG_LISTS_KNOWN:
            del self._long_lists[next(iter(self._long_lists))]
        told = [shortened_reason(each) for each in tail]
        return self.event("reasons", at, {"list": self._count, **more, "reasons": told}), self._count

    def _stamp(self, at: datetime) -> str:
        """The time as ``isoformat`` has it, in UTC, at a fifth of the cost: most lines share their second."""
        second = (at.second, at.minute, at.hour, at.day)
        if second != self._second:
            self._second, self._prefix = second, at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.")
        return f"{self._prefix}{str(_MILLION + at.microsecond)[1:]}Z"


def lines_of(body: bytes) -> list[bytes]:
    """Return the lines of a file, as bytes; blank ones are left out."""
    return [line for line in body.split(b"\n") if line.strip()]


def is_of_status(line: bytes) -> bool:
    """Whether a line, as this version writes it, is that of a step's marker."""
    return line.startswith(b'{"event":"') and line[10 : line.find(b'"', 10)] in _STATUS_EVENTS


def as_written(text: str) -> bytes:
    """Return a text as the lines of this version contain it."""
    return _quoted(text).encode()


def decoded(line: bytes) -> Event | None:
    """Return the event of a line, or None when it is damaged."""
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return event if isinstance(event, dict) and isinstance(event.get("event"), str) else None


def time_of(value: object) -> datetime | None:
    """Return a time in a line or a mark, in UTC, or None when it is none."""
    if not isinstance(value, str):
        return None
    try:
        at = datetime.fromisoformat(value)
        at = at.astimezone(UTC) if at.tzinfo is not None else at.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
    return at if _YEARS[0] <= at.year <= _YEARS[1] else None


def texts_of(value: object) -> list[str]:
    """Return the texts of a list in a line; whatever else is there is left out."""
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []
