"""The chain of reasons for a decision: which selector, which step that forced it, and why that one was played."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from asyncsteps._journal.changes import LEAVES_UNDONE, MAKES_DONE, Change, changes_of, last_before
from asyncsteps._journal.lines import time_of
from asyncsteps._journal.story import RunLog, StepStory, submissions
from asyncsteps._journal.texts import DEPENDENT_OF
from asyncsteps._plan.model import Status
from asyncsteps._plan.names import matches
from asyncsteps._plan.planner import REASON_FORCED

_TOLD = 3
"""How many of the steps that forced a dependent are followed further."""

_DEEPEST = 20


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
            yield from each.lines(f"{indent}  ")


@dataclass(frozen=True, slots=True)
class Reasoner:
    """Finds reasons in the journals that are kept.

    Attributes:
        logs: The journals, in order of time.
    """

    logs: Sequence[RunLog]
    _seen: frozenset[tuple[int, str]] = field(default=frozenset())

    def decision(self, log: RunLog, story: StepStory) -> tuple[Reason, ...]:
        """Return why a run decided a step as it did."""
        if (id(log), story.step) in self._seen or len(self._seen) >= _DEEPEST:
            return ()
        deeper = Reasoner(self.logs, self._seen | {(id(log), story.step)})
        if story.status is Status.SKIPPED:
            return deeper.of_skip(log, story)
        return deeper.of_forced(log, story) if story.forced else (deeper.undone(story.step, story.decided),)

    def of_skip(self, log: RunLog, story: StepStory) -> tuple[Reason, ...]:
        """Return why a step was skipped."""
        if story.forced:
            return tuple(_selected("skip", log, story)) or (Reason(f"a selector skips it{_given(story.reasons)}"),)
        made = last_before(changes_of(self.logs, story.step), story.decided, MAKES_DONE)
        return (Reason("it was done already" if made is None else f"it was done already: {told(made)}"),)

    def of_forced(self, log: RunLog, story: StepStory) -> tuple[Reason, ...]:
        """Return why a step was forced: selectors, steps that it depends on, its own code."""
        found = list(_selected("force", log, story))
        forcing = [
            reason.removeprefix(DEPENDENT_OF) for reason in story.reasons if reason.startswith(DEPENDENT_OF)
        ]
        found += [self._dependency(log, name, story.decided) for name in forcing[:_TOLD]]
        if len(forcing) > _TOLD:
            found.append(
                Reason(f"as a dependent of {len(forcing) - _TOLD:,} more steps, such as {forcing[_TOLD]}")
            )
        if REASON_FORCED in story.reasons:
            found.append(Reason("the code forces it: Step(..., force=True)"))
        return tuple(found) or (Reason(f"it is forced{_given(story.reasons)}"),)

    def _dependency(self, log: RunLog, name: str, before: datetime | None) -> Reason:
        """Return the reason that a step was a dependent of ``name``, and why that was played."""
        stories = [each for each in submissions(log, name) if each.status is not Status.SKIPPED]
        earlier = [each for each in stories if before is None or each.decided is None or each.decided <= before]
        because = self.decision(log, (earlier or stories)[-1]) if stories else ()
        return Reason(f"as a dependent of {name}, which was played", because)

    def undone(self, step: str, at: datetime | None) -> Reason:
        """Return why a step was not done at a moment, or is not now."""
        was = "is" if at is None else "was"
        changes = changes_of(self.logs, step)
        last = last_before(changes, at, LEAVES_UNDONE | MAKES_DONE)
        failed = last_before(changes, at, {"failed"})
        if failed is not None and (last is None or (last.kind in LEAVES_UNDONE and last.at < failed.at)):
            failure = f"it failed in {named(failed.log)}: {failed.told or 'no error is told'}"
            return Reason(f"it {was} not done: {failure}", () if last is None else (self._undoing(last, at),))
        if last is None:
            return Reason(f"it {was} not done: no journal that is kept tells of a run that played it")
        if last.kind in LEAVES_UNDONE:
            return Reason(f"it {was} not done", (self._undoing(last, at),))
        return Reason(f"it {was} not done: its mark is gone", tuple(self._vanished(last, at)))

    def _undoing(self, change: Change, at: datetime | None) -> Reason:
        since = "" if at is None else " until then"
        if change.kind == "forgotten":
            return Reason(f"{told(change)}, and not played again{since or ' since'}")
        because: tuple[Reason, ...] = ()
        by = [] if change.by is None else submissions(change.log, change.by)
        if by:
            because = self.decision(change.log, by[-1])
        return Reason(f"{told(change)}, and not played again{since or ' since'}", because)

    def _vanished(self, made: Change, at: datetime | None) -> Iterator[Reason]:
        """Yield what is known of a mark that was made, and is gone though nothing tells who withdrew it."""
        yield Reason(f"{told(made)}, and no journal tells who withdrew it since")
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
    why = f" ({change.told})" if change.told else ""
    match change.kind:
        case "played":
            return f"played by {named(change.log)}, marked {moment(change.at)}"
        case "failed":
            return f"it failed in {named(change.log)}{why}"
        case "withdrawn":
            return f"withdrawn by {change.by or 'a step'} of {named(change.log)}"
        case "marked":
            return f"marked by hand by {change.by or 'somebody'}, {moment(change.at)}{why}"
        case "forgotten":
            return f"forgotten by hand by {change.by or 'somebody'}, {moment(change.at)}{why}"


def _given(reasons: Sequence[str]) -> str:
    return f": {', '.join(reasons)}" if reasons else ""


def _selected(what: str, log: RunLog, story: StepStory) -> Iterator[Reason]:
    """Yield the selectors that a run was given before it decided a step, and that match it."""
    run = log.summary
    given = [*(run.force if what == "force" else run.skip)]
    for event in log.of("selector"):
        selector, reason, at = event.get(what), event.get("reason"), time_of(event.get("at"))
        if isinstance(selector, str) and (at is None or story.decided is None or at <= story.decided):
            given.append((selector, reason if isinstance(reason, str) else None))
    for selector, reason in dict.fromkeys(given):
        if matches(selector, story.step) and (reason is None or reason in story.reasons):
            word = "forced" if what == "force" else "skipped"
            yield Reason(f"{word} by the selector {selector!r}{'' if reason is None else f', because: {reason}'}")
