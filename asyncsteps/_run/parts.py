"""The parts of a run, in one frozen record."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from asyncsteps._plan.planner import Planner
from asyncsteps._run.done_marks import StoredMarks
from asyncsteps._run.dry_run import PlannedMarks
from asyncsteps._run.failures import Failures
from asyncsteps._run.lifetime import Lifetime
from asyncsteps._run.markers import MarkerLog
from asyncsteps._run.signals import Signals
from asyncsteps._run.turns import Turns
from asyncsteps._tasks.limiter import Limiter

if TYPE_CHECKING:
    from asyncsteps._run.events import Events


@dataclass(frozen=True, slots=True, kw_only=True)
class RunParts:
    """The parts of a run.

    Attributes:
        planner: Decides about steps.
        marks: The done marks, stored or planned.
        markers: Where markers are recorded.
        signals: The signals sent so far.
        limiter: Limits how many activities run at once.
        identity: ``run_id``, ``workflow_id`` and ``version``, for done marks and as ``context`` of classes with
            ``execute()``.
        lifetime: Whether the run takes work, and what is under way.
        until: Selectors of what the run stops after.
        planning: Whether this run only plans: activities are not played, and their results are unknown.
        failures: The failures of the run.
        events: Tells the subscribers what happens; None where there are none.
        turns: Gives the event loop its turns.
    """

    planner: Planner
    marks: StoredMarks | PlannedMarks
    markers: MarkerLog
    signals: Signals
    limiter: Limiter
    identity: Mapping[str, Any]
    lifetime: Lifetime
    until: tuple[str, ...] = ()
    planning: bool = False
    failures: Failures = field(default_factory=Failures)
    events: "Events | None" = None
    turns: Turns = field(default_factory=Turns)
