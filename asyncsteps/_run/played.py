"""The outcome of playing a submittable, which `dispatch` and `step_player` pass to each other."""

from typing import Any, NamedTuple

from asyncsteps._plan.model import StepOutcome


class Played(NamedTuple):
    """The outcome of playing a submittable.

    Attributes:
        result: The result, or after a failure as much of it as there is.
        error: The failure, for what encloses it to handle; None if there is none, or if it does not bubble.
        infrastructure: Whether the error comes from the store or from misuse, not from an activity. Such an error
            always reaches the caller of `submit`.
    """

    result: Any
    error: Exception | None = None
    infrastructure: bool = False

    @property
    def value(self) -> Any:
        """What a chain passes to its next member: for a step, what its activities returned."""
        if isinstance(self.result, StepOutcome) and self.result.has_result:
            return self.result.result
        return self.result

    @property
    def problem(self) -> Exception | None:
        """Why there is no value to pass on although no failure bubbles; None if there is a value."""
        return self.result.problem if isinstance(self.result, StepOutcome) else None


def join_failures(kind: str, members: int, failed: list[Played]) -> Played:
    """Join the members' failures into one: an exception group, or the first infrastructure error."""
    errors = [played.error for played in failed if played.error is not None]
    error = next((played.error for played in failed if played.infrastructure), None)
    if error is None:
        return Played(None, ExceptionGroup(f"{len(errors)} of the {members} members of a {kind} failed", errors))
    if len(errors) > 1:
        error.add_note(f"{len(errors) - 1} more of the {members} members of a {kind} failed beside this")
    return Played(None, error, infrastructure=True)
