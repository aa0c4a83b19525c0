"""What can be submitted, and what playing it gives: the seam between definitions and a run."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from asyncsteps._tasks.activity import ActivityTask
    from asyncsteps._tasks.signals import MarkerTask, SignalTask, WaitForSignal
    from asyncsteps._tasks.step import Step


@dataclass(frozen=True, slots=True)
class Played:
    """How the playing of a submittable ended.

    Attributes:
        result: What it gave; for what failed, as much as there is of it.
        error: What failed, where that is to count as a failure of what surrounds it.
        fatal: Whether the error is no activity's but the store's, or a misuse: then nothing on the way holds it
            back from the caller.
    """

    result: Any
    error: Exception | None = None
    fatal: bool = False


class Player(Protocol):
    """What plays submittables: a run, or the planning of one."""

    async def play_activity(self, task: "ActivityTask[Any]") -> Played:
        """Play an activity task."""
        ...

    async def play_step(self, step: "Step") -> Played:
        """Play a step through all its phases."""
        ...

    async def send(self, signal: "SignalTask") -> Played:
        """Send a signal."""
        ...

    async def wait_for(self, signal: "WaitForSignal") -> Played:
        """Wait for a signal."""
        ...

    def mark(self, marker: "MarkerTask") -> Played:
        """Record a marker."""
        ...

    def swallow(self, error: Exception) -> None:
        """Log and list a failure that ends where it is, so that it is never silent."""
        ...


class Submittable(ABC):
    """Whatever can be submitted to a run, by itself or within a chain, a group or a step."""

    @abstractmethod
    async def play(self, player: Player) -> Played:
        """Have ``player`` play this. Failures of activities are returned, not raised."""

    def propagate_attribute(self, attribute: str, value: object) -> None:  # noqa: B027 - right for what holds none
        """Set an activity attribute on every activity task within; what holds none has nothing to set."""
