"""Answers why a step was played, or not: from its mark, from the journals that are kept, and from the planner."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from asyncsteps._errors import RecordError
from asyncsteps._journal.changes import LEAVES_UNDONE, MAKES_DONE, changes_of
from asyncsteps._journal.lines import texts_of, time_of
from asyncsteps._journal.outlook import Now, outlook
from asyncsteps._journal.places import folders
from asyncsteps._journal.reading import files_of, whole
from asyncsteps._journal.reasons import Reason, Reasoner, moment, named
from asyncsteps._journal.story import RunLog, RunSummary
from asyncsteps._journal.submissions import StepStory, submissions
from asyncsteps._plan.model import Action, Status
from asyncsteps._plan.names import as_reasoned_selectors
from asyncsteps._plan.planner import Planner
from asyncsteps.store._protocol import JournalFiles, StepStore

_READ_AT_MOST = 512 * 2**20
"""Bytes of journals after which no older one is read."""


@dataclass(frozen=True, slots=True)
class RunAnswer:
    """What one run did about a step.

    Attributes:
        run: The run.
        verdict: What it did, in words.
        because: Why.
        stories: The submissions of the step that it decided; empty if there were none.
    """

    run: RunSummary
    verdict: str
    because: tuple[Reason, ...]
    stories: tuple[StepStory, ...]


@dataclass(frozen=True, slots=True)
class Why:
    """The answer about one step.

    Attributes:
        step: The step's name.
        done: Whether it is done.
        mark: What its mark says; None if it is not done, or cannot be read.
        state: Since when and by whom it is done, or why it is not.
        runs: What the last runs did about it, the newest first.
        now: What a run would decide.
        problems: What could not be read, in words.
    """

    step: str
    done: bool
    mark: Mapping[str, Any] | None
    state: Reason
    runs: tuple[RunAnswer, ...]
    now: Now
    problems: tuple[str, ...]


async def why(
    store: StepStore,
    step: str,
    *,
    runs: int = 5,
    force: object = (),
    skip: object = (),
) -> Why:
    """Tell why a step was played, or not, in the last runs, and what a run would decide now.

    Args:
        store: An open store.
        step: The step's name.
        runs: How many of the last runs are told of. Older ones are read as far as they tell of its mark.
        force: Selectors that the run that is asked about forces, or a mapping of selector to reason.
        skip: Selectors that it skips.

    Raises:
        StepNameError: When the name is none.
        SelectorError: When a selector is malformed.
        StoreError: When the store cannot be read, or keeps no journals.
    """
    store.check_name(step)
    planner = Planner()
    for selector, reason in as_reasoned_selectors(force):
        planner.add_forced(selector, reason)
    for selector, reason in as_reasoned_selectors(skip):
        planner.add_skipped(selector, reason)
    logs = await _logs(files_of(store), step, runs)
    problems = [f"{named(log)}: {problem}" for log in logs for problem in log.summary.problems]
    done, mark = await store.is_done(step), None
    if done:
        try:
            mark = await store.read_done(step)
        except RecordError as error:
            problems.append(str(error))
    state = _done_since(mark, logs, step) if done else Reasoner(logs).undone(step, None)
    last = [log for log in reversed(logs) if log.folder.kind == "run"][:runs]
    return Why(
        step=step,
        done=done,
        mark=mark,
        state=state,
        runs=tuple(_answer(Reasoner(logs), log, step, mark or {}) for log in last),
        now=await outlook(store, planner, step, state, done=done, logs=logs),
        problems=tuple(problems),
    )


async def _logs(files: JournalFiles, step: str, runs: int) -> list[RunLog]:
    """Read journals from the newest on, until they tell of the runs asked for and what was before them."""
    logs: list[RunLog] = []
    for folder in reversed(folders(await files.names())):
        log = await whole(files, folder)
        if log is None:
            continue
        known = runs <= sum(each.folder.kind == "run" for each in logs)
        logs.append(log)
        if known and any(change.kind in MAKES_DONE | LEAVES_UNDONE for change in changes_of([log], step)):
            break
        if sum(each.size for each in logs) > _READ_AT_MOST:
            break
    return logs[::-1]


def _done_since(mark: Mapping[str, Any] | None, logs: Sequence[RunLog], step: str) -> Reason:
    """Tell since when a step is done, and by whom, from its mark, or else from the journals."""
    record = mark or {}
    at = time_of(record.get("marked_at"))
    since = "" if at is None else f" since {moment(at)}"
    if record.get("marked_by"):
        reason = f", because: {record['reason']}" if record.get("reason") else ""
        return Reason(f"it is done{since}: marked by hand by {record['marked_by']}{reason}")
    if record.get("run_id") is None:
        return Reason(f"it is done{since}; its mark does not say by which run")
    mine = [log for log in logs if log.summary.run_id == record["run_id"]]
    played = [log for log in mine if _played(log, step)]  # several runs may have one id
    run = next(reversed(played or mine), None)
    by = f"run {record['run_id']} of workflow {record.get('workflow_id')}" if run is None else named(run)
    host = f" on {record['host']}" if record.get("host") else ""
    because = (
        Reasoner(logs).decision(run, _played(run, step)[-1]) if run is not None and played else _of_mark(record)
    )
    return Reason(f"it is done{since}: played by {by}{host}", because)


def _played(log: RunLog, step: str) -> list[StepStory]:
    return [story for story in submissions(log, step) if story.status is Status.COMPLETED]


def _of_mark(record: Mapping[str, Any]) -> tuple[Reason, ...]:
    """Return why a step was played, as far as its mark says."""
    if not record.get("forced"):
        return ()
    return (Reason(f"forced: {', '.join(texts_of(record.get('reasons'))) or 'no reason is told'}"),)


def _answer(reasoner: Reasoner, log: RunLog, step: str, mark: Mapping[str, Any]) -> RunAnswer:
    """Tell what a run did about a step."""
    stories, run = submissions(log, step), log.summary
    completed = any(story.status is Status.COMPLETED for story in stories)
    if not (completed or run.ended) and mark.get("run_id") == run.run_id and not mark.get("marked_by"):
        verdict, because = "played, as its mark says; the journal ends before that", [*_of_mark(mark)]
        return RunAnswer(run, verdict, tuple(because), tuple(stories))
    withdrawn = [each for each in changes_of([log], step) if each.kind == "withdrawn" and each.by != step]
    because = list(reasoner.decision(log, stories[-1])) if stories else []
    if withdrawn and not completed:
        change = withdrawn[-1]
        by = submissions(log, change.by) if change.by else []
        chain = reasoner.decision(log, by[-1]) if by else ()
        because.append(Reason(f"its mark was withdrawn by {change.by}, whose dependent it is", chain))
    verdict = _verdict(stories[-1], run) if stories else f"not decided: {_undecided(run)}"
    return RunAnswer(run, verdict, tuple(because), tuple(stories))


def _verdict(story: StepStory, run: RunSummary) -> str:
    took = "" if story.seconds is None else f" in {story.seconds:.3g} s"
    attempts = f", at attempt {story.attempts}" if story.attempts > 1 else ""
    instead = "skipped, but what is played instead " if story.decision is Action.SKIP else ""
    match story.status:
        case Status.COMPLETED:
            return f"played{took}{attempts}"
        case Status.SKIPPED:
            return "skipped"
        case Status.FAILED:
            after = f" after {story.attempts} attempts" if story.attempts > 1 else ""
            return f"{instead}failed{after}: {story.error or 'no error is told'}"
        case Status.CANCELLED:
            return f"{instead}was cancelled" if instead else "cancelled before it was through"
        case Status.SCHEDULED:
            return _under_way(run)


def _under_way(run: RunSummary) -> str:
    if run.outcome == "running":
        return "under way"
    if run.outcome == "killed":
        return "under way when the run was killed, or in the seconds before that"
    return "under way when the run was last heard of"


def _undecided(run: RunSummary) -> str:
    if any("lost" in problem or "damaged" in problem for problem in run.problems):
        return "no line tells of it, and lines are missing"
    before = f"before it came to it{f' ({run.error})' if run.error else ''}"
    told = {
        "running": "the run goes on",
        "unknown": "no line tells of it, nor of the run's end",
        "completed": "the code did not submit it",
        "killed": "the run was killed before it came to it, or in the seconds after its last batch",
        "failed": "the code did not submit it; other steps failed",
    }
    if run.outcome == "cancelled" or run.error is not None:
        return f"the run was cancelled {before}" if run.outcome == "cancelled" else f"the run failed {before}"
    if run.stopped_after is not None:
        return f"the run stopped after {run.stopped_after}, before it came to it"
    return told[run.outcome]
