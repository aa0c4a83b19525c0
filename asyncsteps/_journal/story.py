"""What the lines of a run say of it as a whole, and of each step. Nothing is trusted to be well-formed."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any, Literal

from asyncsteps._journal.lines import (
    VERSION,
    Event,
    as_written,
    decoded,
    is_of_status,
    lines_of,
    texts_of,
    time_of,
)
from asyncsteps._journal.places import Folder, Kind
from asyncsteps._journal.process import lives
from asyncsteps._journal.values import counts_of, number_of, pairs_of, text_of
from asyncsteps._plan.planner import REASON_FORCED

SILENT_AFTER = 90.0
"""Seconds without a batch after which a run that has not ended is taken for killed: three that did not come."""

Outcome = Literal["completed", "failed", "cancelled", "running", "killed", "unknown"]
"""How a run ended.

``killed``: its process has ended without saying so, or nothing was heard of it for 90 seconds. ``unknown``: its
end cannot be read; or its process lives, and nothing was heard of it for 90 seconds.
"""

_ENDS: Mapping[str, Outcome] = {"completed": "completed", "failed": "failed", "cancelled": "cancelled"}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary:
    """A run, as its journal tells it.

    Attributes:
        run_id: Its id.
        workflow_id: The workflow's id.
        kind: ``run``, or ``hand`` for a command that changed marks by hand.
        outcome: How it ended; ``running`` while it goes on.
        started: When it began, in UTC.
        seconds: How long it took; of one that has not ended, until its last batch.
        counts: How many markers of steps there are, by status.
        failures: How many failures it ended with.
        error: What left its block, or None.
        heard: How many seconds ago its last batch was written, by the store's clock.
        certain: Whether ``killed`` and ``running`` are known from the process, which was on this machine.
        host: The machine that it ran on.
        pid: Its process.
        version: The workflow's version.
        about: What it told of itself: its target and parameters, under the command.
        force: The selectors that it was given to force, with their reasons.
        skip: The selectors that it was given to skip, with their reasons.
        stopped_after: The step that it stopped after, by its ``until``; None if it did not.
        by: Who it was, where marks were changed by hand.
        problems: What could not be read, in words.
    """

    run_id: str
    workflow_id: str
    kind: Kind
    outcome: Outcome
    started: datetime
    seconds: float
    counts: Mapping[str, int]
    failures: int = 0
    error: str | None = None
    heard: float = 0.0
    certain: bool = False
    host: str | None = None
    pid: int | None = None
    version: str | None = None
    about: Mapping[str, Any] = field(default_factory=dict)
    force: tuple[tuple[str, str | None], ...] = ()
    skip: tuple[tuple[str, str | None], ...] = ()
    stopped_after: str | None = None
    by: str | None = None
    problems: tuple[str, ...] = ()

    @property
    def ended(self) -> bool:
        """Whether it said how it ended."""
        return self.outcome in _ENDS


class RunLog:
    """The lines of one run, or of its last file.

    Args:
        folder: Where they come from.
        bodies: What the files hold, in order.
        age: How many seconds ago the last was written.

    Attributes:
        folder: As given.
        size: The bytes of the lines.
    """

    def __init__(self, folder: Folder, bodies: Iterable[bytes], age: float) -> None:
        self.folder = folder
        self._age = age
        self._about: dict[str, list[Event]] = {}
        self._lines = [line for body in bodies for line in lines_of(body)]
        self.size = sum(map(len, self._lines))

    @cached_property
    def general(self) -> list[Event]:
        """The events that are not of one step's status, in order."""
        return self._events(line for line in self._lines if not is_of_status(line))

    def about(self, step: str) -> list[Event]:
        """The events of the status of one step, in order."""
        found = self._about.get(step)
        if found is None:
            events = self._events(self._of_status(as_written(step)))
            found = self._about[step] = [
                {**event, "step": step}
                for event in events
                if event.get("step") == step or ("step" not in event and step in texts_of(event.get("names")))
            ]
        return found

    def forced_by_code(self) -> set[str]:
        """The steps that their code forced, whatever else did."""
        events = self._events(self._of_status(as_written(REASON_FORCED)))
        return {event["step"] for event in events if isinstance(event.get("step"), str)}

    def _of_status(self, part: bytes) -> Iterator[bytes]:
        return (line for line in self._lines if part in line and is_of_status(line))

    def events(self) -> Iterator[Event]:
        """All events, in order, with whole lists of reasons."""
        for event in self._events(self._lines):
            yield {**event, "reasons": self.reasons(event)} if "reasons" in event else event

    def of(self, kind: str) -> Iterator[Event]:
        """The events of one kind that is general."""
        return (event for event in self.general if event["event"] == kind)

    def reasons(self, event: Event) -> list[str]:
        """The whole list of reasons of an event."""
        number: object = event.get("list")
        parts: list[list[str]] = []
        before: object = None
        while isinstance(number, int) and (part := self._reasons.get(number)) is not None:
            parts.append(texts_of(part.get("reasons")))
            before, number = number, part.get("after")
            if isinstance(number, int) and number >= before:
                break  # damaged: each list goes on from an earlier one
        if not parts or number is not None:
            return texts_of(event.get("reasons"))
        return [each for part in reversed(parts) for each in part]

    @cached_property
    def _reasons(self) -> dict[int, Event]:
        return {event["list"]: event for event in self.of("reasons") if isinstance(event.get("list"), int)}

    def forced_dependents(self) -> Iterator[tuple[str, list[str]]]:
        """The steps that forced their dependents, with the dependents' selectors."""
        for event in self.of("forces"):
            if isinstance(event.get("step"), str):
                yield event["step"], texts_of(event.get("selectors"))

    @staticmethod
    def _events(lines: Iterable[bytes]) -> list[Event]:
        return [event for event in map(decoded, lines) if event is not None]

    @cached_property
    def summary(self) -> RunSummary:
        """The run as a whole."""
        head = next(self.of("started"), {})
        end = next(self.of("ended"), None)
        alive = next((event for event in reversed(self.general) if event["event"] == "alive"), {})
        last = alive if end is None else end
        outcome, certain = self._outcome(head, end)
        about = head.get("about")
        return RunSummary(
            run_id=text_of(head.get("run")) or "unknown",
            workflow_id=text_of(head.get("workflow")) or "unknown",
            kind=self.folder.kind,
            outcome=outcome,
            started=time_of(head.get("at")) or self.folder.begun,
            seconds=number_of(last.get("seconds")),
            counts=counts_of(last.get("counts")),
            failures=int(number_of(last.get("failures"))),
            error=text_of(last.get("error")),
            heard=self._age,
            certain=certain,
            host=text_of(head.get("host")),
            pid=pid if isinstance(pid := head.get("pid"), int) else None,
            version=text_of(head.get("version")),
            about=about if isinstance(about, dict) else {},
            force=pairs_of(head.get("force")),
            skip=pairs_of(head.get("skip")),
            stopped_after=text_of(last.get("stopped_after")),
            by=text_of(head.get("by")),
            problems=tuple(self._problems(head)),
        )

    def _outcome(self, head: Event, end: Event | None) -> tuple[Outcome, bool]:
        if end is not None:
            return _ENDS.get(text_of(end.get("outcome")) or "", "unknown"), True
        if self.folder.ended:  # its end is damaged
            return "unknown", False
        living = lives(text_of(head.get("process")))
        if living is False:
            return "killed", True
        if self._age > SILENT_AFTER:
            return ("killed" if living is None else "unknown"), False
        return "running", living is True

    def _problems(self, head: Event) -> Iterator[str]:
        damaged = sum(
            decoded(line) is None for line in self._lines if not line.endswith(b"}") or not is_of_status(line)
        )
        if damaged:
            yield f"{damaged} damaged lines are left out"
        if not head:
            yield "its first line is missing"
        version = head.get("journal")
        if isinstance(version, int) and version > VERSION:
            yield f"it has version {version} of the lines, and this asyncsteps reads version {VERSION}"
        for event in self.of("lost"):
            told = ", ".join(f"{event[unit]} {unit}" for unit in ("events", "bytes") if unit in event)
            yield f"lines were lost while nothing could be written ({told})"
