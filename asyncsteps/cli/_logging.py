"""What is logged during a run, on stderr: the target's from the level that is asked for, libraries' warnings."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, Literal

from asyncsteps.cli import _output

Level = Literal["debug", "info", "warning", "error"]

_LIBRARIES: Final = {
    *("asyncsteps", "simpleflow", "asyncio", "anyio", "concurrent", "tenacity"),
    *("aioboto3", "aiobotocore", "aiohttp", "boto3", "botocore", "s3transfer", "urllib3"),
}
"""Loggers that are not the target's: from botocore's debugging one could read credentials."""


_FAILURE: Final = "step %s: %s: %s"
"""The message by which a run logs the failure of a step."""


class _SayHandler(logging.Handler):
    """Prints log records, above the live display if there is one.

    Args:
        say: Prints.
        level: The level of what is not a library's; None: warnings.
        with_traceback: Whether to print the tracebacks of warnings and errors.
        failures: Whether to print the failures of steps.
    """

    def __init__(
        self, say: Callable[[str], object], level: Level | None, *, with_traceback: bool, failures: bool
    ) -> None:
        super().__init__(logging.WARNING if level is None else level.upper())
        self._say = say
        self._told = level is not None
        self._with_traceback = with_traceback
        self._failures = failures

    def emit(self, record: logging.LogRecord) -> None:
        """Print the message of a record, and its traceback when asked to."""
        of_library = record.name.partition(".")[0] in _LIBRARIES
        if of_library and (record.levelno < logging.WARNING or (record.msg == _FAILURE and not self._failures)):
            return
        try:
            message = _output.one_line(record.getMessage())
        except Exception:  # noqa: BLE001 - a format and its arguments that do not fit, or whose text raises
            message = f"{record.msg!r} cannot be formatted with its arguments"
        if of_library or not self._told:
            text = f"asyncsteps: {record.levelname.lower()}: {message}"
        else:
            at = time.strftime("%H:%M:%S", time.localtime(record.created))
            text = f"{at} {record.levelname.lower()} {record.name}: {message}"
        if self._with_traceback and record.exc_info:
            text += f"\n{logging.Formatter().formatException(record.exc_info)}"
        self._say(text)


@contextmanager
def logs_to(
    say: Callable[[str], object], *, level: Level | None, with_traceback: bool, failures: bool = True
) -> Iterator[None]:
    """Print what is logged inside the block, unless the target has set up logging itself.

    Args:
        say: Prints a text, without disturbing a live display.
        level: From which level on the target's own records are printed, whatever handlers it has; None: warnings,
            if it has none.
        with_traceback: Whether to print tracebacks.
        failures: Whether to print the failures of steps.
    """
    root = logging.getLogger()
    if root.handlers and level is None:
        yield
        return
    handler, before, disabled = (
        _SayHandler(say, level, with_traceback=with_traceback, failures=failures),
        root.level,
        root.handlers[:],
    )
    root.handlers[:] = [handler]  # the target's own would write across the live display, and twice
    if level is not None:
        root.setLevel(level.upper())
    try:
        yield
    finally:
        root.setLevel(before)
        root.handlers[:] = [*disabled, *(each for each in root.handlers if each is not handler)]
