"""A run's signals, and the submittables that send one, wait for one, or record a marker."""

from dataclasses import dataclass, field
from typing import Any

import anyio

from asyncsteps._errors import StepDefinitionError
from asyncsteps._tasks.submittable import Played, Player, Submittable


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


class Signals:
    """The signals that a run has sent; who waits for one that was sent before goes on at once."""

    def __init__(self) -> None:
        self._sent: dict[str, Signal] = {}
        self._awaited: dict[str, anyio.Event] = {}

    def send(self, signal: Signal) -> None:
        """Send a signal, to those that wait for its name and those that will."""
        self._sent[signal.name] = signal
        awaited = self._awaited.pop(signal.name, None)
        if awaited is not None:
            awaited.set()

    def copy(self) -> "Signals":
        """Signals of their own, with all that was sent so far."""
        signals = Signals()
        signals._sent.update(self._sent)
        return signals

    def sent(self, name: str) -> Signal | None:
        """The last signal of that name, or None."""
        return self._sent.get(name)

    async def wait(self, name: str) -> Signal:
        """The last signal of that name, once there is one."""
        if name not in self._sent:
            await self._awaited.setdefault(name, anyio.Event()).wait()
        return self._sent[name]


def _checked(name: object, what: str) -> str:
    if not isinstance(name, str) or not name:
        raise StepDefinitionError(f"a {what}'s name is a str of at least one character, not {name!r}")
    return name


class SignalTask(Submittable):
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

    async def play(self, player: Player) -> Played:
        """Have ``player`` play this."""
        return await player.send(self)

    def __repr__(self) -> str:
        return f"<signal {self.signal.name}>"


class WaitForSignal(Submittable):
    """Wait for a signal, as a link of a chain or a member of a group; its result is the `Signal`.

    Args:
        signal_name: The signal's name.

    Raises:
        StepDefinitionError: When the name is not a str, or empty.
    """

    def __init__(self, signal_name: str, /) -> None:
        self.signal_name = _checked(signal_name, "signal")

    async def play(self, player: Player) -> Played:
        """Have ``player`` play this."""
        return await player.wait_for(self)

    def __repr__(self) -> str:
        return f"<wait for signal {self.signal_name}>"


class MarkerTask(Submittable):
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

    async def play(self, player: Player) -> Played:
        """Have ``player`` play this."""
        return player.mark(self)

    def __repr__(self) -> str:
        return f"<marker {self.marker_name}>"
