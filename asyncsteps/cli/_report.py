"""The report of a run or a plan, as JSON and as text, with the reasons."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Final

import asyncsteps
from asyncsteps.cli import _output, _tree
from asyncsteps.cli._exit import describe
from asyncsteps.cli._json import to_json
from asyncsteps.cli._progress import because, step_details

_NAMED: Final = 10
"""More steps than this, decided alike, are rolled up."""

_LINES: Final = 20
"""More lines than this about steps of one status are rolled up."""

_COUNTS: Final = {"played": "completed", "skipped": "skipped", "failed": "failed", "cancelled": "cancelled"}
_UNDER_WAY: Final = "still under way"
_RESULT_SHOWN: Final = 1_000
_ERROR_SHOWN: Final = 500


@dataclass(slots=True)
class StepReport:
    """One submission of a step, from its decision to its end."""

    step: str
    status: str
    forced: bool
    reasons: list[str]
    queued: datetime
    started: datetime | None
    finished: datetime | None
    error: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Convert to the documented JSON."""
        ran = self.finished - self.started if self.finished is not None and self.started is not None else None
        return {
            "step": self.step,
            "status": self.status,
            "forced": self.forced,
            "reasons": self.reasons,
            "queued": self.queued.isoformat(),
            "started": self.started.isoformat() if self.started is not None else None,
            "finished": self.finished.isoformat() if self.finished is not None else None,
            "seconds": round(ran.total_seconds(), 6) if ran is not None else 0.0,
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
    return reports


@dataclass(slots=True)
class RunReport:
    """The report of a run, filled in while it runs.

    Attributes:
        target: TARGET as given.
        workflow_id: The workflow's id.
        run: The run, once it is entered.
        store: The store's URL, once it is known.
        result: What the target returned.
        raised: What the target raised besides the failures of its steps, one line each.
        seconds: How long it took.
    """

    target: str
    workflow_id: str
    run: asyncsteps.StepRun | None = None
    store: str | None = None
    result: Any = None
    raised: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def write(self, code: int, *, as_json: bool) -> None:
        """Write the report to stdout."""
        run_id = self.run.run_id if self.run is not None else None
        steps = steps_of(self.run.markers if self.run is not None else ())
        by_status = Counter(step.status for step in steps)
        counts = {word: by_status[status] for word, status in _COUNTS.items()}
        if as_json:
            _output.emit_json(
                {
                    "target": self.target,
                    "store": self.store,
                    "workflow_id": self.workflow_id,
                    "run_id": run_id,
                    "counts": counts,
                    "seconds": round(self.seconds, 3),
                    "steps": [step.as_json() for step in steps],
                    "result": self.result,
                    "errors": [*map(describe, self.run.failures if self.run is not None else ()), *self.raised],
                    "unmatched_selectors": self.run.unmatched_selectors if self.run is not None else [],
                    "stopped_after": self.run.stopped_after if self.run is not None else None,
                    "exit_code": int(code),
                }
            )
            return
        numbers = counts | {_UNDER_WAY: by_status["scheduled"]}
        told = " · ".join(
            f"{word} {number:,}"
            for word, number in numbers.items()
            if number or word not in _WHEN_STOPPED.values()
        )
        lines = [f"{told} in {self.seconds:.1f} s (workflow {self.workflow_id}, run {run_id})"]
        if self.run is not None and self.run.stopped_after is not None:
            lines.append(
                f"stopped after {_output.unbroken(self.run.stopped_after)}; what comes after was not begun"
            )
        lines += _decided(steps) + self._other_errors(steps)
        if self.result is not None:
            lines.append(f"result: {shown(self.result)}")
        _output.emit("\n".join(lines))

    def _other_errors(self, steps: Iterable[StepReport]) -> list[str]:
        """Return the lines for failures outside steps."""
        told = {step.error for step in steps}  # includes store errors, which are no StepFailedError
        errors = [
            describe(failure)
            for failure in (self.run.failures if self.run is not None else ())
            if not isinstance(failure, asyncsteps.StepFailedError)
            and f"{type(failure).__name__}: {failure}" not in told
        ]
        return [
            f"  error: {_output.one_line(each, at_most=_ERROR_SHOWN)}" for each in (errors + self.raised)[:_LINES]
        ]


_WHEN_STOPPED: Final = {"cancelled": "cancelled", "scheduled": _UNDER_WAY}
"""What steps are, by their status, when something stopped the run."""


def _decided(steps: Iterable[StepReport]) -> list[str]:
    """Return the lines for the steps, each with the reasons of its decision or its error."""
    told: dict[str, list[tuple[str, str]]] = {word: [] for word in (*_COUNTS, _UNDER_WAY)}
    for step in steps:
        if step.status in _WHEN_STOPPED:
            told[_WHEN_STOPPED[step.status]].append((step.step, ""))
        elif step.status == "failed":
            told["failed"].append((step.step, _failure(step)))
        else:
            word = "played" if step.status == "completed" else "skipped"
            told[word].append((step.step, because(step.reasons, forced=step.forced)))
    return [line for word, each in told.items() for line in alike(word, each)]


def _failure(step: StepReport) -> str:
    return f": {_output.one_line(step.error or 'no error is told', at_most=_ERROR_SHOWN)}"


def alike(word: str, told: Iterable[tuple[str, str]]) -> list[str]:
    """Return lines for the steps of one status, given as pairs of name and reason; many steps are rolled up."""
    by_why: dict[str, list[str]] = {}
    for name, why in told:
        by_why.setdefault(why, []).append(name)
    lines: list[str] = []
    left: list[str] = []
    for why, names in by_why.items():
        shown = names if len(names) <= _NAMED else [_tree.roll_up(names)]
        shown = [_output.unbroken(each) for each in shown]
        if len(lines) + len(shown) > _LINES:
            left += names
        else:
            lines += [f"  {word} {name}{why}" for name in shown]
    if left:
        lines.append(
            f"  {word} too, each for its own reason, which --json tells: {_output.unbroken(_tree.roll_up(left))}"
        )
    return lines


def shown(result: Any) -> str:
    """Shorten a result to one line; --json has all of it."""
    text = to_json(result)
    return text if len(text) <= _RESULT_SHOWN else f"{text[:_RESULT_SHOWN]}… (--json has all of it)"


def write_plan(
    plan: asyncsteps.Plan, *, target: str, store: str | None, workflow_id: str, show_all: bool, as_json: bool
) -> None:
    """Write a plan to stdout."""
    counts = {action: sum(step.action == action for step in plan.decisions) for action in ("run", "skip")}
    if as_json:
        _output.emit_json(
            {
                "target": target,
                "store": store,
                "workflow_id": workflow_id,
                "counts": counts,
                "steps": [asdict(step) for step in plan.decisions],
                "complete": plan.complete,
                "incomplete_because": plan.incomplete,
                "unmatched_selectors": list(plan.unmatched_selectors),
                "stopped_after": plan.stopped_after,
            }
        )
        return
    more = "" if plan.complete else " · and what comes after: the plan is incomplete"
    lines = [f"would run {counts['run']:,} · skip {counts['skip']:,}{more}"]
    if show_all:
        lines += [f"  {_verb(step)} {step.step}{_why(step)}" for step in plan.decisions]
    else:
        for verb in ("force", "run", "skip"):
            lines += alike(verb, ((step.step, _why(step)) for step in plan.decisions if _verb(step) == verb))
    withdrawn = sorted({name for step in plan.decisions for name in step.withdraws})
    if withdrawn:
        lines.append(f"  would withdraw the marks of {_tree.roll_up(withdrawn)}")
    if plan.stopped_after is not None:
        lines.append(f"would stop after {_output.unbroken(plan.stopped_after)}")
    if plan.incomplete is not None:
        lines.append(f"incomplete: {plan.incomplete}")
    _output.emit("\n".join(lines))


def _verb(step: asyncsteps.PlannedStep) -> str:
    return "force" if step.forced and step.action == "run" else str(step.action)


def _why(step: asyncsteps.PlannedStep) -> str:
    return because(step.reasons, forced=step.forced and _verb(step) != "force")
