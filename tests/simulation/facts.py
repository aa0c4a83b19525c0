"""What the model remembers of a run: attempts, steps under way, failures."""

from contextvars import ContextVar
from dataclasses import dataclass, field

from simulation.spec import Act, Item, Many


class Attempts:
    """The attempts at one activity task: how many have begun, and the last that ended other than cancelled."""

    def __init__(self) -> None:
        self.begun = self.concluded = 0


enclosing: ContextVar[tuple[tuple[Attempts, int], ...]] = ContextVar("simulation_attempts", default=())
"""The attempts that the current code belongs to, outermost first."""


def selects(selector: str, name: str) -> bool:
    """Whether a selector matches a name."""
    mine, its = selector.split("."), name.split(".")
    return selector == "*" or its[: len(mine)] == mine


def required(item: Item) -> set[int]:
    """The activities that have ended well when the playing of ``item`` has."""
    if isinstance(item, Act):
        return {item.ident}
    if isinstance(item, Many) and item.bubbles:
        return set().union(*map(required, item.members))
    return set()


@dataclass
class Playing:
    """A step between its marker ``scheduled`` and its end."""

    forced: bool
    begun: int
    started: bool = False
    marked: bool = False
    ended_well: set[int] = field(default_factory=set)


@dataclass
class Failed:
    """A marker ``failed``, and the attempts that it was recorded within."""

    name: str
    within: tuple[tuple[Attempts, int], ...]
    made_good: bool = False

    @property
    def counts(self) -> bool:
        return not self.made_good and all(number >= attempts.concluded for attempts, number in self.within)
