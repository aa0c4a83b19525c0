"""How the command ends: exit codes, errors, signals."""

from __future__ import annotations

import _thread
import contextlib
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Coroutine, Iterator
from enum import IntEnum
from types import FrameType
from typing import TYPE_CHECKING, Any, Final, TypeVar

import asyncsteps
from asyncsteps.cli import _output

if TYPE_CHECKING:
    import asyncio

T = TypeVar("T")


class ExitCode(IntEnum):
    """The documented exit codes of the command."""

    OK = 0
    FAILED = 1
    USAGE = 2
    STORE = 3
    INTERRUPTED = 130
    TERMINATED = 143


class UsageError(asyncsteps.AsyncstepsError, ValueError):
    """The request cannot be carried out as given. The message says why, and what to give instead."""


class BrokenOffError(asyncsteps.AsyncstepsError):
    """The workflow's code raised something other than an ``Exception``, such as ``SystemExit``."""


class Interrupted(BaseException):
    """A signal ended the work, and the work has cleaned up. Not an ``Exception``, like KeyboardInterrupt.

    Attributes:
        code: The exit code.
    """

    def __init__(self, signum: int) -> None:
        super().__init__(signal.Signals(signum).name)
        self.code = ExitCode(128 + signum)


def code_of(error: BaseException) -> ExitCode:
    """Return the exit code for an error."""
    if isinstance(error, BaseExceptionGroup):
        codes = {code_of(inner) for inner in error.exceptions}
        return next(code for code in (ExitCode.STORE, ExitCode.FAILED, ExitCode.USAGE) if code in codes)
    if isinstance(error, asyncsteps.AsyncstepsError) and isinstance(error, (ValueError, TypeError, ImportError)):
        return ExitCode.USAGE
    if isinstance(error, asyncsteps.StoreError) and not isinstance(error, asyncsteps.StoreClosedError):
        return ExitCode.STORE
    return ExitCode.STORE if _is_of_swf(error) else ExitCode.FAILED


def _is_of_swf(error: BaseException) -> bool:
    """Whether SWF is out of reach, refuses, or does not have what was asked for; it is not imported for this."""
    swf = sys.modules.get("asyncsteps.swf._client.errors")
    return swf is not None and isinstance(error, swf.SwfError)


