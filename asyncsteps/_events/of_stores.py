"""Events of the store of a run."""

from dataclasses import dataclass
from typing import ClassVar

from asyncsteps._events.base import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreCalled(Event):
    """A call of the store has ended; of several attempts, each is told.

    Attributes:
        seconds: How long it took.
        names: How many names it is about: those that were listed, read, marked, or done and withdrawn.
        error: Why it failed, or None.
    """

    seconds: float
    names: int
    error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreListed(StoreCalled):
    """Done names were listed: one page of them, or all below a selector."""

    kind: ClassVar[str] = "store.listed"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreRead(StoreCalled):
    """A done mark was read."""

    kind: ClassVar[str] = "store.read"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreMarked(StoreCalled):
    """A done mark was written."""

    kind: ClassVar[str] = "store.marked"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreWithdrawn(StoreCalled):
    """Done marks were withdrawn."""

    kind: ClassVar[str] = "store.withdrawn"
