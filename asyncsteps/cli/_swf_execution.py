"""The commands that show an execution on SWF: swf follow, swf history."""

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from asyncsteps.cli import _output
from asyncsteps.cli._alike import Told, alike
from asyncsteps.cli._exit import ExitCode, Interrupted, run_async
from asyncsteps.cli._options import Flag, SwfCommon
from asyncsteps.cli._progress import Follower, followed
from asyncsteps.cli._report import shown
from asyncsteps.cli._show_run import write_file
from asyncsteps.cli._styled import Line, emit
from asyncsteps.cli._swf_steps import FAILED, OPEN, RUNNING, UNFINISHED, ExecutionSteps, Failure
from asyncsteps.report import page

if TYPE_CHECKING:
    from asyncsteps.swf import Execution

_logger = logging.getLogger("asyncsteps.cli")

_WORDS: Final = {
    "completed": "played",
    "skipped": "skipped",
    FAILED: FAILED,
    UNFINISHED: UNFINISHED,
    RUNNING: RUNNING,
}
_FAILURES_SHOWN: Final = 20

_PATIENCE: Final = 300.0
"""Seconds for which SWF may throttle or be out of reach."""


@asynccontextmanager
async def _execution(
    workflow_id: str, run_id: str | None, common: SwfCommon, *, patience: float = _PATIENCE
) -> AsyncIterator["Execution"]:
    """Find the execution: without a run id, the newest one with the workflow id."""
    from asyncsteps.swf import SwfClient

    async with SwfClient(
        common.domain,
        region_name=common.region,
        endpoint_url=common.swf_endpoint_url,
        poll_patience=patience,
    ) as swf:
        yield swf.get(workflow_id, run_id) if run_id is not None else await swf.find(workflow_id)


def follow(
    workflow_id: str,
    /,
    *,
    run_id: str | None = None,
    patience: float = _PATIENCE,
    quiet: Flag = False,
    report: Path | None = None,
    common: SwfCommon,
) -> int:
    """Show an execution's steps as they are recorded, until it closes; then a summary.

    Args:
        workflow_id: The workflow id.
        run_id: The run; without it the newest execution with this workflow id.
        patience: Seconds for which SWF may throttle or be out of reach.
        quiet: No progress; the summary is written all the same.
        report: A file to write too: the page that shows its steps over time, as `asyncsteps report` does for runs.
        common: Options of every command of SWF.
    """
    steps = ExecutionSteps()

    async def main() -> None:
        with followed(quiet=quiet, with_traceback=common.traceback) as progress:
            progress.run = steps
            async with (
                _execution(workflow_id, run_id, common, patience=patience) as execution,
                aclosing(execution.events()) as events,
            ):
                async for event in events:
                    _tell(steps.take(event), progress)

    def write_what_is_known(interrupted: Interrupted, _told: str = "") -> None:
        if steps.run_ids:
            _write_page(workflow_id, steps, report)
            _write(workflow_id, steps, common, code=interrupted.code)

    try:
        run_async(main, report=write_what_is_known)
    except Interrupted as interrupted:
        write_what_is_known(interrupted)
        raise
    code = ExitCode.OK if steps.status == "COMPLETED" and not steps.failed else ExitCode.FAILED
    _write_page(workflow_id, steps, report)
    _write(workflow_id, steps, common, code=code)
    return code


def history(
    workflow_id: str, /, *, run_id: str | None = None, report: Path | None = None, common: SwfCommon
) -> int:
    """Show the steps of an execution as its history has them by now: decisions, durations, reasons, failures.

    Args:
        workflow_id: The workflow id.
        run_id: The run; without it the newest execution with this workflow id.
        report: A file to write too: the page that shows its steps over time, as `asyncsteps report` does for runs.
        common: Options of every command of SWF.
    """
    steps = ExecutionSteps()

    async def main() -> None:
        async with (
            _execution(workflow_id, run_id, common) as execution,
            aclosing(execution.events(live=False)) as events,
        ):
            async for event in events:
                steps.take(event)

    run_async(main)
    _write_page(workflow_id, steps, report)
    _write(workflow_id, steps, common, code=ExitCode.OK)
    return ExitCode.OK


def _write_page(workflow_id: str, steps: ExecutionSteps, path: Path | None) -> None:
    if path is not None:
        write_file(path, page(steps.story(workflow_id)))


def _tell(told: Any, progress: Follower) -> None:
    if isinstance(told, Failure):
        _logger.warning("%s", told)
    elif told is not None:
        progress(told)


def _write(workflow_id: str, steps: ExecutionSteps, common: SwfCommon, *, code: int) -> None:
    """Write the report to stdout."""
    began, newest = steps.started, steps.newest
    seconds = (newest - began).total_seconds() if began is not None and newest is not None else 0.0
    counts = {word: steps.counts[status] for status, word in _WORDS.items()}
    if common.json:
        _output.emit_json(
            {
                "domain": common.domain,
                "workflow_id": workflow_id,
                "run_ids": steps.run_ids,
                "workflow": steps.workflow[0],
                "version": steps.workflow[1],
                "status": steps.status,
                "started": began.isoformat() if began is not None else None,
                "newest_event": newest.isoformat() if newest is not None else None,
                "seconds": round(seconds, 3),
                "counts": counts,
                "steps": [step.as_json() for step in steps.steps],
                "failures": [failure.as_json() for failure in steps.failures],
                "result": steps.result,
                "reason": steps.reason,
                "errors": _errors(steps),
                "exit_code": int(code),
            }
        )
        return
    told = " · ".join(
        f"{word} {number:,}"
        for word, number in counts.items()
        if number or word in {"played", "skipped", "failed"}
    )
    run = f"run {steps.run_ids[-1]}" + (
        f" and {len(steps.run_ids) - 1} before it" if len(steps.run_ids) > 1 else ""
    )
    how = "open" if steps.status == OPEN else steps.status.lower().replace("_", " ")
    lines: list[Line | str] = [f"{how} · {told} in {seconds:.1f} s (workflow {workflow_id}, {run})"]
    for status, word in _WORDS.items():
        alike_steps = [step for step in steps.steps if step.status == status]
        lines += alike(word, (Told(it.step, it.reasons, it.forced, where=it.under) for it in alike_steps))
    lines += _failures(steps.failures)
    if steps.reason:
        lines.append(f"{how}: {_output.one_line(steps.reason)}")
    if steps.result is not None:
        lines.append(f"result: {shown(steps.result)}")
    emit(lines)


def _errors(steps: ExecutionSteps) -> list[str]:
    errors = [f"step {step.step}{step.under}: {step.error or 'it did not end'}" for step in steps.failed]
    if steps.status not in {OPEN, "COMPLETED"}:
        errors.append(f"the execution closed as {steps.status}" + (f": {steps.reason}" if steps.reason else ""))
    return errors


def _failures(failures: Sequence[Failure]) -> list[str]:
    lines = [f"  {failure}" for failure in failures[:_FAILURES_SHOWN]]
    left = len(failures) - _FAILURES_SHOWN
    return lines + ([f"  and {_output.count(left, 'more failure')}, which --json tells"] if left > 0 else [])
