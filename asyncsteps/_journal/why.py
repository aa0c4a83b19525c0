"""Answers why a step was played, or not: from its mark, from the journals that are kept, and from the planner."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from asyncsteps._errors import RecordError
from asyncsteps._journal.changes import LEAVES_UNDONE, MAKES_DONE, changes_of
from asyncsteps._journal.lines import texts_of, time_of
from asyncsteps._journal.places import folders
from asyncsteps._journal.reading import files_of, whole
from asyncsteps._journal.reasons import Reason, Reasoner, moment, named
from asyncsteps._journal.story import RunLog, RunSummary, StepStory, submissions
from asyncsteps._plan.model import Action, Status, StepRules
from asyncsteps._plan.names import as_reasoned_selectors, matches
from asyncsteps._plan.planner import REASON_FORCED, Planner
from asyncsteps.store._protocol import JournalFiles, StepStore

_READ_AT_MOST = 512 * 2**20
"""Bytes of journals after which no older one is read."""

_ASKED = 10
"""How many steps that may force this one are looked up."""


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
class Now:
    """What a run would decide that began now, as far as it can be known without the workflow's code.

    Attributes:
        action: ``run`` or ``skip``.
        forced: Whether the selectors that were asked about force it.
        because: Why.
        unless: What else may decide it: steps that force it when they are played, or the code itself.
    """

    action: Action
    forced: bool
    because: tuple[Reason, ...]
    unless: tuple[str, ...]


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
    reasoner = Reasoner(logs)
    state = _done_since(mark, logs, step) if done else reasoner.undone(step, None)
    last = [log for log in reversed(logs) if log.folder.kind == "run"][:runs]
    return Why(
        step=step,
        done=done,
        mark=mark,
        state=state,
        runs=tuple(_answer(reasoner, log, step) for log in last),
        now=await _now(store, planner, step, state, done=done, logs=logs),
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
    run = next((log for log in reversed(logs) if log.summary.run_id == record["run_id"]), None)
    by = f"run {record['run_id']} of workflow {record.get('workflow_id')}" if run is None else named(run)
    host = f" on {record['host']}" if record.get("host") else ""
    because: tuple[Reason, ...] = ()
    if run is not None:
        stories = [story for story in submissions(run, step) if story.status is Status.COMPLETED]
        because = Reasoner(logs).decision(run, stories[-1]) if stories else ()
    elif record.get("forced"):
        because = (Reason(f"forced: {', '.join(texts_of(record.get('reasons'))) or 'no reason is told'}"),)
    return Reason(f"it is done{since}: played by {by}{host}", because)


def _answer(reasoner: Reasoner, log: RunLog, step: str) -> RunAnswer:
    """Tell what a run did about a step."""
    stories = submissions(log, step)
    withdrawn = [each for each in changes_of([log], step) if each.kind == "withdrawn" and each.by != step]
    because: list[Reason] = []
    if stories:
        verdict = _verdict(stories[-1], log.summary)
        because += reasoner.decision(log, stories[-1])
    else:
        verdict = f"not decided: {_undecided(log.summary)}"
    if withdrawn and not any(story.status is Status.COMPLETED for story in stories):
        change = withdrawn[-1]
        by = submissions(log, change.by) if change.by else []
        chain = reasoner.decision(log, by[-1]) if by else ()
        because.insert(0, Reason(f"its mark was withdrawn by {change.by}, whose dependent it is", chain))
    return RunAnswer(log.summary, verdict, tuple(because), tuple(stories))


def _verdict(story: StepStory, run: RunSummary) -> str:
    took = "" if story.seconds is None else f" in {story.seconds:.3g} s"
    attempts = f", at attempt {story.attempts}" if story.attempts > 1 else ""
    match story.status:
        case Status.COMPLETED:
            return f"played{took}{attempts}"
        case Status.SKIPPED:
            return "skipped"
        case Status.FAILED:
            after = f" after {story.attempts} attempts" if story.attempts > 1 else ""
            return f"failed{after}: {story.error or 'no error is told'}"
        case Status.CANCELLED:
            return "cancelled before it was through"
        case Status.SCHEDULED:
            return "under way" if run.outcome == "running" else f"under way when the run was {run.outcome}"


def _undecided(run: RunSummary) -> str:
    match run.outcome:
        case "running":
            return "the run goes on"
        case "completed" | "failed" if run.stopped_after is not None:
            return f"the run stopped after {run.stopped_after}, before it came to it"
        case "completed":
            return "the code did not submit it"
        case "killed":
            return "the run was killed before it came to it, or in the seconds after its last batch"
        case "failed" if run.error is None:
            return "the code did not submit it; other steps failed"
        case _:
            return f"the run was {run.outcome} before it came to it{f' ({run.error})' if run.error else ''}"


async def _now(
    store: StepStore, planner: Planner, step: str, state: Reason, *, done: bool, logs: Sequence[RunLog]
) -> Now:
    """Ask the planner, and tell what else the last run of the code knew of."""
    decision = planner.decide(StepRules(step), done=done)
    if decision.forced:
        selectors = planner.forced if decision.action is Action.RUN else planner.skipped
        matching = [selector for selector in selectors if matches(selector, step)]
        given = f", because: {', '.join(decision.reasons)}" if decision.reasons else ""
        word = "forced" if decision.action is Action.RUN else "skipped"
        because: tuple[Reason, ...] = (Reason(f"{word} by the selector {matching[-1]!r}{given}"),)
    else:
        because = (state,)
    unless: list[str] = []
    if not decision.forced and done:
        forcing = dict.fromkeys(_forcing(logs, step))
        undone = [name for name in list(forcing)[:_ASKED] if not await store.is_done(name)]
        unless += [f"{name}, which is not done, is played before it: it is its dependent" for name in undone]
        stories = [story for log in logs for story in submissions(log, step)]
        if stories and REASON_FORCED in stories[-1].reasons:
            unless.append("the code still forces it, as it did when it last decided it: Step(..., force=True)")
    return Now(decision.action, decision.forced, because, tuple(unless))


def _forcing(logs: Sequence[RunLog], step: str) -> Iterator[str]:
    """Yield the steps whose dependents include a step, as far as runs that are kept have played them."""
    for log in logs:
        for name, selectors in log.forced_dependents():
            if name != step and any(matches(selector, step) for selector in selectors):
                yield name
