"""The submissions of steps, put together from the markers of a run."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncsteps
from asyncsteps.cli._progress import step_details


@dataclass(slots=True)
class StepReport:
    """One submission of a step, from its decision to its end.

    Attributes:
        step: The step's name.
        status: What became of it, as in its last marker.
        forced: Whether the decision was forced.
        reasons: Why it was decided so.
        queued: When it was decided.
        started: When its first activity began, if one did.
        finished: When it ended.
        error: What it failed with.
        attempts: The most attempts that one of its activities took.
        was_done: Whether it was done when it was decided, if that is known.
    """

    step: str
    status: str
    forced: bool
    reasons: list[str]
    queued: datetime
    started: datetime | None
    finished: datetime | None
    error: str | None = None
    attempts: int = 0
    was_done: bool | None = None

    @property
    def seconds(self) -> float | None:
        """How long it ran; None where nothing did."""
        if self.finished is None or self.started is None:
            return None
        return (self.finished - self.started).total_seconds()

    def as_json(self) -> dict[str, Any]:
        """Convert to the documented JSON."""
        ran = self.seconds
        return {
            "step": self.step,
            "status": self.status,
            "forced": self.forced,
            "reasons": self.reasons,
            "queued": self.queued.isoformat(),
            "started": self.started.isoformat() if self.started is not None else None,
            "finished": self.finished.isoformat() if self.finished is not None else None,
            "seconds": round(ran, 6) if ran is not None else 0.0,
            "error": self.error,
        }


def steps_of(markers: Iterable[asyncsteps.Marker]) -> list[StepReport]:
    """Collect the submissions from the markers of a run, in order of decision."""
    reports: list[StepReport] = []
    under_way: dict[str, StepReport] = {}
    for marker in markers:
        details = step_details(marker)
        if details is None:
            continue
        name, status = details["step"], details["status"]
        # A name is under way at most once: a second submission waits for the first to end.
        report = under_way.pop(name, None)
        if report is None:
            report = StepReport(name, status, details["forced"], details["reasons"], marker.at, None, None)
            reports.append(report)
        report.status, report.error = status, details.get("error")
        if status == "scheduled":
            under_way[name] = report
        else:
            report.started, report.finished = marker.started, marker.at
            report.attempts, report.was_done = marker.attempts, marker.was_done
    return reports
