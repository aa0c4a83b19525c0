"""The command report: one run as a page, or as a trace."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

import asyncsteps
from asyncsteps.cli import _output
from asyncsteps.cli._exit import ExitCode, UsageError, run_async
from asyncsteps.cli._options import COMMON, Common
from asyncsteps.cli._store import open_lasting
from asyncsteps.report import RunStory, page, trace


def report(
    store: str,
    run_id: str | None = None,
    /,
    *,
    output: Annotated[str | None, Parameter(name=("--output", "-o"))] = None,
    format: Literal["html", "trace"] = "html",  # noqa: A002 - the option's name
    common: Common = COMMON,
) -> int:
    """Write a page that shows a run: its timeline, what was slow, what failed, what forced it.

    Args:
        store: The URL of the store.
        run_id: The id of the run; the last one, unless it is given.
        output: The file to write; report.html or trace.json, unless it is given.
        format: html is one page that needs no network; trace is for Perfetto (ui.perfetto.dev).
        common: Options of every command.
    """
    path = Path(output or {"html": "report.html", "trace": "trace.json"}[format])

    async def main() -> int:
        async with open_lasting(store, common) as opened:
            chosen = run_id
            if chosen is None:
                newest = await asyncsteps.journal.runs(opened, limit=1)
                if not newest:
                    raise UsageError(f"there is no journal of a run over {opened.url}, so nothing to show")
                chosen = newest[0].run_id
            summary, events = await asyncsteps.journal.story(opened, chosen)
        shown = RunStory.of(events, outcome=summary.outcome)
        write_file(path, page(shown) if format == "html" else trace(shown))
        if common.json:
            _output.emit_json(
                {"store": opened.url, "run_id": chosen, "file": str(path), "submissions": len(shown.spans)}
            )
        else:
            _output.emit(f"{path}: run {chosen}, {_output.count(len(shown.spans), 'submission')} of steps")
        return ExitCode.OK

    return run_async(main)


def write_file(path: Path, text: str) -> None:
    """Write a file whole, or leave what was there.

    Raises:
        UsageError: When it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        raise UsageError(
            f"{str(path)!r} cannot be written: {error.strerror}; name another file with --output"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)
