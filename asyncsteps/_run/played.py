"""How the playing of a submittable ended: the one value that `dispatch` and `step_player` pass to each other."""

from dataclasses import dataclass
from typing import Any

from asyncsteps._plan.model import StepOutcome


@dataclass(frozen=True, slots=True)
class Played:
    """How the playing of a submittable ended.

    Attributes:
        result: Its result; for what failed, as much as there is of it.
        error: The failure that what surrounds it must handle; None where there is none, or where it stays inside.
        infrastructure: Whether the error comes from the store or from misuse, not from an activity. Such an error
            always reaches the caller of `submit`.
    """

    result: Any
    error: Exception | None = None
    infrastructure: bool = False

    @property
    def value(self) -> Any:
        """What a chain sends on to its next member: for a step, what its activities returned, if they did."""
        if isinstance(self.result, StepOutcome) and self.result.has_result:
            return self.result.result
        return self.result

    @property
    def problem(self) -> Exception | None:
        """Why there is no result to send on, though no failure is to be handled; None when there is one."""
        return self.result.problem if isinstance(self.result, StepOutcome) else None


def join_failures(kind: str, members: int, failed: list[Played]) -> Played:
    """Join the failures of a container's members into one: an exception group, or an infrastructure error alone.

    Args:
        kind: ``chain`` or ``group``.
        members: How many members the container has.
        failed: Those that failed, in their order.
    """
    errors = [played.error for played in failed if played.error is not None]
    error = next((played.error for played in failed if played.infrastructure), None)
    if error is None:
        return Played(None, ExceptionGroup(f"{len(errors)} of the {members} members of a {kind} failed", errors))
    if len(errors) > 1:
        error.add_note(f"{len(errors) - 1} more of the {members} members of a {kind} failed beside this")
    return Played(None, error, infrastructure=True)
