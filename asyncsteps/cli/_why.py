"""The command why: why a step was played, or not, and what a run would decide now."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import asyncsteps
from asyncsteps.cli import _output
from asyncsteps.cli._exit import ExitCode, UsageError, run_async
from asyncsteps.cli._options import COMMON, Common, Repeated
from asyncsteps.cli._runs import NONE_OF_SWF, outcome, run_as_json, shown_time
from asyncsteps.cli._selectors import selectors
from asyncsteps.cli._store import open_lasting


def why(
    store: str,
    step: str,
    /,
    *,
    runs: int = 5,
    force: Repeated = (),
    skip: Repeated = (),
    common: Common = COMMON,
) -> int:
    """Tell why a step was played, skipped or not reached in the last runs, and what a run would decide now.

    Args:
        store: The URL of the store.
        step: The step's name.
        runs: How many of the last runs to tell of.
        force: SELECTOR[=REASON]: what a run that began now would be given to force. Repeatable.
        skip: SELECTOR[=REASON]: likewise, to skip. Repeatable.
        common: Options of every command.
    """
    if runs < 0:
        raise UsageError(f"--runs {runs} is refused; give 0 or more")

    async def main() -> int:
        async with open_lasting(store, common) as opened:
            given = {"force": dict(selectors(force)), "skip": dict(selectors(skip))}
            answer = await asyncsteps.journal.why(opened, step, runs=runs, **given)
        if common.json:
            _output.emit_json({"store": opened.url, **_as_json(answer)})
        else:
            _output.emit("\n".join(_lines(answer)))
        return ExitCode.OK

    return run_async(main)


def _lines(answer: asyncsteps.journal.Why) -> list[str]:
    lines = [f"{answer.step}: {'done' if answer.done else 'not done'}", *answer.state.lines("  ")]
    for each in answer.runs:
        run = each.run
        lines.append(
            f"run {run.run_id} of workflow {run.workflow_id}, {shown_time(run.started)}, {outcome(run)}: "
            f"{each.verdict}"
        )
        lines += [line for reason in each.because for line in reason.lines("  ")]
        if each.stories:
            lines += [
                f"  attempt {number} failed: {told}" for number, told in enumerate(each.stories[-1].retried, 1)
            ]
    if not answer.runs:
        lines.append(f"no journal of a run is kept here; {NONE_OF_SWF}")
    now = answer.now
    verb = "skip it" if now.action == "skip" else "force it" if now.forced else "play it"
    lines.append(f"a run that began now would {verb}, if its code submits it")
    lines += [f"  {reason.text}" for reason in now.because if reason is not answer.state]
    lines += [f"  unless {each}" for each in now.unless]
    lines += [f"note: {problem}" for problem in answer.problems]
    return lines


def _as_json(answer: asyncsteps.journal.Why) -> dict[str, Any]:
    return {
        "step": answer.step,
        "done": answer.done,
        "mark": answer.mark,
        "state": answer.state.as_json(),
        "runs": [
            {
                "run": run_as_json(each.run),
                "verdict": each.verdict,
                "because": [reason.as_json() for reason in each.because],
                "submissions": [_submission(story) for story in each.stories],
            }
            for each in answer.runs
        ],
        "now": {
            "action": answer.now.action,
            "forced": answer.now.forced,
            "because": [reason.as_json() for reason in answer.now.because],
            "unless": list(answer.now.unless),
        },
        "problems": list(answer.problems),
    }


def _submission(story: asyncsteps.journal.StepStory) -> dict[str, Any]:
    times = {
        name: None if (at := getattr(story, name)) is None else at.isoformat() for name in ("decided", "ended")
    }
    return {**asdict(story), **times}
