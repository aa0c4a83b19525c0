"""What the lines of a run say of each submission of a step."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from asyncsteps._journal.lines import Event, time_of
from asyncsteps._journal.story import RunLog
from asyncsteps._journal.values import number_of, seconds_in, text_of
from asyncsteps._plan.model import Action, Status
from asyncsteps._plan.planner import REASON_DONE


@dataclass(frozen=True, slots=True, kw_only=True)
class StepStory:
    """One submission of a step in one run.

    Attributes:
        step: The step's name.
        status: How it stands: ``scheduled`` while it is under way, or if its run was killed.
        decision: ``run`` or ``skip``, where what is played instead of a done step may have failed; None where it
            failed before it was decided.
        forced: Whether the decision was forced.
        reasons: Its reasons, all of them.
        decided: When it was decided, in UTC; of a skipped step, when that was told.
        ended: When it ended, or None.
        queue_seconds: How long it waited for its first activity.
        seconds: How long it ran.
        attempts: The most attempts that one of its activities took.
        error: Why it failed, or None.
        retried: The errors of attempts that were followed by another, in order.
    """

    step: str
    status: Status
    decision: Action | None
    forced: bool
    reasons: tuple[str, ...]
    decided: datetime | None
    ended: datetime | None = None
    queue_seconds: float | None = None
    seconds: float | None = None
    attempts: int = 0
    error: str | None = None
    retried: tuple[str, ...] = ()


def submissions(log: RunLog, step: str) -> list[StepStory]:
    """Return the submissions of a step that a run decided, in order."""
    found: list[StepStory] = []
    scheduled: Event | None = None
    for event in log.about(step):
        if event["event"] == Status.SCHEDULED:
            if scheduled is not None:
                found.append(_story(log, scheduled, scheduled))
            scheduled = event
        else:
            found.append(_story(log, scheduled or event, event))
            scheduled = None
    if scheduled is not None:
        found.append(_story(log, scheduled, scheduled))
    return found


def _story(log: RunLog, begin: Event, end: Event) -> StepStory:
    retried = [event for event in log.of("retrying") if event.get("step") == begin["step"]]
    at, since_scheduled, reasons = time_of(begin.get("at")), seconds_in(begin, "scheduled_us"), log.reasons(begin)
    return StepStory(
        step=begin["step"],
        status=Status(end["event"]),
        decision=_decision(begin, reasons),
        forced=begin.get("forced") is True,
        reasons=tuple(reasons),
        decided=None if at is None else at - timedelta(seconds=since_scheduled or 0),
        ended=None if end["event"] == Status.SCHEDULED else time_of(end.get("at")),
        queue_seconds=seconds_in(end, "queue_us"),
        seconds=seconds_in(end, "us"),
        attempts=int(number_of(end.get("attempts"))),
        error=text_of(end.get("error")),
        retried=tuple(text_of(event.get("error")) or "" for event in retried),
    )


def _decision(begin: Event, reasons: list[str]) -> Action | None:
    """Return what was decided. One that has failed, and was never scheduled, was to be skipped, or not decided."""
    status = begin["event"]
    if status in {Status.SCHEDULED, Status.COMPLETED} or "scheduled_us" in begin:
        return Action.RUN
    if status == Status.SKIPPED or begin.get("forced") is True or REASON_DONE in reasons:
        return Action.SKIP
    return None
