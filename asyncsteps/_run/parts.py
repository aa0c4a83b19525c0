"""The parts of a run, as one frozen record that is handed on."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from asyncsteps._plan.planner import Planner
from asyncsteps._run.done_marks import DoneMarks
from asyncsteps._run.lifetime import Lifetime
from asyncsteps._run.markers import MarkerLog
from asyncsteps._run.signals import Signals
from asyncsteps._tasks.limiter import Limiter

logger = logging.getLogger("asyncsteps")


class Failures:
    """The failures of a run, each once."""

    def __init__(self) -> None:
        self.errors: list[Exception] = []
        self._listed: set[int] = set()

    def add(self, error: Exception) -> bool:
        """Add a failure, unless it is listed; return whether it was added."""
        if id(error) in self._listed:  # an id stands for its error as long as the list holds it
            return False
        self._listed.add(id(error))
        self.errors.append(error)
        return True

    def absorb(self, error: Exception) -> None:
        """Log and list a failure that goes no further; for a group, each of its errors that is not listed yet."""
        if isinstance(error, ExceptionGroup):
            for each in error.exceptions:
                self.absorb(each)
        elif self.add(error):
            logger.error("%s: %s", type(error).__name__, error, exc_info=error)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunParts:
    """What a run consists of.

    Attributes:
        planner: Decides about steps.
        marks: The done marks, stored or planned.
        markers: Where markers are recorded.
        signals: The signals that were sent.
        limiter: Bounds the activities that run at once.
        identity: ``run_id``, ``workflow_id`` and ``version``: what done marks record of the run, and what classes
            with ``execute()`` get as ``context``.
        planning: Whether nothing is played: then every result is unknown.
        lifetime: Whether the run takes work.
        failures: What failed.
    """

    planner: Planner
    marks: DoneMarks
    markers: MarkerLog
    signals: Signals
    limiter: Limiter
    identity: Mapping[str, Any]
    planning: bool = False
    lifetime: Lifetime = field(default_factory=Lifetime)
    failures: Failures = field(default_factory=Failures)
