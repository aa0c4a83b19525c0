"""The parts of a run, as one frozen record that is handed on."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from asyncsteps._plan.planner import Planner
from asyncsteps._run.done_marks import StoredMarks
from asyncsteps._run.dry_run import PlannedMarks
from asyncsteps._run.failures import Failures
from asyncsteps._run.lifetime import Lifetime
from asyncsteps._run.markers import MarkerLog
from asyncsteps._run.signals import Signals
from asyncsteps._tasks.limiter import Limiter


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
        lifetime: Whether the run takes work, and what is under way.
        planning: Whether nothing is played: then every result is unknown.
        failures: What failed.
    """

    planner: Planner
    marks: StoredMarks | PlannedMarks
    markers: MarkerLog
    signals: Signals
    limiter: Limiter
    identity: Mapping[str, Any]
    lifetime: Lifetime
    planning: bool = False
    failures: Failures = field(default_factory=Failures)
