"""The command show: all that a mark tells; of a group, what its marks tell together."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import asyncsteps
from asyncsteps.cli import _output
from asyncsteps.cli._exit import ExitCode, run_async
from asyncsteps.cli._json import to_json
from asyncsteps.cli._options import COMMON, Common
from asyncsteps.cli._runs import duration, shown_time
from asyncsteps.cli._store import open_lasting


def show(store: str, name: str, /, *, common: Common = COMMON) -> int:
    """Show all that a done step's mark tells, or a group's roll-up; the exit code is 1 if none is done.

    Args:
        store: The URL of the store.
        name: The step's name, or a group's.
        common: Options of every command.
    """

    async def main() -> int:
        async with open_lasting(store, common) as opened:
            found = await asyncsteps.journal.show(opened, name)
        record = found if isinstance(found, dict) else None
        if common.json:
            group = _as_json(found) if isinstance(found, asyncsteps.journal.MarkedGroup) else None
            told = {
                "store": opened.url,
                "step": name,
                "done": record is not None,
                "record": record,
                "group": group,
            }
            _output.emit_json(told)
        elif isinstance(found, asyncsteps.journal.MarkedGroup):
            _output.emit("\n".join(_of_group(found)))
        elif record is None:
            _output.say(f"{name} is not done in {opened.url}")
        else:
            _output.emit("\n".join(_of_step(name, record)))
        return ExitCode.FAILED if found is None else ExitCode.OK

    return run_async(main)


def _of_step(name: str, record: dict[str, Any]) -> list[str]:
    told = {_inline(key): _inline(value) for key, value in record.items()}
    if (seconds := asyncsteps.journal.seconds_of(record)) is not None:
        told["took"] = duration(seconds)
    width = max(map(len, told), default=0)
    return [name, *(f"  {key:{width}}  {value}" for key, value in told.items())]


def _inline(value: Any) -> str:
    if isinstance(value, str) and value.isprintable():
        return value
    return to_json(value)


def _of_group(group: asyncsteps.journal.MarkedGroup) -> list[str]:
    lines = [f"{group.group}: {_output.count(group.done, 'done step')}"]
    if group.read < group.done:
        lines.append(f"  of the first {group.read:,} of them:")
    lines.append(f"  marked    {shown_time(group.first)} to {shown_time(group.last)}")
    played = ", ".join(f"{run} ({number:,})" for run, number in list(group.runs.items())[:5])
    more = f" and {_output.count(len(group.runs) - 5, 'more run')}" if len(group.runs) > 5 else ""  # noqa: PLR2004 - as above
    lines.append(f"  by runs   {played or 'none'}{more}")
    told = {"by hand": group.by_hand, "forced": group.forced, "retried": group.retried}
    lines += [f"  {word:<9} {number:,}" for word, number in told.items() if number]
    lines.append(f"  ran       {duration(group.seconds)} in all")
    lines += [f"  slowest   {name} ({duration(seconds)})" for name, seconds in group.slowest]
    return lines


def _as_json(group: asyncsteps.journal.MarkedGroup) -> dict[str, Any]:
    times = {name: None if (at := getattr(group, name)) is None else at.isoformat() for name in ("first", "last")}
    slowest = [{"step": name, "seconds": seconds} for name, seconds in group.slowest]
    return {**asdict(group), **times, "slowest": slowest}
