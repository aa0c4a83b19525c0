"""The exceptions of simpleflow's side alone: its version, conversion, the done list, the bridge, `run_sync`."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from asyncsteps._errors import AsyncstepsError, StepDefinitionError
from asyncsteps.swf._constants import MAX_REASON_CHARS


class SimpleflowVersionError(AsyncstepsError, ImportError):
    """The simpleflow that is installed is not one whose inner workings asyncsteps knows."""


class NotConvertibleError(StepDefinitionError):
    """What was given cannot be handed to simpleflow.

    Attributes:
        what: The thing's name.
        reason: Why not.
    """

    def __init__(self, what: str, reason: str) -> None:
        super().__init__(f"{what} cannot be handed to simpleflow: {reason}")
        self.what = what
        self.reason = reason


class DoneListError(AsyncstepsError, ValueError):
    """A list of done steps that came through SWF cannot be read."""


class BridgeClosedError(AsyncstepsError):
    """The bridge to simpleflow is used outside of its block, or entered twice."""


class BridgeDeadlockError(AsyncstepsError, RuntimeError):
    """An activity awaits what it submitted to the bridge that is playing it, where both would wait for ever."""

    def __init__(self) -> None:
        super().__init__(
            "an activity awaits a submission to the very bridge that is playing it: submissions are played one by "
            "one, so both would wait for ever; submit it without awaiting it, or await it elsewhere"
        )


class LoopThreadError(AsyncstepsError, RuntimeError):
    """Sync code asked an event loop to work for it from that loop's own thread, where both would wait for ever."""

    def __init__(self) -> None:
        super().__init__(
            "run_sync() was called in the thread of the event loop that should do the work, which would wait for "
            "itself; await the coroutine, or call the sync code in a worker thread (asyncio.to_thread)"
        )


class SyncLoopClosedError(AsyncstepsError, RuntimeError):
    """The event loop that sync code calls into is closed."""

    def __init__(self) -> None:
        super().__init__(
            "the event loop that run_sync() calls into is closed: the interpreter is exiting, or the loop of the "
            "bridge has ended; do such work before that"
        )


class RunSyncTimeoutError(AsyncstepsError, TimeoutError):
    """What sync code waited for did not end in time, and was cancelled.

    Attributes:
        seconds: The time it had, in seconds.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__(f"not ended after {seconds:g} s, and cancelled; give it a longer timeout, or less to do")
        self.seconds = seconds


@contextmanager
def short_reasons() -> Iterator[None]:
    """Shorten the messages of our errors that leave the block, so that SWF takes them as reasons."""
    try:
        yield
    except AsyncstepsError as error:
        shorten(error)
        raise


def shorten(error: AsyncstepsError) -> None:
    """Shorten the message of an error, so that SWF takes it as a reason.

    The permissions, the bucket and the step that it names come first. The whole message becomes a note: it comes
    with the traceback in the details of the failure.
    """
    message = str(error)
    room = MAX_REASON_CHARS - len(f"{type(error).__name__}: ")
    if len(message) <= room:
        return
    places = [(label, getattr(error, label, None)) for label in ("bucket", "step")]
    first = [
        *dict.fromkeys(re.findall(r"\bs3:[A-Z]\w+", message)),
        *(f"{label} {value!r}" for label, value in places if value is not None),
    ]
    error.args = (f"{', '.join(first)}: {message}"[: room - 3].removeprefix(": ") + "...",)
    error.add_note(message)
