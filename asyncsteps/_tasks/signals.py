"""Signals, and the submittables that send one, wait for one, or record a marker."""

from dataclasses import dataclass, field
from typing import Any

from asyncsteps._errors import StepDefinitionError
from asyncsteps._plan.model import Marker
from asyncsteps._tasks.submittable import Submittable


@dataclass(frozen=True, slots=True)
class Signal:
    """A signal that was sent.

    Attributes:
        name: Its name; ``step.{step_name}`` for a step's own.
        args: Positional payload.
        kwargs: Keyword payload.
    """

    name: str
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)


def _checked(name: object, what: str) -> str:
    if not isinstance(name, str) or not name:
        raise StepDefinitionError(f"a {what}'s name is a str of at least one character, not {name!r}")
    return name


class SignalTask(Submittable[None, None]):
    """Send a signal, as a link of a chain or a member of a group.

    Args:
        signal_name: The signal's name.
        args: Positional payload.
        propagate: simpleflow's; a native run has no child workflows, so it changes nothing.
        kwargs: Keyword payload.

    Raises:
        StepDefinitionError: When the name is not a str, or empty.
    """

    def __init__(self, signal_name: str, /, *args: Any, propagate: bool = True, **kwargs: Any) -> None:
        self.signal = Signal(_checked(signal_name, "signal"), args, kwargs)
        self.propagate = propagate

    def __repr__(self) -> str:
        return f"<signal {self.signal.name}>"


class WaitForSignal(Submittable[Signal, Signal]):
    """Wait for a signal, as a link of a chain or a member of a group; its result is the `Signal`.

    Args:
        signal_name: The signal's name.

    Raises:
        StepDefinitionError: When the name is not a str, or empty.
    """

    def __init__(self, signal_name: str, /) -> None:
        self.signal_name = _checked(signal_name, "signal")

    def __repr__(self) -> str:
        return f"<wait for signal {self.signal_name}>"


class MarkerTask(Submittable[Marker, Marker]):
    """Record a marker, as a link of a chain or a member of a group; its result is the `Marker`.

    Args:
        marker_name: The marker's name.
        details: JSON values.

    Raises:
        StepDefinitionError: When the name is not a str, or empty.
    """

    def __init__(self, marker_name: str, /, details: Any = None) -> None:
        self.marker_name = _checked(marker_name, "marker")
        self.details = details

    def __repr__(self) -> str:
        return f"<marker {self.marker_name}>"
