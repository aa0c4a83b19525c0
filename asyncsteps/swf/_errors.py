"""The exceptions of simpleflow's side alone: its version, conversion, the done list, the bridge, `run_sync`."""

from asyncsteps._errors import AsyncstepsError, StepDefinitionError


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
