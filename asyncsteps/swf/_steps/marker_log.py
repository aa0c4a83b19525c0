"""The markers of steps in one run: those that the history holds, and those that this replay adds."""

import logging
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from simpleflow import futures
from simpleflow.history import History
from simpleflow.task import MarkerTask
from simpleflow.utils import json_dumps

from asyncsteps._plan.model import STEP_MARKER, Decision, Phase, RecordStatus
from asyncsteps.swf import _simpleflow as sf
from asyncsteps.swf._constants import MAX_RESULT_CHARS
from asyncsteps.swf._done.payload import size
from asyncsteps.swf._steps.history import PLACE_MARKER, MarkerIndex, Place

_logger = logging.getLogger("asyncsteps.swf")


class MarkerLog:
    """Records markers: on SWF with the other decisions of the replay, elsewhere at once.

    Args:
        workflow: The workflow, whose `record_marker` makes them.

    Attributes:
        recorded: What the history holds.
        piggybacks: Whether markers go out with other decisions: on SWF, inside `run`, whose end flushes them.
    """

    def __init__(self, workflow: Any) -> None:
        self.recorded = MarkerIndex({})
        self.piggybacks = False
        self._workflow = workflow
        self._pending = 0

    def read(self, history: History) -> None:
        """Read the markers of a history."""
        self.recorded = MarkerIndex(history.markers)

    def record(self, phase: RecordStatus, number: int, place: Place | None) -> futures.Future:
        """Record a step's marker, with the planner's details as they are.

        Args:
            phase: The phase that asks for it.
            number: The number of the step's submission, which keeps the markers of one replay apart.
            place: The place of the step, where a marker ahead of it is to tell.
        """
        marker = self._workflow.record_marker(STEP_MARKER, phase.details)
        if not (self.piggybacks and isinstance(marker, MarkerTask)):
            future: futures.Future = self._workflow.submit(marker)
            return future
        self._pending += 1
        marker_id = f"{phase.details['step']}-{phase.status}-{number}"
        if place is not None:
            told: Any = {"bucket": place[0], "prefix": place[1]}
            marker_id = f"{marker_id}-{told}"
            sf.make_room(self._workflow.executor, decisions=2, chars=size(told) + size(phase.details) + 1_000)
            sf.piggyback(self._workflow.executor, MarkerTask(PLACE_MARKER, told), f"place of {marker_id}")
        sf.piggyback(self._workflow.executor, marker, marker_id)
        return sf.finished(json_dumps(phase.details))

    def flush(self) -> None:
        """End the replay with its pending markers, when there are any, instead of closing the execution.

        Raises:
            ExecutionBlocked: When there are.
        """
        if not (self.piggybacks and self._pending):
            return
        if self.recorded.refused:
            _logger.error(
                "SWF refuses to record markers of steps (RecordMarkerFailed: the decider's role needs "
                "swf:RecordMarker); %d are lost",
                self._pending,
            )
            return
        sf.flush_markers(self._workflow.executor)


def recordable(decision: Decision, phases: Callable[[Decision], tuple[Phase, ...]]) -> Decision:
    """The decision with as many of its reasons as a marker holds; with more SWF would refuse the response.

    Args:
        decision: The decision.
        phases: Gives the planner's phases of a decision, whose markers must fit.
    """
    reasons = decision.reasons

    def first(count: int) -> Decision:
        return replace(decision, reasons=(*reasons[:count], f"and {len(reasons) - count} more"))

    def fits(shorter: Decision) -> bool:
        markers = [phase for phase in phases(shorter) if isinstance(phase, RecordStatus)]
        return all(size(marker.details) <= MAX_RESULT_CHARS for marker in markers)

    if not reasons or fits(decision):
        return decision
    return first(bisect_left(range(len(reasons)), True, key=lambda count: not fits(first(count))) - 1)
