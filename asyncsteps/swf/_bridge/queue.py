"""The queue between the tasks that submit to a bridge and the thread that plays what they submit."""

import asyncio
import contextvars
import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, eq=False)
class Submission:
    """What one call of `SimpleflowBridge.submit` hands over.

    Attributes:
        submittable: What simpleflow's ``Workflow.submit`` takes.
        future: What becomes of it; of the caller's loop.
        context: The context variables of the caller.
    """

    submittable: Any
    future: asyncio.Future[Any]
    context: contextvars.Context = field(default_factory=contextvars.copy_context)


class SubmissionQueue:
    """Submissions in their order; any of them can be taken back until it is taken out."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[Submission, None] = OrderedDict()
        self._changed = threading.Condition()
        self._closed = False

    def put(self, submission: Submission) -> None:
        """Add one at the end."""
        with self._changed:
            self._waiting[submission] = None
            self._changed.notify()

    def take(self) -> Submission | None:
        """Take the first one out, as soon as there is one; None once the queue is closed and empty."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            return self._waiting.popitem(last=False)[0] if self._waiting else None

    def take_back(self, submission: Submission) -> None:
        """Remove one, unless it was taken out."""
        with self._changed:
            self._waiting.pop(submission, None)

    def close(self) -> None:
        """Let `take` give None when nothing is left."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def clear(self) -> list[Submission]:
        """Remove all that wait, and give them."""
        with self._changed:
            waiting = list(self._waiting)
            self._waiting.clear()
            return waiting

    def __len__(self) -> int:
        return len(self._waiting)
