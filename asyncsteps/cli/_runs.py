"""The command runs: the last runs over a store, or the story of one of them."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Final

import asyncsteps
from asyncsteps.cli import _output
from asyncsteps.cli._exit import ExitCode, UsageError, run_async
from asyncsteps.cli._options import COMMON, Common, Flag
from asyncsteps.cli._store import open_lasting

_COUNTED: Final = {"played": "completed", "skipped": "skipped", "failed": "failed", "cancelled": "cancelled"}
NONE_OF_SWF: Final = "executions on Amazon SWF leave none: 'asyncsteps swf history' tells of them"
_MINUTE: Final = 60
_HOUR: Final = 3_600
_DAY: Final = 86_400


def runs(
    store: str,
    run_id: str | None = None,
    /,
    *,
    last: int = 20,
    by_hand: Flag = False,
    common: Common = COMMON,
) -> int:
    """Show the last runs over a store, the newest first; or all of one run's journal.

    Executions on Amazon SWF leave no journal.

    Args:
        store: The URL of the store.
        run_id: The id of the run to tell all of.
        last: How many runs.
        by_hand: Also the commands that changed marks by hand.
        common: Options of every command.
    """
    if last < 1:
        raise UsageError(f"--last {last} shows nothing; give 1 or more")

    async def main() -> int:
        async with open_lasting(store, common) as opened:
            if run_id is not None:
                _write_story(opened.url, *await asyncsteps.journal.story(opened, run_id), as_json=common.json)
            else:
                _write(
                    opened.url,
                    await asyncsteps.journal.runs(opened, limit=last, by_hand=by_hand),
                    as_json=common.json,
                )
        return ExitCode.OK

    return run_async(main)


def _write(url: str, found: list[asyncsteps.journal.RunSummary], *, as_json: bool) -> None:
    if as_json:
        _output.emit_json({"store": url, "runs": [run_as_json(run) for run in found]})
        return
    lines = [f"{url}: {_output.count(len(found), 'run')}"]
    for run in found:
        lines += _lines(run)
    _output.emit("\n".join(lines))
    if not found:
        _output.say(f"no journal of a run is kept here; {NONE_OF_SWF}")


def _lines(run: asyncsteps.journal.RunSummary) -> list[str]:
    if run.kind == "hand":
        return [f"  {shown_time(run.started)}  by hand, by {run.by or 'somebody'} ({run.run_id})"]
    lines = [
        f"  {shown_time(run.started)}  {outcome(run)}  {_counts(run)} in {duration(run.seconds)}",
        f"      workflow {run.workflow_id}, run {run.run_id}",
    ]
    if run.error:
        lines.append(f"      {run.error}")
    lines += [f"      {problem}" for problem in run.problems]
    return lines


def outcome(run: asyncsteps.journal.RunSummary) -> str:
    """How a run ended; of one that has not, how that is known."""
    if run.outcome == "running":
        return f"running (last heard of {duration(run.heard)} ago)"
    if run.outcome == "killed":
        known = "its process has ended" if run.certain else "nothing is heard of it"
        return f"killed ({known}, the last line is {duration(run.heard)} old)"
    return f"{run.outcome}, stopped after {run.stopped_after}" if run.stopped_after else str(run.outcome)


def _counts(run: asyncsteps.journal.RunSummary) -> str:
    told = [f"{word} {run.counts.get(status, 0):,}" for word, status in _COUNTED.items() if run.counts.get(status)]
    ends = sum(run.counts.get(status, 0) for status in ("completed", "failed", "cancelled"))
    if (left := run.counts.get("scheduled", 0) - ends) > 0:
        told.append(f"under way {left:,}")
    return " · ".join(told) or "nothing decided"


def duration(seconds: float) -> str:
    """A duration in two units at most."""
    if seconds < _MINUTE:
        return f"{seconds:.1f} s"
    if seconds < _HOUR:
        return f"{int(seconds // _MINUTE)} min {int(seconds % _MINUTE)} s"
    if seconds < _DAY:
        return f"{int(seconds // _HOUR)} h {int(seconds % _HOUR // _MINUTE)} min"
    return f"{int(seconds // _DAY)} d {int(seconds % _DAY // _HOUR)} h"


def shown_time(at: datetime | None) -> str:
    """A time to the second, in UTC."""
    return "?" if at is None else at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def run_as_json(run: asyncsteps.journal.RunSummary) -> dict[str, Any]:
    """Convert a run to the documented JSON."""
    return {**asdict(run), "started": run.started.isoformat()}


def _write_story(url: str, run: asyncsteps.journal.RunSummary, events: list[Any], *, as_json: bool) -> None:
    if as_json:
        _output.emit_json({"store": url, "run": run_as_json(run), "events": events})
        return
    lines = _lines(run)
    lines += [f"  {event.get('at', '')}  {event['event']:<11} {_told(event)}" for event in events]
    _output.emit("\n".join(lines))


_IDENTITY: Final = {"event", "at", "run", "workflow", "journal", "segment", "process", "list"}


def _told(event: Any) -> str:
    step = event.get("step")
    fields = [str(step)] if isinstance(step, str) else []
    for key, value in event.items():
        if key in _IDENTITY or key == "step" or value in (None, [], {}, False):
            continue
        if key == "reasons" and isinstance(value, list):
            fields.append(f"({', '.join(asyncsteps.journal.collapsed([str(each) for each in value]))})")
        elif key == "names" and isinstance(value, list):
            fields.append(", ".join(map(str, value)))
        else:
            fields.append(f"{key}={value}")
    return _output.one_line(" ".join(fields), at_most=500)
