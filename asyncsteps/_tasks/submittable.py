"""What every submittable has in common. Submittables are data; `asyncsteps._run.dispatch` plays them."""

from typing import Generic

from asyncsteps._plan.model import T_co


class Submittable(Generic[T_co]):
    """Base class of everything that can be submitted to a run, alone or within a chain, a group or a step.

    ``Submittable[T]`` gives a step around it a ``T`` as its result.
    """

    def propagate_attribute(self, attribute: str, value: object) -> None:
        """Set an activity attribute on every activity task within, if any."""
