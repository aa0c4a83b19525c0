"""The command report: one run as a page, or as a trace."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

import asyncsteps
from asyncsteps.cli import _output
from asyncsteps.cli._exit import ExitCode, UsageError, run_async
from asyncsteps.cli._options import COMMON, Common
from asyncsteps.cli._report import RunReport
from asyncsteps.cli._runs import NONE_OF_SWF
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
                    raise UsageError(
                        f"there is no journal of a run over {opened.url}, so nothing to show; {NONE_OF_SWF}"
                    )
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


def check_file(path: Path, option: str) -> None:
    """Refuse a file that cannot be written, before it is due.

    Raises:
        UsageError: When it cannot be written.
    """
    target = Path(os.path.realpath(path))
    try:
        if _is_replaced(target):
            temporary = _temporary(target)
            temporary.touch()
            temporary.unlink()
        else:
            os.close(os.open(target, os.O_WRONLY | os.O_NONBLOCK))
    except OSError as error:
        raise UsageError(f"{option} {str(path)!r} cannot be written: {error.strerror}") from error


def write_file(path: Path, text: str, option: str = "--output") -> None:
    """Write a file whole, or leave what was there; a link stays one, and so does a device.

    Raises:
        UsageError: When it cannot be written.
    """
    target = Path(os.path.realpath(path))
    try:
        if not _is_replaced(target):
            target.write_text(text, encoding="utf-8")
            return
        temporary = _temporary(target)
        try:
            temporary.write_text(text, encoding="utf-8")
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise UsageError(
            f"{str(path)!r} cannot be written: {error.strerror}; name another file with {option}"
        ) from error


def _is_replaced(target: Path) -> bool:
    """Whether the file is replaced whole: a device, a pipe or a directory is not."""
    return target.is_file() or not target.exists()


def _temporary(target: Path) -> Path:
    return target.with_name(f".report-{os.getpid()}.tmp")


def write_page(
    path: Path, report: RunReport, exit_code: int, *, began: datetime, about: Mapping[str, Any]
) -> None:
    """Write the page of a run of this process, however it ended. A failure is a warning: the run is over."""
    run = report.run
    if run is None:
        _output.warning(f"--report {str(path)!r} is not written: the run did not begin")
        return
    ended = "completed" if exit_code == ExitCode.OK else "failed"
    shown = RunStory.of_markers(
        run.markers,
        run_id=run.run_id,
        workflow_id=run.workflow_id,
        began=began,
        ended=datetime.now(UTC),
        outcome="cancelled" if exit_code in {ExitCode.INTERRUPTED, ExitCode.TERMINATED} else ended,
        about=about,
        notes=report.raised,
    )
    try:
        write_file(path, page(shown), "--report")
    except UsageError as error:
        _output.warning(str(error))