def leaves(error: BaseException) -> Iterator[BaseException]:
    """Yield the errors of a group and of the groups inside it. An error that is no group yields itself."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from leaves(inner)
    else:
        yield error


def describe(error: BaseException) -> str:
    """Describe an error in one line: its class unless it is ours, its message, its notes in parentheses."""
    try:
        text = _output.one_line(str(error))
    except Exception as raised:  # noqa: BLE001 - users' errors may raise when they are shown
        text = f"its text raises {type(raised).__name__}"
    if isinstance(error, asyncsteps.AsyncstepsError) and text:
        return text
    notes = _output.one_line("; ".join(getattr(error, "__notes__", ())))
    return type(error).__name__ + (text and f": {text}") + (notes and f" ({notes})")


_ERRORS_SHOWN: Final = 10


def report(error: BaseException, *, with_traceback: bool) -> ExitCode:
    """Print an error, or the first errors of a group, one per line; return the exit code."""
    if with_traceback:
        _output.say("".join(traceback.format_exception(error)).rstrip())
    for number, leaf in enumerate(leaves(error)):
        if number == _ERRORS_SHOWN:
            _output.error("and more of them (--traceback shows all)")
            break
        ours = isinstance(leaf, asyncsteps.AsyncstepsError)
        _output.error(describe(leaf) + ("" if ours or with_traceback else " (--traceback shows where)"))
    return code_of(error)


_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


GRACE: Final = 25.0
"""Seconds that what is under way may take to end after a signal."""

_LAST_WORDS: Final = 2.0
"""Seconds that the report may take to be written when they are over: its reader may not read."""

_SHOW_CURSOR: Final = b"\x1b[?25h"

_graces: Final[list[threading.Event]] = []


class _Stop:
    """A signal handler. The first signal cancels the work; a second one, or the end of grace, ends the process.

    Args:
        grace: Seconds from the first signal on.
        report: Called when they are over, to report what was done until then.
    """

    def __init__(self, grace: float, report: Callable[[Interrupted, str], object] | None) -> None:
        self.signum: int | None = None
        self._grace = grace
        self._report = report
        self._reporting = threading.Lock()
        self._cancel: Callable[[], object] | None = None

    def attach(self, loop: asyncio.AbstractEventLoop, task: asyncio.Task[Any]) -> None:
        """Cancel ``task`` on a signal; at once if the signal has already come."""
        self._cancel = lambda: loop.call_soon_threadsafe(task.cancel)
        if self.signum is not None:
            self._cancel()

    def __call__(self, signum: int, _frame: FrameType | None) -> None:
        if self.signum is not None:
            _leave(128 + signum)
        self.signum = signum
        _output.alert(
            f"asyncsteps: stopping what is under way, within {self._grace:g} s; once more to leave at once"
        )
        # Not threading.Thread: the signal may have interrupted one that starts, which holds a lock.
        _graces.append(over := threading.Event())
        with contextlib.suppress(RuntimeError):  # no thread is to be had: then nothing bounds the grace
            _thread.start_new_thread(self._end_grace, (Interrupted(signum), over))
        if self._cancel is not None:
            self._cancel()

    def _end_grace(self, interrupted: Interrupted, over: threading.Event) -> None:
        """End the process when the grace is over, unless it has ended by then."""
        if over.wait(self._grace):
            return
        if self._reporting.acquire(blocking=False):
            words = threading.Thread(target=self._say_last, args=(interrupted,), daemon=True)
            words.start()
            words.join(_LAST_WORDS)
        elif over.wait(_LAST_WORDS):  # the work has ended in time, and is being reported; or threads go on
            return
        _leave(interrupted.code)

    def end(self) -> None:
        """Note that the work has ended: after a signal, whoever comes first reports, this thread or the other."""
        if self.signum is not None:
            self._reporting.acquire()  # for ever, where the process is about to end

    def _say_last(self, interrupted: Interrupted) -> None:
        _output.end_display()
        told = f"ended by {interrupted}, {self._grace:g} s after it, with work still under way; it is not marked"
        _output.say(f"asyncsteps: {told}")
        if self._report is not None:
            self._report(interrupted, told)
        _output.ensure_json([told], interrupted.code)


def _leave(code: int) -> None:
    """End the process at once. That is safe: marks are written whole or not at all."""
    with contextlib.suppress(OSError):
        if os.isatty(2):
            os.write(2, _SHOW_CURSOR)
    os._exit(code)


def spare() -> None:
    """Do not end this process for a signal that the command had: it goes on after the command."""
    for over in _graces:
        over.set()
    _graces.clear()


def broken_off(error: BaseException) -> BrokenOffError:
    """Return the error for workflow code that raised something other than an ``Exception``."""
    said = (
        f"called sys.exit({error.code!r})" if isinstance(error, SystemExit) else f"raised {describe(error)} itself"
    )
    return BrokenOffError(
        f"the workflow's code {said}, which cancels all that is under way; raise an Exception instead, or return"
    )


@contextlib.contextmanager
def _handled_by(stop: _Stop) -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:  # ignored by whoever started us, as nohup does
            signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


def run_async(
    main: Callable[[], Coroutine[Any, Any, T]],
    *,
    grace: float = GRACE,
    report: Callable[[Interrupted, str], object] | None = None,
) -> T:
    """Run ``main`` on an event loop. SIGINT and SIGTERM cancel it, and it is awaited while it cleans up.

    The handlers are set with `signal.signal`, which run even while user code blocks the loop. What has not ended
    ``grace`` seconds after a signal, non-daemon threads included, is left: the process ends.

    Args:
        main: The work.
        grace: The seconds.
        report: Called with the signal and what to say of it before the process ends in that way.

    Raises:
        Interrupted: When a signal came, whatever ``main`` did when it was cancelled.
        BrokenOffError: When ``main`` raised ``SystemExit``, or anything else that is not an ``Exception``.
    """
    import asyncio  # help does without

    stop = _Stop(grace, report)

    async def attached() -> T:
        task = asyncio.current_task()
        assert task is not None
        stop.attach(asyncio.get_running_loop(), task)
        return await main()

    try:
        with _handled_by(stop):
            try:
                result = asyncio.run(attached())
            finally:
                stop.end()
    except BaseException as error:
        if stop.signum is None:
            if isinstance(error, KeyboardInterrupt):  # the code has set a handler of its own
                raise Interrupted(signal.SIGINT) from error
            if isinstance(error, Exception):
                raise
            raise broken_off(error) from error
        if not isinstance(error, asyncio.CancelledError):
            _output.error(f"while stopping: {describe(error)}")
        raise Interrupted(stop.signum) from error
    if stop.signum is not None:
        raise Interrupted(stop.signum)
    return result
