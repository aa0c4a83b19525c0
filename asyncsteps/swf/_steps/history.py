"""What the history of an execution has fixed already: decisions by their markers, withdrawals by their activities.

Built once a replay, in one pass over the markers of steps; every look-up after that is a dictionary's.
"""

import json
from collections import defaultdict, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from asyncsteps._plan.model import STEP_MARKER, Action, Decision, Status


@dataclass(frozen=True, slots=True)
class Recorded:
    """A decision that the history has fixed, with its marker's details as they were recorded."""

    decision: Decision
    details: str


class MarkerIndex:
    """The markers of steps in a history, given out in the order of their recording.

    The k-th submission of a name takes the k-th ``scheduled`` or ``skipped`` marker of that name, its k-th
    completion the k-th ``completed`` one.
    """

    def __init__(self, markers: Mapping[str, Iterable[Mapping[str, Any]]]) -> None:
        self._decided: defaultdict[str, deque[Recorded]] = defaultdict(deque)
        self._completed: defaultdict[str, deque[str]] = defaultdict(deque)
        self.refused = 0
        for event in markers.get(STEP_MARKER, ()):
            if event["state"] == "recorded":
                self._add(event.get("details"))
            else:
                self.refused += 1

    def _add(self, text: str | None) -> None:
        details = _parsed(text)
        if text is None or details is None:
            return  # a marker of the user's own, under our name
        status = details.get("status")
        if status == Status.COMPLETED:
            self._completed[details["step"]].append(text)
        elif status in {Status.SCHEDULED, Status.SKIPPED}:
            action = Action.RUN if status == Status.SCHEDULED else Action.SKIP
            decision = Decision(action, bool(details.get("forced")), tuple(details.get("reasons") or ()))
            self._decided[details["step"]].append(Recorded(decision, text))

    def take_decision(self, name: str) -> Recorded | None:
        """What fixes the next submission of ``name``, or None where history does not."""
        queue = self._decided.get(name)
        return queue.popleft() if queue else None

    def take_completion(self, name: str) -> str | None:
        """The details of the next completion of ``name``, or None where history has none."""
        queue = self._completed.get(name)
        return queue.popleft() if queue else None


def _parsed(text: str | None) -> dict[str, Any] | None:
    if not isinstance(text, str):
        return None
    try:
        details = json.loads(text)
    except ValueError:
        return None
    return details if isinstance(details, dict) and isinstance(details.get("step"), str) else None
