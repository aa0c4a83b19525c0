"""The chain of reasons for a decision: which selector, which step that forced it, and why that one was played."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from asyncsteps._journal.changes import (
    LEAVES_UNDONE,
    MAKES_DONE,
    UNFINISHED,
    Change,
    changes_of,
    last_before,
)
from asyncsteps._journal.lines import time_of
from asyncsteps._journal.story import RunLog
from asyncsteps._journal.submissions import StepStory, submissions
from asyncsteps._journal.texts import DEPENDENT_OF
from asyncsteps._plan.model import Action, Status
from asyncsteps._plan.names import matches
from asyncsteps._plan.planner import REASON_FORCED

_TOLD = 3
"""How many of the steps that forced a dependent are followed further."""

_MOST = 200
"""How many decisions are told of in one answer."""

_DEEPEST = 40
"""How far reasons are moved to the right."""


@dataclass(frozen=True, slots=True)
class Reason:
    """One link of a chain of reasons.

    Attributes:
        text: The reason, in words.
        because: The reasons for it.
    """

    text: str
    because: tuple["Reason", ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Convert to JSON values."""
        return {"text": self.text, "because": [each.as_json() for each in self.because]}

    def lines(self, indent: str = "") -> Iterator[str]:
        """Yield a line for the reason, then those for what it is for, further in."""
        yield f"{indent}{self.text}"
        for each in self.because:
            yield from each.lines(f"{indent}  " if len(indent) < _DEEPEST else indent)


@dataclass(frozen=True, slots=True)
class Reasoner:
    """Finds reasons in the journals that are kept, for one answer: each decision is explained once in it.

    Attributes:
        logs: The journals, in order of time.
    """

    logs: Sequence[RunLog]
    _told: set[tuple[str, str, datetime | None]] = field(default_factory=set)

    def decision(self, log: RunLog, story: StepStory) -> tuple[Reason, ...]:
        """Return why a run decided a step as it did."""
        key = (log.folder.name, story.step, story.decided)
        if key in self._told:
            return (Reason("for the reasons told above"),)
        if len(self._told) >= _MOST:
            return (Reason("and so on"),)
        self._told.add(key)
        if story.decision is None:
            return (Reason("the store could not tell whether it was done"),)
        if story.decision is Action.SKIP:
            return self.of_skip(log, story)
        return self.of_forced(log, story) if story.forced else (self.undone(story.step, story.decided),)

    def of_skip(self, log: RunLog, story: StepStory) -> tuple[Reason, ...]:
        """Return why a step was skipped."""
        if story.forced:
            return tuple(_selected("skip", log, story)) or (Reason(f"a selector skips it{_given(story.reasons)}"),)
        changes = changes_of(self.logs, story.step)
        made = last_before(changes, story.decided, MAKES_DONE)
        last = last_before(changes, story.decided, MAKES_DONE | LEAVES_UNDONE)
        if made is None:
            return (Reason("it was done already"),)
        if last is not made and last is not None:
            since = f"{told(last)} since, which this run did not know, or which did not come about"
            return (Reason(f"it was done already, as far as it knew: {told(made)}", (Reason(since),)),)
        return (Reason(f"it was done already: {told(made)}"),)

    def of_forced(self, log: RunLog, story: StepStory) -> tuple[Reason, ...]:
        """Return why a step was forced: selectors, steps that it depends on, its own code."""
        found = list(_selected("force", log, story))
        forcing = [
            reason.removeprefix(DEPENDENT_OF) for reason in story.reasons if reason.startswith(DEPENDENT_OF)
        ]
        followed = forcing if len(forcing) <= _TOLD + 1 else forcing[:_TOLD]
        found += [self._dependency(log, name, story.decided) for name in followed]
        if more := len(forcing) - len(followed):
            found.append(Reason(f"as a dependent of {more:,} more steps, such as {forcing[_TOLD]}"))
        if REASON_FORCED in story.reasons:
            found.append(Reason("the code forces it: Step(..., force=True)"))
        return tuple(found) or (Reason(f"it is forced{_given(story.reasons)}"),)

    def _dependency(self, log: RunLog, name: str, before: datetime | None) -> Reason:
        """Return the reason that a step was a dependent of ``name``, and why that was played."""
        stories = [each for each in submissions(log, name) if each.decision is not Action.SKIP]
        earlier = [each for each in stories if before is None or each.decided is None or each.decided <= before]
        because = self.decision(log, (earlier or stories)[-1]) if stories else ()
        return Reason(f"as a dependent of {name}, which was played", because)

    def undone(self, step: str, at: datetime | None) -> Reason:
        """Return why a step was not done at a moment, or is not now."""
        was = "is" if at is None else "was"
        changes = changes_of(self.logs, step)
        last = last_before(changes, at, LEAVES_UNDONE | MAKES_DONE)
        begun = last_before(changes, at, UNFINISHED)
        if begun is not None and (last is None or (last.kind in LEAVES_UNDONE and last.at < begun.at)):
            return Reason(f"it {was} not done: {told(begun)}", () if last is None else (self._undoing(last, at),))
        if last is None:
            return Reason(f"it {was} not done: no journal that is kept tells of a run that played it")
        if last.kind in LEAVES_UNDONE:
            return Reason(f"it {was} not done", (self._undoing(last, at),))
        return Reason(f"it {was} not done: its mark is gone", tuple(self._vanished(step, last, at)))

    def _undoing(self, change: Change, at: datetime | None) -> Reason:
        since = "" if at is None else " until then"
        if change.kind == "forgotten":
            return Reason(f"{told(change)}, and not played again{since or ' since'}")
        because: tuple[Reason, ...] = ()
        by = [] if change.by is None else submissions(change.log, change.by)
        if by:
            because = self.decision(change.log, by[-1])
        return Reason(f"{told(change)}, and not played again{since or ' since'}", because)

    def _vanished(self, step: str, made: Change, at: datetime | None) -> Iterator[Reason]:
        """Yield what is known of a mark that was made, and is gone though nothing tells who withdrew it."""
        yield Reason(f"{told(made)}, and no journal tells who withdrew it since")
        withdrawn = last_before(changes_of(self.logs, step), None, LEAVES_UNDONE)
        if withdrawn is not None and withdrawn.run.host != made.run.host:
            yield Reason(f"before that by its own clock, which may be wrong, it was {told(withdrawn)}")
        for log in self.logs:
            run = log.summary
            if run.outcome == "killed" and run.started > made.at and (at is None or run.started < at):
                yield Reason(f"{named(log)} began after that; what it did in its last seconds may be untold")


