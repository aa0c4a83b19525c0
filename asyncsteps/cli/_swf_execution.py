"""The commands that show an execution on SWF: swf follow, swf history."""

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from asyncsteps.cli import _output
from asyncsteps.cli._exit import ExitCode, Interrupted, run_async
from asyncsteps.cli._progress import Follower, because, followed
from asyncsteps.cli._report import alike, shown
from asyncsteps.cli._swf_steps import FAILED, OPEN, RUNNING, UNFINISHED, ExecutionSteps, Failure

if TYPE_CHECKING:
    from asyncsteps.swf import Execution, SwfClient

_logger = logging.getLogger("asyncsteps.cli")

_WORDS: Final = {
    "completed": "played",
    "skipped": "skipped",
    FAILED: FAILED,
    UNFINISHED: UNFINISHED,
    RUNNING: RUNNING,
}
_FAILURES_SHOWN: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Which execution, and where.

    Attributes:
        domain: The SWF domain.
        workflow_id: The workflow id.
        run_id: The run id; None: the newest execution with the workflow id.
        region: The region.
        endpoint_url: SWF's endpoint.
        patience: Seconds for which SWF may fail.
    """

    domain: str
    workflow_id: str
    run_id: str | None
    region: str | None
    endpoint_url: str | None
    patience: float = 300.0

    def client(self) -> "SwfClient":
        """Make the client."""
        from asyncsteps.swf import SwfClient

        return SwfClient(
            self.domain,
            region_name=self.region,
            endpoint_url=self.endpoint_url,
            poll_patience=self.patience,
        )

    @asynccontextmanager
    async def execution(self) -> AsyncIterator["Execution"]:
        """Find the execution."""
        async with self.client() as swf:
            if self.run_id is not None:
                yield swf.get(self.workflow_id, self.run_id)
            else:
                yield await swf.find(self.workflow_id)


def follow(target: Target, *, quiet: bool, as_json: bool, with_traceback: bool) -> int:
    """Show an execution's steps as they are recorded, until it closes."""
    steps = ExecutionSteps()

    async def main() -> None:
        with followed(quiet=quiet, with_traceback=with_traceback) as progress:
            progress.run = steps
            async with target.execution() as execution, aclosing(execution.events()) as events:
                async for event in events:
                    _tell(steps.take(event), progress)

    try:
        run_async(main)
    except Interrupted as interrupted:
        if steps.run_ids:
            _write(target, steps, code=interrupted.code, as_json=as_json)
        raise
    code = ExitCode.OK if steps.status == "COMPLETED" and not steps.failed else ExitCode.FAILED
    _write(target, steps, code=code, as_json=as_json)
    return code


def history(target: Target, *, as_json: bool) -> int:
    """Show an execution's steps as they are recorded by now."""
    steps = ExecutionSteps()

    async def main() -> None:
        async with target.execution() as execution, aclosing(execution.events(live=False)) as events:
            async for event in events:
                steps.take(event)

    run_async(main)
    _write(target, steps, code=ExitCode.OK, as_json=as_json)
    return ExitCode.OK


def _tell(told: Any, progress: Follower) -> None:
    if isinstance(told, Failure):
        _logger.warning("%s", told)
    elif told is not None:
        progress(told)


def _write(target: Target, steps: ExecutionSteps, *, code: int, as_json: bool) -> None:
    """Write the report to stdout."""
    began, newest = steps.started, steps.newest
    seconds = (newest - began).total_seconds() if began is not None and newest is not None else 0.0
    counts = {word: steps.counts[status] for status, word in _WORDS.items()}
    if as_json:
        _output.emit_json(
            {
                "domain": target.domain,
                "workflow_id": target.workflow_id,
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
    lines = [f"{how} · {told} in {seconds:.1f} s (workflow {target.workflow_id}, {run})"]
    for status, word in _WORDS.items():
        alike_steps = [step for step in steps.steps if step.status == status]
        lines += alike(word, ((step.step, because(step.reasons, forced=step.forced)) for step in alike_steps))
    lines += _failures(steps.failures)
    if steps.reason:
        lines.append(f"{how}: {_output.one_line(steps.reason)}")
    if steps.result is not None:
        lines.append(f"result: {shown(steps.result)}")
    _output.emit("\n".join(lines))


def _errors(steps: ExecutionSteps) -> list[str]:
    errors = [f"step {step.step}: {step.error or 'it did not end'}" for step in steps.failed]
    if steps.status not in {OPEN, "COMPLETED"}:
        errors.append(f"the execution closed as {steps.status}" + (f": {steps.reason}" if steps.reason else ""))
    return errors


def _failures(failures: Sequence[Failure]) -> list[str]:
    lines = [f"  {failure}" for failure in failures[:_FAILURES_SHOWN]]
    left = len(failures) - _FAILURES_SHOWN
    return lines + ([f"  and {_output.count(left, 'more failure')}, which --json tells"] if left > 0 else [])
