"""What the first and the last line of a run's journal tell."""

import functools
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from asyncsteps._errors import error_text
from asyncsteps._journal.process import process_mark
from asyncsteps._journal.texts import shortened, shortened_reason, without_secrets
from asyncsteps._plan.model import Status
from asyncsteps._run.described import host


def facts_of(run: Mapping[str, Any], about: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return what the first line tells of a run as it was made."""
    selectors = {name: [[selector, _told(reason)] for selector, reason in run[name]] for name in ("force", "skip")}
    return {**run, **selectors, "about": without_secrets(about or {})}


def _told(reason: str | None) -> str | None:
    return None if reason is None else shortened_reason(reason)


@functools.cache
def of_process(pid: int) -> dict[str, Any]:
    """Return what is the same in each run of this process."""
    import importlib.metadata

    return {
        "host": host(),
        "pid": pid,
        "process": process_mark(),
        "python": sys.version.partition(" ")[0],
        "asyncsteps": importlib.metadata.version("asyncsteps"),
    }


def ending(
    error: BaseException | None,
    failures: Sequence[Exception],
    counts: Mapping[Status, int],
    seconds: float,
    stopped_after: str | None,
) -> dict[str, Any]:
    """Return what the last line tells."""
    outcome = "failed" if failures else "completed"
    if error is not None:
        outcome = "failed" if isinstance(error, Exception) else "cancelled"
    told = None if error is None else shortened(error_text(error))
    return {
        "outcome": outcome,
        "seconds": round(seconds, 6),
        "counts": {str(status): number for status, number in counts.items()},
        "failures": len(failures),
        "error": told,
        "stopped_after": stopped_after,
    }
