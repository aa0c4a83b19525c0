"""What every submittable has in common. Submittables are data; `asyncsteps._run.dispatch` plays them."""

from typing import Any, Generic

from typing_extensions import TypeVar

from asyncsteps._plan.model import T_co

V_co = TypeVar("V_co", covariant=True, default=Any)


class Submittable(Generic[T_co, V_co]):
    """Base class of everything that can be submitted to a run, alone or within a chain, a group or a step.

    ``Submittable[T]`` gives a ``T`` when it is submitted. ``Submittable[T, V]`` also gives a ``V``, as its
    result, to a step around it: that differs only for steps.
    """

    def propagate_attribute(self, attribute: str, value: object) -> None:
        """Set an activity attribute on every activity task within, if any."""
