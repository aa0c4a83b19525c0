"""What the model remembers of a run: attempts, steps that are played, failures."""

from contextvars import ContextVar
from dataclasses import dataclass, field

from simulation.spec import Act, Item, Many


class Attempts:
    """The attempts at one activity task: how many have begun, which run, and the last that was not cancelled."""

    def __init__(self) -> None:
        self.begun = self.concluded = 0
        self.running: set[int] = set()


Chain = tuple[tuple[Attempts, int], ...]

enclosing: ContextVar[Chain] = ContextVar("simulation_attempts", default=())
"""The attempts, of those that may be followed by others, that the current code was started in; outermost first."""


def under_way() -> Chain:
    """The same, from the innermost one that still runs."""
    chain = enclosing.get()
    while chain and chain[-1][1] not in chain[-1][0].running:
        chain = chain[:-1]
    return chain


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
    within: Chain
    made_good: bool = False

    @property
    def counts(self) -> bool:
        return not self.made_good and all(number >= attempts.concluded for attempts, number in self.within)
