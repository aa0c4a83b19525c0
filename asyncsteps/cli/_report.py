"""The report of a run or a plan, as JSON and as text, with the reasons."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import asyncsteps
from asyncsteps.cli import _output, _tree
from asyncsteps.cli._alike import Told, alike
from asyncsteps.cli._exit import describe
from asyncsteps.cli._failures import NOWHERE, Place, place_of
from asyncsteps.cli._json import to_json
from asyncsteps.cli._styled import STYLES, emit, line
from asyncsteps.cli._submissions import StepReport, steps_of
from asyncsteps.cli._summary import COUNTED, UNDER_WAY, Failed, counted, decided, other_failures

_RESULT_SHOWN: Final = 1_000


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
        raised_at: Where the errors in these lines come from, as far as that is known.
        seconds: How long it took.
    """

    target: str
    workflow_id: str
    run: asyncsteps.StepRun | None = None
    store: str | None = None
    result: Any = None
    raised: list[str] = field(default_factory=list)
    raised_at: dict[str, Place] = field(default_factory=dict)
    seconds: float = 0.0

    def write(self, code: int, *, as_json: bool) -> None:
        """Write the report to stdout."""
        run_id = self.run.run_id if self.run is not None else None
        steps = steps_of(self.run.markers if self.run is not None else ())
        by_status = Counter(step.status for step in steps)
        counts = {word: by_status[status] for word, status in COUNTED.items()}
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
        numbers = counts | {UNDER_WAY: by_status["scheduled"]}
        ids = f"  workflow {_output.unbroken(self.workflow_id)} · run {_output.unbroken(str(run_id))}"
        lines = [counted(numbers, self.seconds), line((ids, "dim"))]
        if self.run is not None and self.run.stopped_after is not None:
            after = _output.unbroken(self.run.stopped_after)
            lines.append(line((f"stopped after {after}; what comes after was not begun", "bold")))
        lines += decided(steps, self._places()) + other_failures(self._other_errors(steps))
        if self.result is not None:
            lines.append(line(("result", "bold"), f": {shown(self.result)}"))
        emit(lines)

    def _places(self) -> dict[str, Place]:
        """Where each failed step failed, by its name."""
        failures = self.run.failures if self.run is not None else ()
        return {
            failure.step: place_of(failure.__cause__)
            for failure in failures
            if isinstance(failure, asyncsteps.StepFailedError) and failure.__cause__ is not None
        }

    def _other_errors(self, steps: Iterable[StepReport]) -> list[Failed]:
        """Return the failures outside steps."""
        told = {step.error for step in steps}  # includes store errors, which are no StepFailedError
        errors = [
            Failed(describe(failure), place_of(failure))
            for failure in (self.run.failures if self.run is not None else ())
            if not isinstance(failure, asyncsteps.StepFailedError)
            and f"{type(failure).__name__}: {failure}" not in told
        ]
        return errors + [Failed(each, self.raised_at.get(each, NOWHERE)) for each in self.raised]


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
    total = f"would run {counts['run']:,} · skip {counts['skip']:,}"
    lines = [line((total, "bold"), (more, STYLES["cancelled"]))]
    if show_all:
        lines += [each for step in plan.decisions for each in alike(_verb(step), [_told(step)])]
    else:
        for verb in ("force", "run", "skip"):
            lines += alike(verb, (_told(step) for step in plan.decisions if _verb(step) == verb))
    withdrawn = sorted({name for step in plan.decisions for name in step.withdraws})
    if withdrawn:
        lines.append(line(f"  would withdraw the marks of {_output.unbroken(_tree.roll_up(withdrawn))}"))
    if plan.stopped_after is not None:
        lines.append(line(f"would stop after {_output.unbroken(plan.stopped_after)}"))
    if plan.incomplete is not None:
        lines.append(line(("incomplete", STYLES["cancelled"]), f": {plan.incomplete}"))
    emit(lines)


def _verb(step: asyncsteps.PlannedStep) -> str:
    return "force" if step.forced and step.action == "run" else str(step.action)


def _told(step: asyncsteps.PlannedStep) -> Told:
    return Told(step.step, step.reasons, step.forced and _verb(step) != "force")
