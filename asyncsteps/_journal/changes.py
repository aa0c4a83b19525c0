"""What happened to the mark of one step, over the journals that are kept."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from asyncsteps._journal.lines import texts_of, time_of
from asyncsteps._journal.story import RunLog, RunSummary
from asyncsteps._journal.submissions import submissions
from asyncsteps._plan.model import Action, Status

ChangeKind = Literal["played", "failed", "cancelled", "interrupted", "withdrawn", "marked", "forgotten"]

MAKES_DONE = {"played", "marked"}
LEAVES_UNDONE = {"withdrawn", "forgotten"}
UNFINISHED = {"failed", "cancelled", "interrupted"}


@dataclass(frozen=True, slots=True)
class Change:
    """Something that happened to a step's mark, or did not, where it was played and not finished.

    Attributes:
        at: When, in UTC; of what was ``interrupted`` when it was decided: no end of it is told.
        kind: What: ``withdrawn`` is by a step of a run, ``marked`` and ``forgotten`` are by hand.
        log: The journal that tells of it.
        by: The step that withdrew it, or who changed it by hand; None otherwise.
        told: The reason given by hand, or the error of a failure.
    """

    at: datetime
    kind: ChangeKind
    log: RunLog
    by: str | None = None
    told: str | None = None

    @property
    def run(self) -> RunSummary:
        """The run that it happened in."""
        return self.log.summary


def changes_of(logs: Iterable[RunLog], step: str) -> list[Change]:
    """Return what happened to the mark of a step, in order of time."""
    found: list[Change] = []
    for log in logs:
        for story in submissions(log, step):
            at = story.ended or story.decided
            if at is not None and story.decision is not Action.SKIP:
                found.append(Change(at, _OF_STATUS[story.status], log, told=story.error))
        found += _of_general(log, step)
    return sorted(found, key=lambda change: change.at)


_OF_STATUS: Mapping[Status, ChangeKind] = {
    Status.COMPLETED: "played",
    Status.FAILED: "failed",
    Status.CANCELLED: "cancelled",
    Status.SCHEDULED: "interrupted",
}


def _of_general(log: RunLog, step: str) -> Iterable[Change]:
    for event in log.general:
        kind, at = event["event"], time_of(event.get("at"))
        if at is None or step not in texts_of(event.get("names")):
            continue
        by, reason = event.get("by"), event.get("reason")
        if kind == "withdrawing":
            by = event.get("step")
        told = reason if isinstance(reason, str) else None
        who = by if isinstance(by, str) else None
        if kind == "withdrawing":
            yield Change(at, "withdrawn", log, who, told)
        elif kind == "marked":
            yield Change(at, "marked", log, who, told)
        elif kind == "forgotten":
            yield Change(at, "forgotten", log, who, told)


def last_before(changes: Sequence[Change], at: datetime | None, kinds: set[str]) -> Change | None:
    """Return the last change of some kinds before a moment; before now where that is None."""
    return next(
        (change for change in reversed(changes) if change.kind in kinds and (at is None or change.at < at)), None
    )
