"""The contract of a store of done steps; `tests/store/test_store_contract.py` holds every store to it."""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable


@dataclass(frozen=True, slots=True)
class DonePage:
    """What one request told about a stretch of names, in order of code points.

    Attributes:
        names: The done names of the stretch, ascending.
        through: The last position that the page answers for; None when it reaches the end of the store. It may
            be an unrecognised key, so it need not be a valid name.
    """

    names: tuple[str, ...]
    through: str | None


@dataclass(frozen=True, slots=True)
class ListingProgress:
    """How far a listing is.

    Attributes:
        pages: Pages used so far.
        names: Done names found so far.
        requests: Requests sent so far, wasted and retried ones included.
        concurrency: Requests under way now.
    """

    pages: int
    names: int
    requests: int
    concurrency: int


OnForeign = Callable[[str], object]
"""Called with each key (without the prefix) that lies among the steps and is no step name."""

OnProgress = Callable[[ListingProgress], object]
"""Called after each page of a listing."""


@runtime_checkable
class StepStore(Protocol):
    """Where done steps are recorded, under one prefix; only the names count for deciding.

    A store is used inside its ``async with`` block (see `asyncsteps.open_store`), from one event loop, by any
    number of tasks. Names are checked: a bad one raises `StepNameError`, a bad selector `SelectorError`, before
    anything is read or written. Every failure to reach or to understand the storage is a `StoreError`; use
    outside the block is a `StoreClosedError`. Order is that of code points, which is that of UTF-8.
    """

    @property
    def url(self) -> str:
        """The complete prefix, in the form that `asyncsteps.open_store` takes."""
        ...

    def check_name(self, name: str) -> None:
        """Check that ``name`` can be stored here.

        Raises:
            StepNameError: When it breaks a rule, the length of prefix and name among them.
        """
        ...

    async def list_done(
        self, under: str = "*", *, on_foreign: OnForeign | None = None, on_progress: OnProgress | None = None
    ) -> list[str]:
        """All done names that the selector ``under`` matches, sorted, each once.

        Keys that are no step names are left out; they go to ``on_foreign``, or without it are logged (one
        warning a listing). A listing that cannot be completed raises.
        """
        ...

    def iter_done(
        self, under: str = "*", *, on_foreign: OnForeign | None = None, on_progress: OnProgress | None = None
    ) -> AsyncIterator[list[str]]:
        """The same names in batches as they come, in no particular order, each name once."""
        ...

    async def done_page(self, start_after: str = "") -> DonePage:
        """One request's worth of done names greater than ``start_after`` (any string), in order."""
        ...

    async def is_done(self, name: str) -> bool:
        """Whether ``name`` is done, asked of the storage now."""
        ...

    async def mark_done(self, name: str, record: Mapping[str, Any], *, first_wins: bool = False) -> bool:
        """Record ``name`` as done, durably, with ``record`` as content; returns when it is stored.

        Args:
            name: The step's name.
            record: A mapping of JSON values.
            first_wins: False: the record replaces an older one. True: a mark that exists stays as it is.

        Returns:
            Whether this call's record is the stored one (always, unless ``first_wins``).

        Raises:
            RecordError: When ``record`` is no mapping of JSON values; nothing is stored.
        """
        ...

    async def read_done(self, name: str) -> dict[str, Any] | None:
        """The record of ``name``, or None when it is not done.

        Raises:
            RecordError: When what is stored is no JSON object.
        """
        ...

    async def withdraw(self, names: Iterable[str]) -> list[str]:
        """Withdraw done marks (one ``str`` is one name); those that were there, sorted.

        A name that is not done is no error. Foreign keys are never touched.
        """
        ...
