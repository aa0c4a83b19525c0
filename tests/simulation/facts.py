"""What the model remembers of a run: attempts, steps under way, failures."""

from contextvars import ContextVar
from dataclasses import dataclass, field

from simulation.spec import Act, Item, Many


class Attempts:
    """The attempts at one activity task.

    Attributes:
        begun: How many have begun.
        concluded: The last that ended other than cancelled.
        threaded: The last whose thread ended.
        running: Those that run.
    """

    def __init__(self) -> None:
        self.begun = self.concluded = self.threaded = 0
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


def in_between() -> bool:
    """Whether the thread of an attempt around this code has ended, and no other attempt has begun."""
    return any(attempts.threaded == number == attempts.begun for attempts, number in enclosing.get())


def selects(selector: str, name: str) -> bool:
    """Whether a selector matches a name."""
    mine, its = selector.split("."), name.split(".")
    return selector in ("*", f"={name}") or its[: len(mine)] == mine


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
    """A marker ``failed``, and the attempts that it was recorded within.

    It may count where the model cannot tell: between the end of a thread and that of its attempt, and
    where that attempt may be cancelled in between.
    """

    name: str
    within: Chain
    in_between: bool
    made_good: bool = False

    @property
    def may_count(self) -> bool:
        return not self.made_good and all(number >= attempts.concluded for attempts, number in self.within)

    @property
    def counts(self) -> bool:
        sure = not self.in_between and all(number >= attempts.threaded for attempts, number in self.within)
        return sure and self.may_count