def named(log: RunLog) -> str:
    """Name a run: its id, when it began, and how it ended unless it is well."""
    run = log.summary
    how = f", {run.outcome}" if run.outcome in {"killed", "cancelled", "unknown"} else ""
    return f"run {run.run_id} ({moment(run.started)}{how})"


def moment(at: datetime) -> str:
    """A time to the second, in UTC."""
    return at.strftime("%Y-%m-%d %H:%M:%SZ")


def told(change: Change) -> str:
    """Tell of a change in words."""
    run, by = named(change.log), change.by or "somebody"
    why = f" ({change.told})" if change.told else ""
    words = {
        "played": f"played by {run}, marked {moment(change.at)}",
        "failed": f"it failed in {run}: {change.told or 'no error is told'}",
        "cancelled": f"it was cancelled in {run}",
        "interrupted": f"it was under way when {run} was last heard of",
        "withdrawn": f"withdrawn by {change.by or 'a step'} of {run}",
        "marked": f"marked by hand by {by}, {moment(change.at)}{why}",
        "forgotten": f"forgotten by hand by {by}, {moment(change.at)}{why}",
    }
    return words[change.kind]


def _given(reasons: Sequence[str]) -> str:
    return f": {', '.join(reasons)}" if reasons else ""


def _selected(what: str, log: RunLog, story: StepStory) -> Iterator[Reason]:
    """Yield the selectors that a run was given before it decided a step, and that match it.

    What forced a step no longer does once the run has played it.
    """
    run, since = log.summary, _last_played(log, story) if what == "force" else None
    given = [] if since is not None else [*(run.force if what == "force" else run.skip)]
    for event in log.of("selector"):
        selector, reason, at = event.get(what), event.get("reason"), time_of(event.get("at"))
        if not isinstance(selector, str) or (at is not None and since is not None and at <= since):
            continue
        if at is None or story.decided is None or at <= story.decided:
            given.append((selector, reason if isinstance(reason, str) else None))
    for selector, reason in dict.fromkeys(given):
        if matches(selector, story.step) and (reason is None or reason in story.reasons):
            word = "forced" if what == "force" else "skipped"
            yield Reason(f"{word} by the selector {selector!r}{'' if reason is None else f', because: {reason}'}")


def _last_played(log: RunLog, story: StepStory) -> datetime | None:
    """Return when a run had last decided to play a step that it then played, before a submission of it."""
    decided = story.decided
    before = [
        each.decided
        for each in submissions(log, story.step)
        if each.status is Status.COMPLETED
        and each.decided is not None
        and decided is not None
        and each.decided < decided
    ]
    return max(before, default=None)
