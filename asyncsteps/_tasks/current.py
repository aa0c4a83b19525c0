"""What an activity can ask of the attempt that it is played in, and tell it: `current_step`."""

import logging
from collections.abc import MutableMapping
from typing import Any

import anyio
import anyio.from_thread

from asyncsteps._errors import NoCurrentStepError
from asyncsteps._tasks.attempt import Attempt, innermost

_logger = logging.getLogger("asyncsteps.activity")


class CurrentStep:
    """The attempt at an activity that the calling code belongs to, as `current_step` returns it."""

    __slots__ = ("_attempt",)

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt

    @property
    def name(self) -> str | None:
        """The step's name; None if the activity is played outside of steps, and under simpleflow."""
        return self._attempt.step

    @property
    def attempt(self) -> int:
        """The number of the attempt, from 1; under simpleflow always 1."""
        return self._attempt.number

    @property
    def activity(self) -> str:
        """The activity's name."""
        return self._attempt.task.name

    @property
    def run_id(self) -> str | None:
        """The run's id; None if the activity task is awaited by itself."""
        return (self._attempt.identity or {}).get("run_id")

    @property
    def workflow_id(self) -> str | None:
        """The workflow's id; None if the activity task is awaited by itself."""
        return (self._attempt.identity or {}).get("workflow_id")

    @property
    def logger(self) -> "StepLogger":
        """The logger ``asyncsteps.activity``, which puts the step before each message.

        Its records have ``run_id``, ``workflow_id``, ``step``, ``attempt`` and ``activity``.
        """
        carried = {"run_id": self.run_id, "workflow_id": self.workflow_id, "step": self.name}
        return StepLogger(_logger, {**carried, "attempt": self.attempt, "activity": self.activity})

    def heartbeat(self) -> None:
        """Tell that the work goes on.

        An attempt whose activity has a ``heartbeat_timeout``, and that has told so once, fails when it has not
        done it again for that long. A heartbeat counts for the activities around this one too. Call it as often
        as you like, from any thread: it only notes the time.

        In the worker thread of a plain ``def`` it also ends an attempt that has timed out or is cancelled, as
        ``anyio.from_thread.check_cancelled()`` does. Under simpleflow it does nothing: there the worker process
        sends heartbeats to SWF by itself.

        Raises:
            asyncio.CancelledError: In a worker thread, when the attempt has timed out or is cancelled.
        """
        self._attempt.beat()
        try:
            anyio.from_thread.check_cancelled()
        except RuntimeError:  # not in such a thread
            return

    def note(self, **notes: Any) -> None:
        """Keep values in the step's done mark, under ``notes``, and in the journal, if this attempt succeeds.

        A later note replaces one of the same name. What is played outside of steps has its notes in the journal
        alone. They are dropped where there is no run, and under simpleflow.

        Args:
            notes: JSON values, in all of at most 16,384 characters of JSON for a step.

        Raises:
            StepNoteError: When a value is no JSON, when they are too long, or when the attempt has ended.
        """
        self._attempt.note(notes)

    def __repr__(self) -> str:
        return f"<attempt {self.attempt} at {self._attempt}>"


def current_step() -> CurrentStep:
    """Return the attempt at an activity that the calling code belongs to; the innermost, of several.

    It is there in the activity, in tasks that it starts, and in threads that get its context, as those of
    ``asyncio.to_thread`` and anyio do. A task that outlives its activity belongs to the activity around it.

    Raises:
        NoCurrentStepError: Outside of activities.
    """
    attempt = innermost()
    if attempt is None:
        raise NoCurrentStepError
    return CurrentStep(attempt)


class StepLogger(logging.LoggerAdapter[logging.Logger]):
    """Puts the step before each message, and adds its members to those of ``extra``."""

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        """Log as the logger does."""
        carried = self.extra or {}
        if carried["step"] is not None and self.isEnabledFor(level):
            attempt = "" if carried["attempt"] == 1 else f", attempt {carried['attempt']}"
            before = f"step {carried['step']}{attempt}: "
            msg = f"{before.replace('%', '%%') if args else before}{msg}"
        kwargs["stacklevel"] = kwargs.get("stacklevel", 1) + 1
        super().log(level, msg, *args, **kwargs)

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        """Add the members of the step to ``extra``."""
        kwargs["extra"] = {**(self.extra or {}), **(kwargs.get("extra") or {})}
        return msg, kwargs
